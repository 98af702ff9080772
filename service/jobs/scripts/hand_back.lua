#!lua flags=allow-oom
-- Puts an active job back into its queue, by its owner only; uncharged, the attempt never was.
local worker, id, is_charged, reason, result_ttl_s = ARGV[2], ARGV[3], ARGV[4] == '1', ARGV[5], ARGV[6]
local key = job_key(id)
local fields = redis.call('HMGET', key, 'state', 'worker', 'owner', 'priority', 'entry', 'cancel')
if not is_active(fields[1]) or fields[2] ~= worker then return 0 end
if fields[6] then
  finish(id, 'cancelled', result_ttl_s)
  return 1
end
drop_entry(fields[4], fields[5])
if not is_charged then redis.call('HINCRBY', key, 'attempts', -1) end
if reason ~= '' then redis.call('HSET', key, 'reason', reason) end
redis.call('HDEL', key, 'progress', 'started_ms')
enqueue(id, fields[3], fields[4])
state_event(id)
return 1
