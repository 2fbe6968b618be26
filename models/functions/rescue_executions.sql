-- running with an expired lease -> pending, or failed when no attempts are left. It never runs
-- anything: it only makes the work claimable again. A lost worker counts as a failure, so that an
-- execution which kills its workers ends. `p_ended` is a worker that is known to be over: what it
-- holds does not have to wait for the lease.
CREATE FUNCTION rescue_executions(
    p_project_id uuid,
    p_execution_ids uuid[],
    p_ended text DEFAULT NULL
)
RETURNS TABLE (execution_id uuid, status text)
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM enter_project(p_project_id);

    RETURN QUERY
    WITH lost AS (
        SELECT e.id, e.worker, e.worker IS NOT DISTINCT FROM p_ended AS ended,
               CASE WHEN e.cancel_requested_at IS NOT NULL THEN 'cancelled'
                    WHEN e.failures + 1 >= e.max_attempts THEN 'failed'
                    ELSE 'pending' END AS next_status
        FROM agent_executions e
        WHERE e.project_id = p_project_id AND e.id = ANY (p_execution_ids)
            AND CASE e.status WHEN 'running'
                     THEN e.worker = p_ended OR e.lease_expires_at < clock_timestamp() END
        ORDER BY e.id
        FOR NO KEY UPDATE OF e SKIP LOCKED
    ), moved AS (
        UPDATE agent_executions e
        SET status = lost.next_status, failures = e.failures + 1, lease_expires_at = NULL,
            scheduled_at = CASE WHEN lost.next_status = 'pending' THEN now()
                                ELSE e.scheduled_at END,
            completed_at = CASE WHEN lost.next_status <> 'pending' THEN now() END,
            error_code = 'worker_lost',
            error_message = format(
                'the worker %s %s during attempt %s of at most %s; '
                'it died, was cut off, or the agent took it down', lost.worker,
                CASE WHEN lost.ended THEN 'ended' ELSE 'stopped renewing its lease' END,
                e.attempt, e.max_attempts)
        FROM lost
        WHERE e.project_id = p_project_id AND e.id = ANY (p_execution_ids) AND e.id = lost.id
        RETURNING e.id, e.status, e.attempt, lost.worker, lost.ended, e.failures,
                  e.max_attempts
    ), noted AS (
        INSERT INTO execution_events (project_id, execution_id, event, attempt, worker, detail)
        SELECT p_project_id, moved.id, noted.event, moved.attempt, moved.worker,
               jsonb_build_object('error_code', 'worker_lost', 'failures', moved.failures,
                                  'max_attempts', moved.max_attempts,
                                  'reason', CASE WHEN moved.ended THEN 'its worker has ended'
                                                 ELSE 'its lease ran out' END)
        FROM moved CROSS JOIN LATERAL (
            SELECT 'rescued' AS event
            UNION ALL SELECT moved.status WHERE moved.status <> 'pending'
        ) noted
    )
    SELECT moved.id, moved.status::text FROM moved;
END
$$;
