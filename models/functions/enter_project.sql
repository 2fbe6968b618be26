-- Bind the transaction to one project, or refuse: one transaction, one project.
CREATE FUNCTION enter_project(p_project_id uuid) RETURNS void
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
DECLARE
    v_bound text := current_setting('app.project_id', true);
BEGIN
    IF p_project_id IS NULL OR p_project_id = '00000000-0000-0000-0000-000000000000' THEN
        RAISE EXCEPTION 'project_id is missing; name exactly one project'
            USING ERRCODE = 'CD001';
    ELSIF v_bound IS NULL OR v_bound = '' THEN
        PERFORM set_config('app.project_id', p_project_id::text, true);
    ELSIF v_bound <> p_project_id::text THEN
        RAISE EXCEPTION 'this transaction is bound to another project; begin a new one'
            USING ERRCODE = 'CD002';
    END IF;
END
$$;
