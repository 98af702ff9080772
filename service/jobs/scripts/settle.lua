#!lua flags=allow-oom
-- Writes how the vote on a divided job stands; one that is decided closes the job.
-- Gives 0 when the job is being closed already, has ended, or was divided again.
local job, split, is_decided, progress = ARGV[2], ARGV[3], ARGV[4] == '1', ARGV[5]
local fields = redis.call('HMGET', job_key(job), 'split', 'open')
if fields[1] ~= split or fields[2] == '0' then return 0 end
redis.call('HSET', job_key(job), 'progress', progress)
if is_decided then close(job) end
add_up_progress(job)
return 1
