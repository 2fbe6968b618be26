-- The door for services in other languages: record one execution inside their own transaction.
CREATE FUNCTION enqueue_execution(
    p_project_id uuid,
    p_agent_type text,
    p_input jsonb,
    p_requested_by uuid,
    p_correlation_id uuid DEFAULT NULL,
    p_idempotency_key text DEFAULT NULL,
    p_not_before timestamptz DEFAULT NULL,
    p_priority integer DEFAULT 0,
    p_max_attempts integer DEFAULT NULL
) RETURNS uuid
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
DECLARE
    v_recorded record;
BEGIN
    IF p_agent_type IS NULL OR p_agent_type !~ '^[a-z][a-z0-9_]{0,49}$' THEN
        RAISE EXCEPTION 'p_agent_type: must be lowercase snake_case of at most 50 characters'
            USING ERRCODE = 'CD004';
    ELSIF p_requested_by IS NULL THEN
        RAISE EXCEPTION 'p_requested_by: name the user who asks'
            USING ERRCODE = 'CD004';
    ELSIF jsonb_typeof(coalesce(p_input, '{}')) <> 'object' THEN
        RAISE EXCEPTION 'p_input: must be a JSON object'
            USING ERRCODE = 'CD004';
    END IF;
    SELECT * INTO STRICT v_recorded
    FROM enqueue_executions(
        p_project_id, ARRAY[p_agent_type], ARRAY[coalesce(p_input, '{}')],
        ARRAY[p_requested_by], ARRAY[p_correlation_id], ARRAY[p_idempotency_key],
        ARRAY[p_not_before], ARRAY[p_priority], ARRAY[p_max_attempts]);
    IF v_recorded.conflict THEN
        RAISE EXCEPTION 'p_idempotency_key: was used in this project for a different request'
            USING ERRCODE = 'CD003';
    END IF;
    RETURN v_recorded.execution_id;
END
$$;
