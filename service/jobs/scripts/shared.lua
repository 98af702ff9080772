-- Put before every script. Keys share one hash tag, so a script may name more of them than it is
-- given; ARGV[1] is their prefix.
local prefix = ARGV[1]
local group = 'workers'
local events_kept = 5000
local empty_queue_ttl_s = 86400

local function job_key(id) return prefix .. 'job:' .. id end
local function queue_key(priority) return prefix .. 'queue:' .. priority end

-- The shards of a divided job are records like jobs, named by the job's id, a dot and a number from
-- 1 on; 0 is the closing, which makes the answer of their votes. In place of a priority they have
-- the queue of their checkpoint. They have no events, and nobody's share of the queue counts them.
local function job_of(id) return id:match('^[^.]+') or id end
local function shard_id(job, number) return job .. '.' .. number end
local function shard_priority(checkpoint) return 'shards:' .. checkpoint end
local function is_of_shards(priority) return priority:find('^shards:') end
local function votes_key(job) return prefix .. 'votes:' .. job end

-- With the owner's length, or owner a with key b:c would meet owner a:b with key c.
local function idempotency_key_of(kind, owner, key)
  return prefix .. 'idempotent-' .. kind .. ':' .. #owner .. ':' .. owner .. ':' .. key
end

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Lua writes large numbers as 1.7e+12 by default.
local function whole(number) return string.format('%.0f', number) end

local function is_active(state) return state == 'running' or state == 'adapting' end
local function is_final(state) return state ~= 'queued' and not is_active(state) end

local function event(id, kind, data, is_last)
  local entry = redis.call('XADD', prefix .. 'events', 'MAXLEN', '~', events_kept, '*',
    'job', id, 'kind', kind, 'data', data, 'last', is_last and '1' or '0')
  redis.call('HSET', job_key(id), 'last_event', entry)
end

local function state_event(id)
  if job_of(id) ~= id then return end
  local fields = redis.call('HMGET', job_key(id), 'state', 'attempts', 'failure_code', 'failure_detail')
  local document = {id = id, state = fields[1], attempts = tonumber(fields[2])}
  if fields[3] then document.error = {code = fields[3], detail = fields[4]} end
  event(id, 'state', cjson.encode(document), is_final(fields[1]))
end

local function count_waiting(owner, change)
  if not owner then return end
  redis.call('HINCRBY', prefix .. 'waiting', '', change)
  if redis.call('HINCRBY', prefix .. 'waiting', 'of:' .. owner, change) <= 0 then
    redis.call('HDEL', prefix .. 'waiting', 'of:' .. owner)
  end
end

local function enqueue(id, owner, priority)
  local deadline_ms = redis.call('HGET', job_key(id), 'deadline_ms')
  if deadline_ms then redis.call('ZADD', prefix .. 'deadlines', deadline_ms, id) end
  if owner then redis.call('SADD', prefix .. 'open', id) end
  local entry = redis.call('XADD', queue_key(priority), '*', 'job', id)
  if is_of_shards(priority) then redis.call('PERSIST', queue_key(priority)) end
  redis.call('HSET', job_key(id), 'state', 'queued', 'entry', entry)
  redis.call('HDEL', job_key(id), 'worker')
  count_waiting(owner, 1)
end

-- Lets a queue of shards go after a while in which it was empty: its checkpoint may have gone.
local function expire_empty(priority)
  if is_of_shards(priority) and redis.call('XLEN', queue_key(priority)) == 0 then
    redis.call('EXPIRE', queue_key(priority), empty_queue_ttl_s)
  end
end

local function drop_entry(priority, entry)
  if not entry then return end  -- of a divided job its shards wait in its place
  redis.call('XACK', queue_key(priority), group, entry)
  redis.call('XDEL', queue_key(priority), entry)
  expire_empty(priority)
end

-- Lets a record go after ttl_s, or earlier when too many are kept.
local function let_go(id, ttl_s)
  redis.call('EXPIRE', job_key(id), ttl_s)
  redis.call('ZADD', prefix .. 'ended', whole(now_ms() + 1000 * ttl_s), id)
end

local function keep(id)
  redis.call('PERSIST', job_key(id))
  redis.call('ZREM', prefix .. 'ended', id)
end

-- Lets a record go after ttl_s; those of a batch when all have ended, and the batch with them.
local function expire(id, batch_id, ttl_s)
  local batch = prefix .. 'batch:' .. (batch_id or '')
  if not batch_id or redis.call('EXISTS', batch) == 0 then
    let_go(id, ttl_s)
  elseif redis.call('HINCRBY', batch, 'num_open', -1) == 0 then
    redis.call('EXPIRE', batch, ttl_s)
    for job in redis.call('HGET', batch, 'jobs'):gmatch('%S+') do
      let_go(job, ttl_s)
    end
  end
end

