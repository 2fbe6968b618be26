-- Documents of one project for an agent, with content: one version of a type, its latest where no
-- version is named, or the latest of every type where no type is. One call, one moment.
CREATE FUNCTION read_documents(
    p_project_id uuid,
    p_document_type text,
    p_version integer
) RETURNS TABLE (
    document_type text,
    version integer,
    content text,
    metadata jsonb,
    readability_score double precision,
    grammar_score double precision,
    created_at timestamptz,
    execution_id uuid
)
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM enter_project(p_project_id);

    RETURN QUERY
    -- A step on the index for each type, however many versions it has; the last is NULL.
    WITH RECURSIVE types AS (
        SELECT coalesce(p_document_type, (
            SELECT min(v.document_type) FROM document_versions v
            WHERE v.project_id = p_project_id)) AS name
        UNION ALL
        SELECT (
            SELECT min(v.document_type) FROM document_versions v
            WHERE v.project_id = p_project_id AND v.document_type > t.name)
        FROM types t
        WHERE t.name IS NOT NULL AND p_document_type IS NULL
    )
    SELECT d.document_type::text, d.version, d.content, coalesce(d.metadata, '{}'),
           d.readability_score, d.grammar_score, d.created_at, d.execution_id
    FROM types t CROSS JOIN LATERAL (
        SELECT * FROM document_versions v
        WHERE v.project_id = p_project_id AND v.document_type = t.name
            AND (p_version IS NULL OR v.version = p_version)
        ORDER BY v.version DESC
        LIMIT 1
    ) d
    ORDER BY d.document_type;
END
$$;
