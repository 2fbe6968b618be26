-- Which of these attempts this worker has ended already, by one of these events: whoever repeats a
-- move because its answer was lost is told that it went through. What a sweep ended, it did not.
-- Answers places in the arrays (from 1).
CREATE FUNCTION find_repeats(
    p_project_id uuid,
    p_worker text,
    p_execution_ids uuid[],
    p_attempts integer[],
    p_events text[]
) RETURNS bigint[]
LANGUAGE sql STABLE
SET search_path = public, pg_temp
AS $$
    SELECT coalesce(array_agg(r.place), '{}')
    FROM unnest(p_execution_ids, p_attempts) WITH ORDINALITY AS r (id, attempt, place)
    WHERE EXISTS (
        SELECT FROM execution_events v
        WHERE v.project_id = p_project_id AND v.execution_id = r.id AND v.attempt = r.attempt
            AND v.worker = p_worker AND v.event = ANY (p_events)
    ) AND NOT EXISTS (
        SELECT FROM execution_events v
        WHERE v.project_id = p_project_id AND v.execution_id = r.id AND v.attempt = r.attempt
            AND v.event = 'rescued'
    )
$$;
