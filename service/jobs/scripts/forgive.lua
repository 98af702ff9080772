#!lua flags=allow-oom
-- Counts this attempt at an active job as the first, by its owner only.
local worker, id = ARGV[2], ARGV[3]
local fields = redis.call('HMGET', job_key(id), 'state', 'worker')
if not is_active(fields[1]) or fields[2] ~= worker then return 0 end
redis.call('HSET', job_key(id), 'attempts', '1')
return 1
