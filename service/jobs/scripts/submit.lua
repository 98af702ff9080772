-- Queues a job, unless its idempotency key is known or there is no place for it.
-- Gives new or same with the job's id and fields; or conflict with a job id; or full or share with
-- how many wait.
local id, owner, priority, name = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local task, options, fingerprint, idempotency_key = ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local idempotency_ttl_s, result_ttl_s, deadline_s = ARGV[10], ARGV[11], ARGV[12]
local max_queued, share, traceparent = tonumber(ARGV[13]), ARGV[14], ARGV[15]
local now = now_ms()
local idempotency = idempotency_key_of('job', owner, idempotency_key)

if idempotency_key ~= '' then
  local seen = redis.call('GET', idempotency)
  if seen then
    local job, print = seen:match('^(%S+) (%S+)$')
    if redis.call('EXISTS', job_key(job)) == 1 then
      if print ~= fingerprint then return {'conflict', job} end
      return {'same', job, redis.call('HGETALL', job_key(job))}
    end
  end
end

end_overdue(result_ttl_s)
local waiting = tonumber(redis.call('HGET', prefix .. 'waiting', '') or 0)
if waiting >= max_queued then return {'full', whole(waiting)} end
local of_owner = tonumber(redis.call('HGET', prefix .. 'waiting', 'of:' .. owner) or 0)
if share ~= '' and of_owner >= tonumber(share) then return {'share', whole(of_owner)} end

redis.call('HSET', job_key(id), 'owner', owner, 'priority', priority, 'name', name,
  'task', task, 'options', options, 'attempts', '0', 'created_ms', whole(now))
if deadline_s ~= '' then
  redis.call('HSET', job_key(id), 'deadline_ms', whole(now + tonumber(deadline_s) * 1000))
end
if traceparent ~= '' then redis.call('HSET', job_key(id), 'traceparent', traceparent) end
enqueue(id, owner, priority)
if idempotency_key ~= '' then
  redis.call('SET', idempotency, id .. ' ' .. fingerprint, 'EX', idempotency_ttl_s)
end
local jobs = prefix .. 'jobs:' .. owner
redis.call('ZADD', jobs, whole(now), id)
-- Twice the time results are kept: a job may have waited and run for long before that time began.
redis.call('ZREMRANGEBYSCORE', jobs, '-inf', whole(now - 2000 * tonumber(result_ttl_s)))
state_event(id)
return {'new', id, redis.call('HGETALL', job_key(id))}
