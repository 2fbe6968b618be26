-- A project's language is set once: its documents and their scores depend on it.
CREATE FUNCTION refuse_language_change() RETURNS trigger
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'projects.language is set once and never changed; create another project'
        USING ERRCODE = 'CD005';
END
$$;
