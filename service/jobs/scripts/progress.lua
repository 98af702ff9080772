-- Writes an active job's progress, by its owner only; that of a shard adds to its job's.
local worker, id, data = ARGV[2], ARGV[3], ARGV[4]
local fields = redis.call('HMGET', job_key(id), 'state', 'worker')
if not is_active(fields[1]) or fields[2] ~= worker then return 0 end
redis.call('HSET', job_key(id), 'progress', data)
local job = job_of(id)
if id ~= job and id ~= shard_id(job, 0) then
  add_up_progress(job)
else
  redis.call('HSET', job_key(job), 'progress', data)
  event(job, 'progress', data, false)
end
return 1
