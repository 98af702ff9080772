#!lua flags=allow-oom
-- Adds a shard's votes to those of its job, once: a shard is a pure function of its job and range,
-- so it does not matter who brings them. After the last shard the job is closed.
-- Gives all votes of the job; none where the shard was counted before, or is of another division.
local worker, id, split = ARGV[2], ARGV[3], ARGV[4]
local first = 5  -- from here on: names and numbers to be added
local job, votes = job_of(id), votes_key(job_of(id))
if redis.call('HGET', job_key(job), 'split') ~= split or redis.call('EXISTS', job_key(id)) == 0 then
  return {}
end
drop_shard(id, worker)
for i = first, #ARGV, 2 do redis.call('HINCRBY', votes, ARGV[i], ARGV[i + 1]) end
redis.call('HSET', votes, 'worker:' .. worker, '1')
if redis.call('HINCRBY', job_key(job), 'open', -1) == 0 then close(job) end
add_up_progress(job)
return redis.call('HGETALL', votes)
