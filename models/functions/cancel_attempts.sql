-- running -> cancelled: the attempt has stopped, because it was asked to or because it saw no point.
-- A repeat of what went through is accepted again and changes nothing.
CREATE FUNCTION cancel_attempts(
    p_project_id uuid,
    p_worker text,
    p_execution_ids uuid[],
    p_attempts integer[],
    p_reasons text[]
) RETURNS TABLE (execution_id uuid, accepted boolean, status text)
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    -- Places in the arrays, not ids: one call may carry a late attempt beside its successor.
    v_cancelled bigint[];
BEGIN
    PERFORM enter_project(p_project_id);

    WITH mine AS (
        SELECT e.id, r.place, r.reason
        FROM agent_executions e
            JOIN unnest(p_execution_ids, p_attempts, p_reasons)
                WITH ORDINALITY AS r (id, attempt, reason, place)
                ON r.id = e.id AND r.attempt = e.attempt
        WHERE e.project_id = p_project_id AND e.id = ANY (p_execution_ids)
            AND CASE e.status WHEN 'running' THEN e.worker = p_worker END
        ORDER BY e.id
        FOR NO KEY UPDATE OF e
    ), moved AS (
        UPDATE agent_executions e
        SET status = 'cancelled', completed_at = now(), lease_expires_at = NULL
        FROM mine
        WHERE e.project_id = p_project_id AND e.id = ANY (p_execution_ids) AND e.id = mine.id
        RETURNING e.id, e.attempt, mine.reason, mine.place
    ), noted AS (
        INSERT INTO execution_events (project_id, execution_id, event, attempt, worker, detail)
        SELECT p_project_id, moved.id, 'cancelled', moved.attempt, p_worker,
               jsonb_strip_nulls(jsonb_build_object('reason', moved.reason))
        FROM moved
    )
    SELECT array_agg(moved.place) INTO v_cancelled FROM moved;

    IF cardinality(coalesce(v_cancelled, '{}')) < cardinality(p_execution_ids) THEN
        v_cancelled := coalesce(v_cancelled, '{}') || find_repeats(
            p_project_id, p_worker, p_execution_ids, p_attempts,
            '{cancelled}');
    END IF;

    PERFORM reject_writes(
        p_project_id, p_worker, array_agg(r.id), array_agg(r.attempt), 'cancel', NULL, NULL)
    FROM unnest(p_execution_ids, p_attempts) WITH ORDINALITY AS r (id, attempt, place)
    WHERE r.place <> ALL (coalesce(v_cancelled, '{}'))
    HAVING count(*) > 0;

    RETURN QUERY
    SELECT r.id, coalesce(r.place = ANY (v_cancelled), false), e.status::text
    FROM unnest(p_execution_ids) WITH ORDINALITY AS r (id, place)
        LEFT JOIN agent_executions e
            ON e.project_id = p_project_id AND e.id = ANY (p_execution_ids) AND e.id = r.id
    ORDER BY r.place;
END
$$;
