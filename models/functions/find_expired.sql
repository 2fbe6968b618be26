-- Running executions whose lease has run out, oldest first; for the dispatch role: ids only.
CREATE FUNCTION find_expired(p_limit integer)
RETURNS TABLE (project_id uuid, execution_id uuid)
LANGUAGE sql STABLE
SET search_path = public, pg_temp
AS $$
    SELECT e.project_id, e.id
    FROM agent_executions e
    WHERE e.status = 'running' AND e.lease_expires_at < clock_timestamp()
    ORDER BY e.lease_expires_at
    LIMIT p_limit
$$;
