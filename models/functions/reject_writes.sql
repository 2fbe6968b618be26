-- Put on record what workers tried to write for attempts that are no longer theirs.
CREATE FUNCTION reject_writes(
    p_project_id uuid,
    p_worker text,
    p_execution_ids uuid[],
    p_attempts integer[],
    p_move text,
    p_sizes bigint[],
    p_digests text[]
) RETURNS void
LANGUAGE sql
SET search_path = public, pg_temp
AS $$
    INSERT INTO execution_events (project_id, execution_id, event, attempt, worker, detail)
    SELECT p_project_id, e.id, 'write_rejected', r.attempt, p_worker,
           jsonb_build_object(
               'move', p_move, 'status', e.status, 'current_attempt', e.attempt,
               'current_worker', e.worker, 'size', r.size, 'sha256', r.digest,
               'late_seconds', round(extract(epoch FROM clock_timestamp()
                   - coalesce(e.completed_at, e.started_at))::numeric, 3))
    FROM unnest(p_execution_ids, p_attempts, p_sizes, p_digests)
            AS r (id, attempt, size, digest)
        JOIN agent_executions e
            ON e.project_id = p_project_id AND e.id = ANY (p_execution_ids) AND e.id = r.id
$$;
