-- Returns the state of a batch: name, created_ms, cancel, num_puzzles, the last end of a job (ms, 0 for
-- none), and then states with how many jobs are in each. Nothing when the batch is not kept.
local batch = prefix .. 'batch:' .. ARGV[2]
local fields = redis.call('HMGET', batch, 'name', 'created_ms', 'cancel', 'num_puzzles', 'jobs')
if not fields[1] then return {} end
local counts, last_end = {}, 0
for job in (fields[5] or ''):gmatch('%S+') do
  local found = redis.call('HMGET', job_key(job), 'state', 'finished_ms')
  local state = found[1] or 'failed'
  counts[state] = (counts[state] or 0) + 1
  last_end = math.max(last_end, tonumber(found[2] or 0))
end
local reply = {fields[1], fields[2], fields[3] or '', fields[4], whole(last_end)}
for state, count in pairs(counts) do
  reply[#reply + 1] = state
  reply[#reply + 1] = whole(count)
end
return reply
