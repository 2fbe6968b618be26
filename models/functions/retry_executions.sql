-- A person's second chance for dead letters: for each failed or cancelled execution a new one that
-- points at it, with the same agent, input and correlation id. The old one stays as it ended.
CREATE FUNCTION retry_executions(
    p_project_id uuid,
    p_execution_ids uuid[],
    p_requested_by uuid
) RETURNS TABLE (
    execution_id uuid,
    retry_of uuid,
    correlation_id uuid,
    status text,
    scheduled_at timestamptz
)
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM enter_project(p_project_id);

    -- Locked in a statement of its own: the next one sees what whoever held the lock has done.
    PERFORM e.id
    FROM agent_executions e
    WHERE e.project_id = p_project_id AND e.id = ANY (p_execution_ids)
    ORDER BY e.id
    FOR NO KEY UPDATE OF e;

    RETURN QUERY
    WITH dead AS (
        SELECT e.id, e.agent_type, e.input_data, e.correlation_id, e.priority, e.max_attempts,
               e.requested_by
        FROM agent_executions e
        WHERE e.project_id = p_project_id AND e.id = ANY (p_execution_ids)
            AND CASE WHEN e.status IN ('failed', 'cancelled') THEN true END
            -- Whoever asks twice gets one retry: what is under way or done already is left alone.
            AND NOT EXISTS (
                SELECT FROM agent_executions again
                WHERE again.project_id = p_project_id AND again.retry_of = e.id
                    AND again.status IN ('pending', 'running', 'completed')
                -- Looked up for each: joined, it would read the whole project.
                OFFSET 0)
    ), again AS (
        INSERT INTO agent_executions (
            project_id, agent_type, input_data, correlation_id, priority, max_attempts,
            requested_by, retry_of)
        SELECT p_project_id, dead.agent_type, dead.input_data, dead.correlation_id, dead.priority,
               dead.max_attempts, coalesce(p_requested_by, dead.requested_by), dead.id
        FROM dead
        RETURNING id, agent_type, retry_of, correlation_id, status, scheduled_at
    ), noted AS (
        INSERT INTO execution_events (project_id, execution_id, event, attempt, detail)
        SELECT p_project_id, again.id, 'enqueued', 0,
               jsonb_build_object('agent_type', again.agent_type, 'retry_of', again.retry_of)
        FROM again
    )
    SELECT again.id, again.retry_of, again.correlation_id, again.status::text, again.scheduled_at
    FROM again;
END
$$;
