-- Reads a page of the events of all jobs, from after one to another, and gives a job's among them,
-- with the id to go on after; an empty one at the end.
local id, after, last, page = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local entries = redis.call('XRANGE', prefix .. 'events', '(' .. after, last, 'COUNT', page)
local found = {}
for _, entry in ipairs(entries) do
  -- Every event is written with its job as the first field.
  if entry[2][2] == id then found[#found + 1] = entry end
end
return {#entries == page and entries[page][1] or '', found}
