-- One heartbeat for all attempts of a worker, across projects; for the dispatch role.
-- A row that somebody holds at this moment is not waited for: its lease is renewed with the next
-- beat, and until it is free again nobody can take it away. Attempts that are not answered are no
-- longer this worker's.
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
        SELECT e.id, e.attempt, e.cancel_requested_at IS NOT NULL AS cancel_requested
        FROM agent_executions e
            JOIN unnest(p_execution_ids, p_attempts) AS r (id, attempt)
                ON r.id = e.id AND r.attempt = e.attempt
        WHERE e.id = ANY (p_execution_ids) AND e.status = 'running' AND e.worker = p_worker
    ), free AS (
        SELECT e.id
        FROM agent_executions e JOIN mine ON mine.id = e.id AND mine.attempt = e.attempt
        WHERE e.id = ANY (p_execution_ids) AND e.status = 'running' AND e.worker = p_worker
        ORDER BY e.id
        FOR NO KEY UPDATE OF e SKIP LOCKED
    ), extended AS (
        UPDATE agent_executions e
        SET lease_expires_at = clock_timestamp() + p_lease
        FROM free
        WHERE e.id = free.id
    )
    SELECT mine.id, mine.attempt, mine.cancel_requested FROM mine
$$;
