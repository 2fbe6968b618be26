-- Create a project and bind the transaction to it.
CREATE FUNCTION create_project(p_name text, p_created_by uuid, p_language text DEFAULT 'en')
RETURNS uuid
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
DECLARE
    v_id uuid := uuidv7();
BEGIN
    PERFORM enter_project(v_id);
    INSERT INTO projects (id, name, language, created_by)
    VALUES (v_id, p_name, p_language, p_created_by);
    RETURN v_id;
END
$$;
