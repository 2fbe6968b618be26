-- Note how far running attempts are; attempts that are no longer this worker's leave no trace.
CREATE FUNCTION record_progress(
    p_project_id uuid,
    p_worker text,
    p_execution_ids uuid[],
    p_attempts integer[],
    p_fractions double precision[],
    p_messages text[]
) RETURNS void
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
BEGIN
    PERFORM enter_project(p_project_id);

    INSERT INTO execution_events (project_id, execution_id, event, attempt, worker, detail)
    SELECT p_project_id, e.id, 'progress', e.attempt, p_worker,
           jsonb_strip_nulls(jsonb_build_object('fraction', r.fraction, 'message', r.message))
    FROM unnest(p_execution_ids, p_attempts, p_fractions, p_messages)
            AS r (id, attempt, fraction, message)
        JOIN agent_executions e
            ON e.project_id = p_project_id AND e.id = r.id AND e.attempt = r.attempt
    WHERE e.id = ANY (p_execution_ids)
        AND CASE e.status WHEN 'running' THEN e.worker = p_worker END;
END
$$;
