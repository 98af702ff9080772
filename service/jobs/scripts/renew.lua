#!lua flags=allow-oom
-- Renews the leases of a worker's jobs. Gives one of kept, cancelled, lost (to another worker), gone
-- (it has ended, waits again, or is not kept) for each.
local worker = ARGV[2]
local found = {}
for i = 3, #ARGV do
  local fields = redis.call('HMGET', job_key(ARGV[i]), 'state', 'worker', 'priority', 'entry', 'cancel')
  local verdict = is_active(fields[1]) and 'lost' or 'gone'
  if is_active(fields[1]) and fields[2] == worker then
    -- JUSTID leaves the delivery counter alone; attempts are counted in the record. Where the entry
    -- is gone the record still says who has the job.
    redis.pcall('XCLAIM', queue_key(fields[3]), group, worker, 0, fields[4], 'JUSTID')
    verdict = fields[5] and 'cancelled' or 'kept'
  end
  found[#found + 1] = verdict
end
return found
