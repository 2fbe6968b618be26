-- What makes two requests the same: everything the caller chose, whatever the session's time zone.
CREATE FUNCTION hash_request(
    p_agent_type text,
    p_input jsonb,
    p_requested_by uuid,
    p_correlation_id uuid,
    p_not_before timestamptz,
    p_priority integer,
    p_max_attempts integer
) RETURNS bytea
LANGUAGE sql STABLE
SET search_path = public, pg_temp
AS $$
    SELECT sha256(convert_to(jsonb_build_array(
        p_agent_type, p_input, p_requested_by, p_correlation_id,
        p_not_before AT TIME ZONE 'UTC', p_priority, p_max_attempts)::text, 'UTF8'))
$$;
