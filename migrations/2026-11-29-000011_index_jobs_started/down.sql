DROP INDEX CONCURRENTLY jobs_running_since;
