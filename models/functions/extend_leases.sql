-- One heartbeat for all attempts of a worker, across projects; for the dispatch role.
-- Attempts that are not answered are no longer this worker's.
CREATE FUNCTION extend_leases(
    p_worker text,
    p_execution_ids uuid[],
    p_attempts integer[],
    p_lease interval
) RETURNS TABLE (execution_id uuid, attempt integer, cancel_requested boolean)
LANGUAGE sql
SET search_path = public, pg_temp
AS $$
    WITH mine AS (
        SELECT e.id
        FROM agent_executions e
            JOIN unnest(p_execution_ids, p_attempts) AS r (id, attempt)
                ON r.id = e.id AND r.attempt = e.attempt
        WHERE e.id = ANY (p_execution_ids) AND e.status = 'running' AND e.worker = p_worker
        ORDER BY e.id
        FOR NO KEY UPDATE OF e
    )
    UPDATE agent_executions e
    SET lease_expires_at = clock_timestamp() + p_lease
    FROM mine
    WHERE e.id = mine.id
    RETURNING e.id, e.attempt, e.cancel_requested_at IS NOT NULL
$$;
