-- Puts a failed job back into its queue as if new, without its deadline. Gives its state before.
local id = ARGV[2]
local key = job_key(id)
local fields = redis.call('HMGET', key, 'state', 'owner', 'priority', 'batch')
if not fields[1] then return false end
if fields[1] ~= 'failed' then return fields[1] end
keep(id)
local batch = prefix .. 'batch:' .. (fields[4] or '')
if fields[4] and redis.call('EXISTS', batch) == 1 then
  redis.call('PERSIST', batch)
  if redis.call('HINCRBY', batch, 'num_open', 1) == 1 then  -- it had ended, and all of it was to go
    for job in redis.call('HGET', batch, 'jobs'):gmatch('%S+') do keep(job) end
  end
end
redis.call('HDEL', key, 'failure_code', 'failure_detail', 'finished_ms', 'started_ms', 'deadline_ms', 'progress', 'reason')
redis.call('HSET', key, 'attempts', '0')
redis.call('ZREM', prefix .. 'dead', id)
enqueue(id, fields[2], fields[3])
state_event(id)
return 'failed'
