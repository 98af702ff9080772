#!lua flags=allow-oom
-- Ends an active job as failed or cancelled, by its owner only, or by that of one of its shards.
local worker, id, state, code, detail, result_ttl_s = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local fields = redis.call('HMGET', job_key(id), 'state', 'worker')
if not is_active(fields[1]) or fields[2] ~= worker then return 0 end
if state ~= 'failed' then code, detail = nil, nil end
finish(id, state, result_ttl_s, code, detail, worker)
return 1
