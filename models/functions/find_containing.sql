-- The latest rows of one project whose JSON contains a value: ids only, latest execution first; who
-- asked reads them again, under row level security. That keeps `@>` out of every index, since an
-- operator that might show what it compares must wait for the policies. This function belongs to
-- copydesk_search, whom the guard does not bind, so it names the project itself: the bound one.
CREATE FUNCTION find_containing(
    p_project_id uuid,
    p_table text,
    p_contained jsonb,
    p_limit integer
) RETURNS TABLE (id uuid)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 10
SET search_path = public, pg_temp
-- A bitmap that forgets rows for want of memory would have other projects' rows looked at.
SET work_mem = '64MB'
SET plan_cache_mode = force_custom_plan
-- Of a project that is taken for small, all rows would be sorted instead of the latest walked.
SET enable_sort = off
AS $$
#variable_conflict use_column
DECLARE
    v_walk bigint;
    v_walked bigint;
    v_ids uuid[];
BEGIN
    IF p_project_id IS NULL THEN
        RAISE EXCEPTION 'project_id is missing; name exactly one project'
            USING ERRCODE = 'CD001';
    ELSIF p_project_id <> current_setting('app.project_id')::uuid THEN
        RAISE EXCEPTION 'this transaction is bound to another project; begin a new one'
            USING ERRCODE = 'CD002';
    ELSIF p_limit IS NULL OR p_limit NOT BETWEEN 1 AND 1000 THEN
        RAISE EXCEPTION 'p_limit: must be from 1 to 1,000'
            USING ERRCODE = 'CD004';
    ELSIF jsonb_typeof(p_contained) IS DISTINCT FROM 'object' OR NOT jsonb_path_exists(
        p_contained, '$.** ? (@.type() != "object" && @.type() != "array")')
    THEN
        -- Nothing to look up: the index would be read from end to end.
        RAISE EXCEPTION 'p_contained: must be a JSON object with at least one value in it'
            USING ERRCODE = 'CD004';
    ELSIF p_table IS NULL OR p_table NOT IN ('document_versions', 'agent_executions') THEN
        RAISE EXCEPTION 'p_table: must be document_versions or agent_executions'
            USING ERRCODE = 'CD004';
    END IF;

    -- A thousandth of the table, walked back from the end, answers for what is frequent in a project,
    -- and for a small project altogether. So the index, which knows no projects, is read for those only
    -- that have at least a thousandth of all rows: what it has of others is a page for some 7,000.
    SELECT greatest(1000, c.reltuples / 1000) INTO v_walk
    FROM pg_class c WHERE c.oid = p_table::regclass;

    IF p_table = 'document_versions' THEN
        WITH latest AS MATERIALIZED (
            SELECT v.id, v.execution_id, v.document_type, v.metadata @> p_contained AS fits
            FROM document_versions v
            WHERE v.project_id = p_project_id
            ORDER BY v.execution_id DESC, v.document_type DESC
            LIMIT v_walk
        )
        SELECT count(*), array_agg(l.id ORDER BY l.execution_id DESC, l.document_type DESC)
                   FILTER (WHERE l.fits)
        INTO v_walked, v_ids FROM latest l;
    ELSE
        WITH latest AS MATERIALIZED (
            SELECT e.id, e.output_data @> p_contained AS fits
            FROM agent_executions e
            WHERE e.project_id = p_project_id
            ORDER BY e.id DESC
            LIMIT v_walk
        )
        SELECT count(*), array_agg(l.id ORDER BY l.id DESC) FILTER (WHERE l.fits)
        INTO v_walked, v_ids FROM latest l;
    END IF;

    IF v_walked < v_walk OR cardinality(v_ids) >= p_limit THEN
        RETURN QUERY SELECT unnest(v_ids[:p_limit]);
    ELSIF p_table = 'document_versions' THEN
        -- All of them, and then the latest: a limit here would have the planner walk after all.
        RETURN QUERY
        WITH fitting AS MATERIALIZED (
            SELECT v.id, v.execution_id, v.document_type
            FROM document_versions v
            WHERE v.project_id = p_project_id AND v.metadata @> p_contained
        )
        SELECT f.id FROM fitting f
        ORDER BY f.execution_id DESC, f.document_type DESC
        LIMIT p_limit;
    ELSE
        RETURN QUERY
        WITH fitting AS MATERIALIZED (
            SELECT e.id FROM agent_executions e
            WHERE e.project_id = p_project_id AND e.output_data @> p_contained
        )
        SELECT f.id FROM fitting f
        ORDER BY f.id DESC
        LIMIT p_limit;
    END IF;
END
$$;
