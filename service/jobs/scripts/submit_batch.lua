-- Queues the jobs of a batch, all or none of them, unless its idempotency key is known or there is
-- no place for them.
-- Gives new or same with the batch's id; or conflict with a batch id; or full or share with how
-- many wait.
local id, owner, name, options, entries = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local fingerprint, idempotency_key = ARGV[7], ARGV[8]
local idempotency_ttl_s, result_ttl_s, deadline_s = ARGV[9], ARGV[10], ARGV[11]
local max_queued, share, traceparent = tonumber(ARGV[12]), ARGV[13], ARGV[14]
local num_puzzles = ARGV[15]
local first = 16  -- from here on: id, name and task of each job
local num_jobs = (#ARGV - first + 1) / 3
local now = now_ms()
local idempotency = idempotency_key_of('batch', owner, idempotency_key)
local batch = prefix .. 'batch:' .. id

if idempotency_key ~= '' then
  local seen = redis.call('GET', idempotency)
  if seen then
    local known, print = seen:match('^(%S+) (%S+)$')
    if redis.call('EXISTS', prefix .. 'batch:' .. known) == 1 then
      return {print == fingerprint and 'same' or 'conflict', known}
    end
  end
end

end_overdue(result_ttl_s)
local waiting = tonumber(redis.call('HGET', prefix .. 'waiting', '') or 0)
if num_jobs > 0 and waiting + num_jobs > max_queued then return {'full', whole(waiting)} end
local of_owner = tonumber(redis.call('HGET', prefix .. 'waiting', 'of:' .. owner) or 0)
if share ~= '' and num_jobs > 0 and of_owner + num_jobs > tonumber(share) then
  return {'share', whole(of_owner)}
end

redis.call('HSET', batch, 'owner', owner, 'name', name, 'options', options, 'entries', entries,
  'created_ms', whole(now), 'num_open', whole(num_jobs), 'num_puzzles', num_puzzles)
if num_jobs == 0 then redis.call('EXPIRE', batch, result_ttl_s) end
if idempotency_key ~= '' then
  redis.call('SET', idempotency, id .. ' ' .. fingerprint, 'EX', idempotency_ttl_s)
end
-- One event stands for all: a thousand would drive out those that others still want to read.
local entry = redis.call('XADD', prefix .. 'events', 'MAXLEN', '~', events_kept, '*',
  'job', id, 'kind', 'state', 'data', '{}', 'last', '0')
local jobs, ids = prefix .. 'jobs:' .. owner, {}
for i = first, #ARGV, 3 do
  local job = ARGV[i]
  ids[#ids + 1] = job
  redis.call('HSET', job_key(job), 'owner', owner, 'priority', 'batch', 'name', ARGV[i + 1],
    'task', ARGV[i + 2], 'options', options, 'attempts', '0', 'created_ms', whole(now),
    'last_event', entry, 'batch', id)
  if deadline_s ~= '' then
    redis.call('HSET', job_key(job), 'deadline_ms', whole(now + tonumber(deadline_s) * 1000))
  end
  if traceparent ~= '' then redis.call('HSET', job_key(job), 'traceparent', traceparent) end
  enqueue(job, owner, 'batch')
  redis.call('ZADD', jobs, whole(now), job)
end
redis.call('HSET', batch, 'jobs', table.concat(ids, ' '))
local batches = prefix .. 'batches:' .. owner
redis.call('ZADD', batches, whole(now), id)
for _, list in ipairs({jobs, batches}) do
  redis.call('ZREMRANGEBYSCORE', list, '-inf', whole(now - 2000 * tonumber(result_ttl_s)))
end
return {'new', id}
