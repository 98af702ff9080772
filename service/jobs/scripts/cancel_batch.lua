#!lua flags=allow-oom
-- Cancels all jobs of a batch that have not ended.
local batch, result_ttl_s = prefix .. 'batch:' .. ARGV[2], ARGV[3]
-- Its time may have ended just now: nothing of it may come back.
if redis.call('EXISTS', batch) == 1 then redis.call('HSET', batch, 'cancel', '1') end
for i = 4, #ARGV do cancel(ARGV[i], result_ttl_s) end
return 1
