#!lua flags=allow-oom
-- Writes a job's result. A job is a pure function of its request, so the first result wins, no matter who
-- brings it: also one who lost the lease meanwhile. The id may be that of the job's closing.
local worker, id, result, result_ttl_s = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local key = job_key(job_of(id))
local state = redis.call('HGET', key, 'state')
if not state or is_final(state) then return 0 end
redis.call('HSET', key, 'result', result)
redis.call('HDEL', key, 'progress')
finish(id, 'succeeded', result_ttl_s, nil, nil, worker)
return 1
