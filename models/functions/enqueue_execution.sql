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
    v_broken text;
BEGIN
    PERFORM enter_project(p_project_id);
    v_broken := CASE
        WHEN p_agent_type IS NULL OR p_agent_type !~ '^[a-z][a-z0-9_]{0,49}$'
            THEN 'p_agent_type: must be lowercase snake_case of at most 50 characters'
        WHEN p_requested_by IS NULL
            THEN 'p_requested_by: name the user who asks'
        WHEN jsonb_typeof(p_input) <> 'object'
            THEN 'p_input: must be a JSON object'
        WHEN jsonb_path_exists(
                p_input, 'strict $.**{200} ? (@.type() == "object" || @.type() == "array")')
            THEN 'p_input: is nested deeper than 200 levels'
        WHEN p_correlation_id = '00000000-0000-0000-0000-000000000000'
            THEN 'p_correlation_id: must not be the nil UUID'
        WHEN p_idempotency_key !~ '^[!-~]{1,255}$'
            THEN 'p_idempotency_key: must be printable ASCII without spaces, at most 255 characters'
        WHEN p_not_before NOT BETWEEN now() - interval '3660 days' AND now() + interval '3660 days'
            THEN 'p_not_before: must be within ten years of now'
        WHEN p_priority NOT BETWEEN -100 AND 100
            THEN 'p_priority: must be from -100 to 100'
        WHEN p_max_attempts NOT BETWEEN 1 AND 100
            THEN 'p_max_attempts: must be from 1 to 100'
    END;
    IF v_broken IS NOT NULL THEN
        RAISE EXCEPTION '%', v_broken USING ERRCODE = 'CD004';
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
