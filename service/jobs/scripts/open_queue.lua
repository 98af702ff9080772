-- Makes a queue and its group, unless they are there. Only queues of shards go when they are empty.
local priority = ARGV[2]
local queue = queue_key(priority)
redis.pcall('XGROUP', 'CREATE', queue, group, '0', 'MKSTREAM')
expire_empty(priority)
return 1
