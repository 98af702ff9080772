#!lua flags=allow-oom
-- Turns an active job from running to adapting or back, by its owner only. Progress until now
-- was of the other state.
local worker, id, state = ARGV[2], ARGV[3], ARGV[4]
local fields = redis.call('HMGET', job_key(id), 'state', 'worker')
if not is_active(fields[1]) or fields[2] ~= worker then return 0 end
if fields[1] ~= state then  -- else it was written before, and only the reply was lost
  redis.call('HSET', job_key(id), 'state', state)
  redis.call('HDEL', job_key(id), 'progress')
  state_event(id)
end
return 1
