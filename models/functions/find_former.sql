-- What former lives of a stable name still hold, and which life: `p_worker` is the one that asks.
-- Only ids that say "stable" count: no other life has a lock that tells whether it is over. For the
-- dispatch role: ids only.
CREATE FUNCTION find_former(p_name text, p_worker text)
RETURNS TABLE (project_id uuid, execution_id uuid, worker text)
LANGUAGE sql STABLE
SET search_path = public, pg_temp
AS $$
    SELECT e.project_id, e.id, e.worker::text
    FROM agent_executions e
    WHERE e.status = 'running' AND e.worker <> p_worker AND starts_with(e.worker, p_name || ':')
        AND substr(e.worker, length(p_name) + 2) ~ '^[0-9]+:stable-[0-9a-f]+$'
    ORDER BY e.worker, e.project_id, e.id
$$;
