-- A caller's wish: pending -> cancelled at once; running gets a flag its worker's heartbeat sees.
CREATE FUNCTION cancel_executions(
    p_project_id uuid,
    p_execution_ids uuid[],
    p_reason text
) RETURNS TABLE (execution_id uuid, status text, cancel_requested_at timestamptz)
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM enter_project(p_project_id);

    WITH wanted AS (
        SELECT e.id, e.status = 'pending' AS at_once
        FROM agent_executions e
        WHERE e.project_id = p_project_id AND e.id = ANY (p_execution_ids)
            AND CASE WHEN e.status IN ('pending', 'running')
                     THEN e.cancel_requested_at IS NULL END
        ORDER BY e.id
        FOR NO KEY UPDATE OF e
    ), moved AS (
        UPDATE agent_executions e
        SET cancel_requested_at = now(),
            status = CASE WHEN wanted.at_once THEN 'cancelled' ELSE e.status END,
            completed_at = CASE WHEN wanted.at_once THEN now() END
        FROM wanted
        WHERE e.project_id = p_project_id AND e.id = ANY (p_execution_ids) AND e.id = wanted.id
        RETURNING e.id, e.attempt, wanted.at_once
    )
    INSERT INTO execution_events (project_id, execution_id, event, attempt, detail)
    SELECT p_project_id, moved.id,
           CASE WHEN moved.at_once THEN 'cancelled' ELSE 'cancel_requested' END, moved.attempt,
           jsonb_strip_nulls(jsonb_build_object('reason', p_reason))
    FROM moved;

    RETURN QUERY
    SELECT e.id, e.status::text, e.cancel_requested_at
    FROM agent_executions e
    WHERE e.project_id = p_project_id AND e.id = ANY (p_execution_ids);
END
$$;
