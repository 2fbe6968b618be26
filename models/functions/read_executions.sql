-- Executions of one project with their events, versions and exports: one of them, or all of a
-- correlation id, oldest first. One call, one moment.
CREATE FUNCTION read_executions(
    p_project_id uuid,
    p_correlation_id uuid,
    p_execution_id uuid
) RETURNS TABLE (
    execution_id uuid,
    project_id uuid,
    correlation_id uuid,
    agent_type text,
    status text,
    attempt integer,
    failures integer,
    max_attempts integer,
    priority integer,
    requested_by uuid,
    created_at timestamptz,
    scheduled_at timestamptz,
    started_at timestamptz,
    completed_at timestamptz,
    cancel_requested_at timestamptz,
    worker text,
    error_code text,
    error_message text,
    output jsonb,
    retry_of uuid,
    events jsonb,
    versions jsonb,
    exports jsonb
)
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM enter_project(p_project_id);

    RETURN QUERY
    -- Two steps, since "this or that id" would keep either index from being used.
    WITH wanted AS (
        SELECT e.id FROM agent_executions e
        WHERE e.project_id = p_project_id AND e.correlation_id = p_correlation_id
            AND p_correlation_id IS NOT NULL
        UNION ALL
        SELECT p_execution_id WHERE p_execution_id IS NOT NULL
    )
    SELECT e.id, e.project_id, e.correlation_id, e.agent_type::text, e.status::text, e.attempt,
           e.failures, e.max_attempts, e.priority::integer, e.requested_by, e.created_at, e.scheduled_at,
           e.started_at, e.completed_at, e.cancel_requested_at, e.worker::text,
           e.error_code::text, e.error_message, e.output_data, e.retry_of,
           coalesce((
               SELECT jsonb_agg(jsonb_build_object('event', v.event, 'attempt', v.attempt,
                   'worker', v.worker, 'at', v.at, 'detail', v.detail) ORDER BY v.id)
               FROM execution_events v
               WHERE v.project_id = p_project_id AND v.execution_id = e.id), '[]'),
           coalesce((
               SELECT jsonb_agg(jsonb_build_object('document_type', d.document_type,
                   'version', d.version, 'readability_score', d.readability_score,
                   'grammar_score', d.grammar_score, 'base_version', d.base_version,
                   'attempt', d.attempt, 'created_at', d.created_at) ORDER BY d.document_type)
               FROM document_versions d
               WHERE d.project_id = p_project_id AND d.execution_id = e.id), '[]'),
           coalesce((
               SELECT jsonb_agg(jsonb_build_object('export_id', x.id, 'status', x.status,
                   'file_path', x.file_path, 'created_at', x.created_at,
                   'expires_at', x.expires_at) ORDER BY x.id)
               FROM exports x
               WHERE x.project_id = p_project_id AND x.execution_id = e.id), '[]')
    FROM wanted w JOIN agent_executions e ON e.project_id = p_project_id AND e.id = w.id
    ORDER BY e.created_at, e.id;
END
$$;
