-- For the reaper: what runs, the longest first. `jobs_running` is by machine, so that whoever looks for silence reads the
-- entries of all runs that somebody's long transaction keeps, a million after ten minutes at full speed; by their
-- start it goes on from the oldest that still runs. `date_started` does not change while a job runs, so no
-- heartbeat rewrites it.
CREATE INDEX CONCURRENTLY jobs_running_since ON jobs (date_started) WHERE state = 'RUNNING';
