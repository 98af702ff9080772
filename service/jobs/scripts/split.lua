-- Divides a running job into shards, by its owner only, who then no longer holds it. A job that is
-- to be cancelled ends. The stream entry of its delivery names this division of the job.
local worker, id, checkpoint, num_variants = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local progress, result_ttl_s = ARGV[6], ARGV[7]
local first = 8  -- from here on: the range of variants of each shard
local key = job_key(id)
local fields = redis.call('HMGET', key, 'state', 'worker', 'priority', 'entry', 'cancel')
if fields[1] ~= 'running' or fields[2] ~= worker then return 0 end
if fields[5] then
  finish(id, 'cancelled', result_ttl_s)
  return 0
end
drop_entry(fields[3], fields[4])
redis.call('HDEL', key, 'worker', 'entry')
local num_shards = whole(#ARGV - first + 1)
redis.call('HSET', key, 'split', fields[4], 'shards', num_shards, 'open', num_shards,
  'checkpoint', checkpoint, 'variants', num_variants, 'progress', progress)
redis.call('SADD', prefix .. 'divided', id)
for i = first, #ARGV do
  local shard = shard_id(id, i - first + 1)
  redis.call('HSET', job_key(shard), 'priority', shard_priority(checkpoint), 'attempts', '0', 'range', ARGV[i])
  enqueue(shard, nil, shard_priority(checkpoint))
end
add_up_progress(id)
return 1
