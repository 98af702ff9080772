-- Writes an active job's progress, by its owner only.
local worker, id, data = ARGV[2], ARGV[3], ARGV[4]
local fields = redis.call('HMGET', job_key(id), 'state', 'worker')
if not is_active(fields[1]) or fields[2] ~= worker then return 0 end
redis.call('HSET', job_key(id), 'progress', data)
event(id, 'progress', data, false)
return 1
