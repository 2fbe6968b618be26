-- Record executions of one project, all or none. A request whose idempotency key is known is
-- answered with the execution recorded first, and `conflict` when it asked for something else.
-- Answers come in any order; `ordinal` (from 1) tells whose each is.
CREATE FUNCTION enqueue_executions(
    p_project_id uuid,
    p_agent_types text[],
    p_inputs jsonb[],
    p_requested_by uuid[],
    p_correlation_ids uuid[],
    p_idempotency_keys text[],
    p_not_before timestamptz[],
    p_priorities integer[],
    p_max_attempts integer[]
) RETURNS TABLE (
    ordinal integer,
    execution_id uuid,
    correlation_id uuid,
    status text,
    scheduled_at timestamptz,
    created boolean,
    conflict boolean
)
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    v_ids uuid[] := ARRAY(SELECT uuidv7() FROM generate_subscripts(p_agent_types, 1));
    v_recorded bigint;
BEGIN
    PERFORM enter_project(p_project_id);

    RETURN QUERY
    WITH asked AS (
        SELECT r.*, CASE WHEN r.idempotency_key IS NOT NULL THEN
                hash_request(r.agent_type, r.input, r.requested_by, r.correlation_id,
                             r.not_before, r.priority, r.max_attempts) END AS hash
        FROM unnest(v_ids, p_agent_types, p_inputs, p_requested_by, p_correlation_ids,
                    p_idempotency_keys, p_not_before, p_priorities, p_max_attempts)
            WITH ORDINALITY AS r (id, agent_type, input, requested_by, correlation_id,
                idempotency_key, not_before, priority, max_attempts, ordinal)
    ), recorded AS (
        INSERT INTO agent_executions (
            id, project_id, agent_type, input_data, requested_by, correlation_id,
            idempotency_key, scheduled_at, priority, max_attempts, request_hash)
        SELECT asked.id, p_project_id, asked.agent_type, asked.input, asked.requested_by,
               coalesce(asked.correlation_id, uuidv7()), asked.idempotency_key,
               greatest(coalesce(asked.not_before, now()), now()), coalesce(asked.priority, 0),
               asked.max_attempts, asked.hash
        FROM asked
        -- In the order of the keys: two calls with the same ones never wait in a circle.
        ORDER BY asked.idempotency_key, asked.id
        ON CONFLICT (project_id, idempotency_key) DO NOTHING
        RETURNING id, agent_type, correlation_id, status, scheduled_at
    ), noted AS (
        INSERT INTO execution_events (project_id, execution_id, event, attempt, detail)
        SELECT p_project_id, recorded.id, 'enqueued', 0,
               jsonb_build_object('agent_type', recorded.agent_type)
        FROM recorded
    )
    SELECT asked.ordinal::integer, recorded.id, recorded.correlation_id, recorded.status::text,
           recorded.scheduled_at, true, false
    FROM recorded JOIN asked ON asked.id = recorded.id;
    GET DIAGNOSTICS v_recorded = ROW_COUNT;

    IF v_recorded < cardinality(v_ids) THEN
        RETURN QUERY
        SELECT r.ordinal::integer, e.id, e.correlation_id, e.status::text, e.scheduled_at, false,
               e.request_hash IS DISTINCT FROM hash_request(
                   r.agent_type, r.input, r.requested_by, r.correlation_id, r.not_before,
                   r.priority, r.max_attempts)
        FROM unnest(v_ids, p_agent_types, p_inputs, p_requested_by, p_correlation_ids,
                    p_idempotency_keys, p_not_before, p_priorities, p_max_attempts)
                WITH ORDINALITY AS r (id, agent_type, input, requested_by, correlation_id,
                    idempotency_key, not_before, priority, max_attempts, ordinal)
            JOIN agent_executions e
                ON e.project_id = p_project_id AND e.idempotency_key = ANY (p_idempotency_keys)
                    AND e.idempotency_key = r.idempotency_key
        WHERE e.id <> r.id;
    END IF;
END
$$;
