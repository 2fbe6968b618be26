-- pending and due -> running: open the next attempt of those this worker has an agent for.
-- Every execution asked for and found is answered; `claimed` tells which are now this worker's.
-- `p_again` repeats a claim whose answer was lost: what that one opened is answered as claimed, with
-- the same attempt. Nobody else may repeat, or an attempt that runs would be handed out twice.
CREATE FUNCTION claim_executions(
    p_project_id uuid,
    p_execution_ids uuid[],
    p_worker text,
    p_lease interval,
    p_agent_types text[],
    p_max_attempts integer[],
    p_again boolean DEFAULT false
) RETURNS TABLE (
    execution_id uuid,
    claimed boolean,
    status text,
    attempt integer,
    agent_type text,
    input_data jsonb,
    correlation_id uuid,
    requested_by uuid,
    language text,
    failures integer,
    max_attempts integer,
    created_at timestamptz,
    scheduled_at timestamptz,
    output_data jsonb,
    error_code text,
    error_message text
)
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    v_claimed uuid[];
BEGIN
    PERFORM enter_project(p_project_id);

    IF p_again THEN
        -- The first one may still be under way in the server: its locks are waited for.
        PERFORM e.id
        FROM agent_executions e
        WHERE e.project_id = p_project_id AND e.id = ANY (p_execution_ids)
            AND CASE e.status WHEN 'pending' THEN true ELSE e.worker = p_worker END
        ORDER BY e.id
        FOR NO KEY UPDATE OF e;
    END IF;

    -- CASE keeps the planner from looking for states: rows are found by their ids, and by nothing
    -- that grows with what waits in the project. The moves of a project are written so.
    WITH due AS (
        SELECT e.id, known.max_attempts, e.status = 'pending' AS is_new
        FROM agent_executions e
            JOIN unnest(p_agent_types, p_max_attempts) AS known (agent_type, max_attempts)
                ON known.agent_type = e.agent_type
        WHERE e.project_id = p_project_id AND e.id = ANY (p_execution_ids)
            AND CASE e.status WHEN 'pending' THEN e.scheduled_at <= clock_timestamp()
                              WHEN 'running' THEN p_again AND e.worker = p_worker END
        ORDER BY e.id
        FOR NO KEY UPDATE OF e SKIP LOCKED
    ), claimed AS (
        UPDATE agent_executions e
        SET status = 'running', attempt = e.attempt + due.is_new::integer, worker = p_worker,
            started_at = CASE WHEN due.is_new THEN now() ELSE e.started_at END,
            lease_expires_at = now() + p_lease,
            max_attempts = coalesce(e.max_attempts, due.max_attempts)
        FROM due
        WHERE e.project_id = p_project_id AND e.id = ANY (p_execution_ids) AND e.id = due.id
        RETURNING e.id, e.attempt, due.is_new
    ), noted AS (
        INSERT INTO execution_events (project_id, execution_id, event, attempt, worker)
        SELECT p_project_id, claimed.id, 'claimed', claimed.attempt, p_worker
        FROM claimed WHERE claimed.is_new
    )
    SELECT array_agg(claimed.id) INTO v_claimed FROM claimed;

    RETURN QUERY
    SELECT e.id, coalesce(e.id = ANY (v_claimed), false), e.status::text, e.attempt,
           e.agent_type::text,
           CASE WHEN e.id = ANY (v_claimed) THEN e.input_data END,
           e.correlation_id, e.requested_by, p.language::text, e.failures, e.max_attempts,
           e.created_at, e.scheduled_at, e.output_data, e.error_code::text, e.error_message
    FROM agent_executions e CROSS JOIN projects p
    WHERE e.project_id = p_project_id AND e.id = ANY (p_execution_ids) AND p.id = p_project_id
    ORDER BY array_position(p_execution_ids, e.id);
END
$$;
