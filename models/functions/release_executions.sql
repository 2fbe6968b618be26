-- running -> pending, no failure counted: a worker that drains gives its claims back, and an agent
-- that answered "not before ..." is put off (a due time). A cancellation asked for is carried out.
-- A repeat of what went through is accepted again and changes nothing.
CREATE FUNCTION release_executions(
    p_project_id uuid,
    p_worker text,
    p_execution_ids uuid[],
    p_attempts integer[],
    p_due_at timestamptz[],
    p_reasons text[]
) RETURNS TABLE (execution_id uuid, accepted boolean, status text, scheduled_at timestamptz)
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    -- Places in the arrays, not ids: one call may carry a late attempt beside its successor.
    v_released bigint[];
BEGIN
    PERFORM enter_project(p_project_id);

    WITH mine AS (
        SELECT e.id, r.place, r.due_at, r.reason, e.cancel_requested_at IS NOT NULL AS cancelled
        FROM agent_executions e
            JOIN unnest(p_execution_ids, p_attempts, p_due_at, p_reasons)
                WITH ORDINALITY AS r (id, attempt, due_at, reason, place)
                ON r.id = e.id AND r.attempt = e.attempt
        WHERE e.project_id = p_project_id AND e.id = ANY (p_execution_ids)
            AND CASE e.status WHEN 'running' THEN e.worker = p_worker END
        ORDER BY e.id
        FOR NO KEY UPDATE OF e
    ), moved AS (
        UPDATE agent_executions e
        SET status = CASE WHEN mine.cancelled THEN 'cancelled' ELSE 'pending' END,
            completed_at = CASE WHEN mine.cancelled THEN now() END,
            lease_expires_at = NULL, scheduled_at = coalesce(mine.due_at, now())
        FROM mine
        WHERE e.project_id = p_project_id AND e.id = ANY (p_execution_ids) AND e.id = mine.id
        RETURNING e.id, e.attempt, e.status, mine.due_at, mine.reason, mine.place
    ), noted AS (
        INSERT INTO execution_events (project_id, execution_id, event, attempt, worker, detail)
        SELECT p_project_id, moved.id,
               CASE WHEN moved.status = 'cancelled' THEN 'cancelled'
                    WHEN moved.due_at IS NULL THEN 'released' ELSE 'snoozed' END,
               moved.attempt, p_worker,
               jsonb_strip_nulls(jsonb_build_object(
                   'reason', moved.reason, 'until', moved.due_at))
        FROM moved
    )
    SELECT array_agg(moved.place) INTO v_released FROM moved;

    IF cardinality(coalesce(v_released, '{}')) < cardinality(p_execution_ids) THEN
        v_released := coalesce(v_released, '{}') || find_repeats(
            p_project_id, p_worker, p_execution_ids, p_attempts,
            '{released,snoozed,cancelled}');
    END IF;

    PERFORM reject_writes(
        p_project_id, p_worker, array_agg(r.id), array_agg(r.attempt), 'release', NULL, NULL)
    FROM unnest(p_execution_ids, p_attempts) WITH ORDINALITY AS r (id, attempt, place)
    WHERE r.place <> ALL (coalesce(v_released, '{}'))
    HAVING count(*) > 0;

    RETURN QUERY
    SELECT r.id, coalesce(r.place = ANY (v_released), false), e.status::text, e.scheduled_at
    FROM unnest(p_execution_ids) WITH ORDINALITY AS r (id, place)
        LEFT JOIN agent_executions e
            ON e.project_id = p_project_id AND e.id = ANY (p_execution_ids) AND e.id = r.id
    ORDER BY r.place;
END
$$;
