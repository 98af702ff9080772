#!lua flags=allow-oom
-- Ends overdue jobs, restarts leases after the clock went back, puts jobs together that are divided
-- for nobody, and removes the oldest ended jobs beyond a number. Gives 1 when it is time to compare
-- the records with the queues.
local result_ttl_s, max_ended, reconcile_every_s = ARGV[2], tonumber(ARGV[3]), ARGV[4]
local worker_seen_s = tonumber(ARGV[5])
local first = 6  -- from here on: priorities
local now = now_ms()
local ended = prefix .. 'ended'

-- Leases are measured by the clock of the server: those of dead workers would not run out before
-- the clock has come back to where it was.
if now < tonumber(redis.call('GET', prefix .. 'clock') or 0) - 1000 then
  for i = first, #ARGV do
    local queue, from = queue_key(ARGV[i]), '-'
    repeat
      local pending = redis.pcall('XPENDING', queue, group, from, '+', 1000)
      for _, one in ipairs(pending) do
        redis.call('XCLAIM', queue, group, one[2], 0, one[1], 'JUSTID')
        from = '(' .. one[1]
      end
    until #pending == 0
  end
  redis.call('ZREMRANGEBYSCORE', prefix .. 'workers', now / 1000, '+inf')
  redis.call('DEL', prefix .. 'reconciled')
end
redis.call('SET', prefix .. 'clock', whole(now))

end_overdue(result_ttl_s)

-- Divided jobs of checkpoints that no worker answers with wait again, whole: nobody takes their
-- shards, and the worker that claims the job decides as it does on any other.
local served = {}
for i = first, #ARGV do served[ARGV[i]] = true end
for _, id in ipairs(redis.call('SMEMBERS', prefix .. 'divided')) do
  local checkpoint = redis.call('HGET', job_key(id), 'checkpoint') or ''
  local ready = prefix .. 'ready:' .. checkpoint
  if not served[shard_priority(checkpoint)]
      and redis.call('ZCOUNT', ready, now / 1000 - worker_seen_s, '+inf') == 0 then
    rejoin(id)
  end
end

local function forget(id, owner)
  redis.call('DEL', job_key(id))
  redis.call('ZREM', ended, id)
  redis.call('ZREM', prefix .. 'jobs:' .. owner, id)
  redis.call('ZREM', prefix .. 'dead', id)
end

redis.call('ZREMRANGEBYSCORE', ended, '-inf', whole(now))  -- Redis has removed them by itself
local num_left = redis.call('ZCARD', ended)
for _, id in ipairs(redis.call('ZRANGE', ended, 0, 999)) do
  if num_left <= max_ended then break end
  local fields = redis.call('HMGET', job_key(id), 'owner', 'batch')
  local batch = prefix .. 'batch:' .. (fields[2] or '')
  if not fields[1] then
    num_left = num_left - redis.call('ZREM', ended, id)
  elseif redis.call('EXISTS', batch) == 0 then
    forget(id, fields[1])
    num_left = num_left - 1
  else
    local jobs = {}
    for job in redis.call('HGET', batch, 'jobs'):gmatch('%S+') do jobs[#jobs + 1] = job end
    -- All of a batch or nothing; one that is larger than the bound stays until others follow.
    if num_left - #jobs < max_ended then break end
    for _, job in ipairs(jobs) do forget(job, fields[1]) end
    redis.call('DEL', batch)
    redis.call('ZREM', prefix .. 'batches:' .. fields[1], fields[2])
    num_left = num_left - #jobs
  end
end

return redis.call('SET', prefix .. 'reconciled', '1', 'NX', 'EX', reconcile_every_s) and 1 or 0
