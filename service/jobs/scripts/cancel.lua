-- Cancels a queued job at once; asks the worker of an active one. Gives 0 when there is no such job.
local id, result_ttl_s = ARGV[2], ARGV[3]
local state = redis.call('HGET', job_key(id), 'state')
if not state then return 0 end
if state == 'queued' then
  finish(id, 'cancelled', result_ttl_s)
elseif is_active(state) then
  redis.call('HSET', job_key(id), 'cancel', '1')
  redis.call('XADD', prefix .. 'cancels', 'MAXLEN', '~', 1000, '*', 'job', id)
end
return 1
