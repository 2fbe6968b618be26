-- running -> pending again after a delay, or failed for good: the outcome of an attempt that failed.
-- A NULL delay is final. A cancellation asked for meanwhile comes before another try.
-- A repeat of what went through is accepted again and changes nothing.
CREATE FUNCTION fail_executions(
    p_project_id uuid,
    p_worker text,
    p_execution_ids uuid[],
    p_attempts integer[],
    p_error_codes text[],
    p_error_messages text[],
    p_delays interval[]
) RETURNS TABLE (execution_id uuid, accepted boolean, status text, scheduled_at timestamptz)
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    -- Places in the arrays, not ids: one call may carry a late attempt beside its successor.
    v_failed bigint[];
BEGIN
    PERFORM enter_project(p_project_id);

    WITH mine AS (
        SELECT e.id, r.place, r.code, r.message, r.delay,
               CASE WHEN r.delay IS NULL OR e.failures + 1 >= e.max_attempts THEN 'failed'
                    WHEN e.cancel_requested_at IS NOT NULL THEN 'cancelled'
                    ELSE 'pending' END AS next_status
        FROM agent_executions e
            JOIN unnest(p_execution_ids, p_attempts, p_error_codes, p_error_messages, p_delays)
                WITH ORDINALITY AS r (id, attempt, code, message, delay, place)
                ON r.id = e.id AND r.attempt = e.attempt
        WHERE e.project_id = p_project_id AND e.id = ANY (p_execution_ids)
            AND CASE e.status WHEN 'running' THEN e.worker = p_worker END
        ORDER BY e.id
        FOR NO KEY UPDATE OF e
    ), moved AS (
        UPDATE agent_executions e
        SET status = mine.next_status, failures = e.failures + 1, lease_expires_at = NULL,
            error_code = mine.code, error_message = mine.message,
            completed_at = CASE WHEN mine.next_status <> 'pending' THEN now() END,
            scheduled_at = CASE WHEN mine.next_status = 'pending' THEN now() + mine.delay
                                ELSE e.scheduled_at END
        FROM mine
        WHERE e.project_id = p_project_id AND e.id = ANY (p_execution_ids) AND e.id = mine.id
        RETURNING e.id, e.attempt, e.status, e.error_code, e.failures, e.max_attempts,
                  e.scheduled_at, mine.place
    ), noted AS (
        INSERT INTO execution_events (project_id, execution_id, event, attempt, worker, detail)
        SELECT p_project_id, moved.id,
               CASE moved.status WHEN 'pending' THEN 'retry_scheduled' ELSE moved.status END,
               moved.attempt, p_worker,
               jsonb_strip_nulls(jsonb_build_object(
                   'error_code', moved.error_code, 'failures', moved.failures,
                   'max_attempts', moved.max_attempts,
                   'retry_at', CASE WHEN moved.status = 'pending' THEN moved.scheduled_at END))
        FROM moved
    )
    SELECT array_agg(moved.place) INTO v_failed FROM moved;

    IF cardinality(coalesce(v_failed, '{}')) < cardinality(p_execution_ids) THEN
        v_failed := coalesce(v_failed, '{}') || find_repeats(
            p_project_id, p_worker, p_execution_ids, p_attempts,
            '{retry_scheduled,failed,cancelled}');
    END IF;

    PERFORM reject_writes(
        p_project_id, p_worker, array_agg(r.id), array_agg(r.attempt), 'fail', NULL, NULL)
    FROM unnest(p_execution_ids, p_attempts) WITH ORDINALITY AS r (id, attempt, place)
    WHERE r.place <> ALL (coalesce(v_failed, '{}'))
    HAVING count(*) > 0;

    RETURN QUERY
    SELECT r.id, coalesce(r.place = ANY (v_failed), false), e.status::text, e.scheduled_at
    FROM unnest(p_execution_ids) WITH ORDINALITY AS r (id, place)
        LEFT JOIN agent_executions e
            ON e.project_id = p_project_id AND e.id = ANY (p_execution_ids) AND e.id = r.id
    ORDER BY r.place;
END
$$;
