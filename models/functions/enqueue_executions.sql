-- Record executions of one project, all or none. A request whose idempotency key is known is
-- answered with the execution recorded first, and `conflict` when it asked for something else.
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
    v_hashes bytea[];
BEGIN
    PERFORM enter_project(p_project_id);

    -- What makes two requests the same: everything the caller chose.
    v_hashes := ARRAY(
        SELECT CASE WHEN r.idempotency_key IS NOT NULL THEN
            sha256(convert_to(jsonb_build_array(
                r.agent_type, r.input, r.requested_by, r.correlation_id, r.not_before,
                r.priority, r.max_attempts)::text, 'UTF8'))
        END
        FROM unnest(p_agent_types, p_inputs, p_requested_by, p_correlation_ids,
                    p_idempotency_keys, p_not_before, p_priorities, p_max_attempts)
            WITH ORDINALITY AS r (agent_type, input, requested_by, correlation_id,
                idempotency_key, not_before, priority, max_attempts, ordinal)
        ORDER BY r.ordinal);

    WITH recorded AS (
        INSERT INTO agent_executions (
            id, project_id, agent_type, input_data, requested_by, correlation_id,
            idempotency_key, scheduled_at, priority, max_attempts, request_hash)
        SELECT r.id, p_project_id, r.agent_type, r.input, r.requested_by,
               coalesce(r.correlation_id, uuidv7()), r.idempotency_key,
               greatest(coalesce(r.not_before, now()), now()), coalesce(r.priority, 0),
               r.max_attempts, r.hash
        FROM unnest(v_ids, p_agent_types, p_inputs, p_requested_by, p_correlation_ids,
                    p_idempotency_keys, p_not_before, p_priorities, p_max_attempts, v_hashes)
            AS r (id, agent_type, input, requested_by, correlation_id, idempotency_key,
                  not_before, priority, max_attempts, hash)
        -- In the order of the keys: two calls with the same ones never wait in a circle.
        ORDER BY r.idempotency_key, r.id
        ON CONFLICT (project_id, idempotency_key) DO NOTHING
        RETURNING id, agent_type
    )
    INSERT INTO execution_events (project_id, execution_id, event, attempt, detail)
    SELECT p_project_id, recorded.id, 'enqueued', 0,
           jsonb_build_object('agent_type', recorded.agent_type)
    FROM recorded;

    RETURN QUERY
    SELECT r.ordinal::integer, e.id, e.correlation_id, e.status::text, e.scheduled_at,
           e.id = r.id, e.id <> r.id AND e.request_hash IS DISTINCT FROM r.hash
    FROM unnest(v_ids, p_idempotency_keys, v_hashes)
            WITH ORDINALITY AS r (id, idempotency_key, hash, ordinal)
        CROSS JOIN LATERAL (
            SELECT own.* FROM agent_executions own
            WHERE own.project_id = p_project_id AND own.id = r.id
            UNION ALL
            SELECT first.* FROM agent_executions first
            WHERE first.project_id = p_project_id AND first.idempotency_key = r.idempotency_key
            LIMIT 1
        ) e
    ORDER BY r.ordinal;
END
$$;
