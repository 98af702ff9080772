#!lua flags=allow-oom
-- Puts right what is counted and listed: waiting jobs, dead jobs, consumers of workers that are gone.
local first = 2  -- from here on: priorities; shards are counted nowhere
local waiting, num_queued = prefix .. 'waiting', 0

for i = first, #ARGV do
  local queue = queue_key(ARGV[i])
  local pending = redis.pcall('XPENDING', queue, group)
  if not pending.err then
    if not is_of_shards(ARGV[i]) then num_queued = num_queued + redis.call('XLEN', queue) - pending[1] end
    for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', queue, group)) do
      local consumer = {}
      for j = 1, #flat, 2 do consumer[flat[j]] = flat[j + 1] end
      -- With a consumer go its pending entries, and their jobs would never be taken over.
      if consumer.pending == 0 and not redis.call('ZSCORE', prefix .. 'workers', consumer.name) then
        redis.call('XGROUP', 'DELCONSUMER', queue, group, consumer.name)
      end
    end
  end
end

-- Counted again only where it seems necessary: it takes milliseconds for each thousand jobs.
if num_queued ~= tonumber(redis.call('HGET', waiting, '') or 0) then
  redis.call('DEL', waiting)
  for i = first, #ARGV do
    local entries = is_of_shards(ARGV[i]) and {} or redis.call('XRANGE', queue_key(ARGV[i]), '-', '+')
    for _, entry in ipairs(entries) do
      local fields = redis.call('HMGET', job_key(entry[2][2]), 'state', 'owner', 'entry')
      if fields[1] == 'queued' and fields[3] == entry[1] then count_waiting(fields[2], 1) end
    end
  end
end

for _, id in ipairs(redis.call('ZRANGE', prefix .. 'dead', 0, -1)) do
  if redis.call('HGET', job_key(id), 'state') ~= 'failed' then redis.call('ZREM', prefix .. 'dead', id) end
end
return 1
