#!lua flags=allow-oom
-- Cancels a job. Gives 0 when there is no such job.
return cancel(ARGV[2], ARGV[3])
