-- Makes a delivered entry a running job of this worker and charges an attempt; none for a job that
-- the worker still works on, after its lease ran out because the worker or Redis was paused.
-- Gives run and the job's fields, of a shard with its own over them, and the votes to close a job
-- with; or held, gone, deadline, dead, cancelled.
local worker, priority, entry, id = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local max_attempts, result_ttl_s, is_held = tonumber(ARGV[6]), ARGV[7], ARGV[8] == '1'
local key, job = job_key(id), job_of(id)
local fields = redis.call('HMGET', key, 'state', 'owner', 'entry', 'attempts', 'cancel', 'reason')
local deadline_ms = redis.call('HGET', job_key(job), 'deadline_ms')

if not fields[1] or is_final(fields[1]) or fields[3] ~= entry then
  drop_entry(priority, entry)
  return {'gone'}
end
if is_held and is_active(fields[1]) then
  redis.call('HSET', key, 'worker', worker)
  return {'held'}
end
local now = now_ms()
if fields[5] then
  finish(id, 'cancelled', result_ttl_s)
  return {'cancelled'}
end
if deadline_ms and now >= tonumber(deadline_ms) then
  exceed_deadline(id, result_ttl_s)
  return {'deadline'}
end
local attempts = tonumber(fields[4])
if attempts >= max_attempts then
  local reason = fields[6] or 'its worker disappeared'
  finish(id, 'failed', result_ttl_s, 'attempts_exhausted',
    attempts .. ' attempts ' .. (job == id and '' or 'at a shard of it ') ..
    'ended without a result; the last one: ' .. reason)
  redis.call('ZADD', prefix .. 'dead', whole(now), job)
  return {'dead'}
end
if fields[1] == 'queued' then count_waiting(fields[2], -1) end
if deadline_ms then redis.call('ZREM', prefix .. 'deadlines', id) end
redis.call('HSET', key, 'state', 'running', 'worker', worker, 'attempts', attempts + 1, 'started_ms', whole(now))
redis.call('HDEL', key, 'progress', 'reason')
state_event(id)
local record = redis.call('HGETALL', job_key(job))
if job == id then return {'run', record, {}} end
record[#record + 1] = 'job_started_ms'
record[#record + 1] = redis.call('HGET', job_key(job), 'started_ms')
local own = redis.call('HGETALL', key)
for i = 1, #own, 2 do
  if own[i] ~= 'priority' then
    record[#record + 1] = own[i]
    record[#record + 1] = own[i + 1]
  end
end
return {'run', record, id == shard_id(job, 0) and redis.call('HGETALL', votes_key(job)) or {}}
