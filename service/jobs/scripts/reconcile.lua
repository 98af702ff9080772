#!lua flags=allow-oom
-- Compares some of the open jobs with the queues, from a cursor on, and gives the next cursor. A job
-- without an entry in its queue waits again: it would neither be claimed nor taken over.
local cursor, result_ttl_s = ARGV[2], ARGV[3]
local open = prefix .. 'open'

local function is_lost(fields)
  local state, queue, entry, worker = fields[1], queue_key(fields[3]), fields[4], fields[5] or ''
  if #redis.call('XRANGE', queue, entry, entry) == 0 then
    if state == 'queued' then return true end
  elseif state == 'queued' or #redis.pcall('XPENDING', queue, group, entry, entry, 1) > 0 then
    return false
  end
  -- Its worker may still end it, and is to be left alone while it lives.
  return not redis.call('ZSCORE', prefix .. 'workers', worker)
end

local reply = redis.call('SSCAN', open, cursor, 'COUNT', 200)
for _, id in ipairs(reply[2]) do
  local fields = redis.call('HMGET', job_key(id), 'state', 'owner', 'priority', 'entry', 'worker', 'cancel')
  if not fields[1] or is_final(fields[1]) then
    redis.call('SREM', open, id)
  elseif fields[4] and is_lost(fields) then
    if fields[6] then
      finish(id, 'cancelled', result_ttl_s)
    else
      if fields[1] == 'queued' then count_waiting(fields[2], -1) end
      drop_entry(fields[3], fields[4])
      redis.call('HDEL', job_key(id), 'progress', 'started_ms')
      enqueue(id, fields[2], fields[3])
      state_event(id)
    end
  end
end
return reply[1]