-- Removes a shard; a worker that holds it is notified, unless it is the one that asks.
local function drop_shard(id, by_worker)
  if job_of(id) == id then return end
  local fields = redis.call('HMGET', job_key(id), 'state', 'worker', 'priority', 'entry')
  if not fields[1] then return end
  drop_entry(fields[3], fields[4])
  redis.call('DEL', job_key(id))
  if is_active(fields[1]) and fields[2] ~= by_worker then
    redis.call('XADD', prefix .. 'cancels', 'MAXLEN', '~', 1000, '*', 'job', id)
  end
end

local function drop_shards(job)
  for number = 0, tonumber(redis.call('HGET', job_key(job), 'shards') or -1) do
    drop_shard(shard_id(job, number))
  end
end

-- Lets a worker make the answer of a divided job, of the votes counted until now.
local function close(job)
  drop_shards(job)
  redis.call('HSET', job_key(job), 'open', '0')
  local id, checkpoint = shard_id(job, 0), redis.call('HGET', job_key(job), 'checkpoint')
  redis.call('HSET', job_key(id), 'priority', shard_priority(checkpoint), 'attempts', '0')
  enqueue(id, nil, shard_priority(checkpoint))
end

-- Writes into a divided job's progress how many variants all its shards have answered.
local function add_up_progress(job)
  local fields = redis.call('HMGET', job_key(job), 'progress', 'shards')
  local num_outcomes = tonumber(redis.call('HGET', votes_key(job), 'outcomes') or 0)
  for number = 1, tonumber(fields[2]) do
    local progress = redis.call('HGET', job_key(shard_id(job, number)), 'progress')
    if progress then num_outcomes = num_outcomes + cjson.decode(progress).outcomes end
  end
  -- Not decoded and encoded: empty lists would become objects.
  local data = fields[1]:gsub('"outcomes":%d+', '"outcomes":' .. whole(num_outcomes), 1)
  redis.call('HSET', job_key(job), 'progress', data)
  event(job, 'progress', data, false)
end

-- Makes a divided job one that is not.
local function undivide(id)
  if redis.call('SISMEMBER', prefix .. 'divided', id) == 0 then return end
  drop_shards(id)
  redis.call('HDEL', job_key(id), 'shards', 'open', 'split', 'checkpoint', 'variants')
  redis.call('DEL', votes_key(id))
  redis.call('SREM', prefix .. 'divided', id)
end

-- Puts a divided job back into the queue, uncharged.
local function rejoin(id)
  local fields = redis.call('HMGET', job_key(id), 'owner', 'priority')
  undivide(id)
  redis.call('HINCRBY', job_key(id), 'attempts', -1)
  redis.call('HDEL', job_key(id), 'progress', 'started_ms')
  enqueue(id, fields[1], fields[2])
  state_event(id)
end

-- Ends a job, whatever its state was; the record stays for ttl_s. The id may be that of a shard.
local function finish(id, state, ttl_s, failure_code, failure_detail, by_worker)
  drop_shard(id, by_worker)
  id = job_of(id)
  local key = job_key(id)
  undivide(id)
  local fields = redis.call('HMGET', key, 'state', 'owner', 'priority', 'entry', 'batch', 'deadline_ms')
  if fields[1] == 'queued' then count_waiting(fields[2], -1) end
  drop_entry(fields[3], fields[4])
  redis.call('HSET', key, 'state', state, 'finished_ms', whole(now_ms()))
  redis.call('HDEL', key, 'cancel')
  if fields[6] then redis.call('ZREM', prefix .. 'deadlines', id) end
  redis.call('SREM', prefix .. 'open', id)
  if failure_code then
    redis.call('HSET', key, 'failure_code', failure_code, 'failure_detail', failure_detail)
  end
  expire(id, fields[5], ttl_s)
  state_event(id)
end

local function exceed_deadline(id, ttl_s)
  finish(id, 'failed', ttl_s, 'deadline_exceeded', 'the deadline passed before the job could be run')
end

-- Ends queued jobs past their deadline, up to a number: they would keep the place of others.
local function end_overdue(ttl_s)
  local now = whole(now_ms())
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', prefix .. 'deadlines', '-inf', now, 'LIMIT', 0, 1000)) do
    if redis.call('HGET', job_key(id), 'state') == 'queued' then
      exceed_deadline(id, ttl_s)
    else
      redis.call('ZREM', prefix .. 'deadlines', id)
    end
  end
end

-- Cancels a queued job at once; asks the worker of an active one. Gives 0 when there is no such job.
local function cancel(id, ttl_s)
  local state = redis.call('HGET', job_key(id), 'state')
  if not state then return 0 end
  if state == 'queued' then
    finish(id, 'cancelled', ttl_s)
  elseif is_active(state) and redis.call('HEXISTS', job_key(id), 'split') == 1 then
    finish(id, 'cancelled', ttl_s)  -- no worker holds the job, only its shards
  elseif is_active(state) then
    redis.call('HSET', job_key(id), 'cancel', '1')
    redis.call('XADD', prefix .. 'cancels', 'MAXLEN', '~', 1000, '*', 'job', id)
  end
  return 1
end
