-- running -> completed, with the versions and exports the attempts wrote: all of it or nothing.
-- Only attempts that are still this worker's are written (`accepted`). A repeat of a completion
-- that went through is accepted again and changes nothing, so an unanswered COMMIT can be retried.
-- `p_draft_owners` and `p_export_owners` are positions (from 1) in `p_execution_ids`.
CREATE FUNCTION complete_executions(
    p_project_id uuid,
    p_worker text,
    p_execution_ids uuid[],
    p_attempts integer[],
    p_outputs jsonb[],
    p_draft_owners integer[],
    p_draft_types text[],
    p_draft_contents text[],
    p_draft_metadata jsonb[],
    p_draft_readability double precision[],
    p_draft_grammar double precision[],
    p_draft_bases integer[],
    p_export_owners integer[],
    p_export_paths text[],
    p_export_manifests jsonb[],
    p_export_lifetimes interval[]
) RETURNS TABLE (execution_id uuid, accepted boolean, status text)
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    -- Places in the arrays, not ids: one call may carry a late attempt beside its successor.
    v_mine bigint[];
    v_done bigint[];
BEGIN
    PERFORM enter_project(p_project_id);

    -- Rows are locked in the order of their ids, by every move: no two can wait for each other.
    WITH mine AS (
        SELECT e.id, r.place, r.output
        FROM agent_executions e
            JOIN unnest(p_execution_ids, p_attempts, p_outputs)
                WITH ORDINALITY AS r (id, attempt, output, place)
                ON r.id = e.id AND r.attempt = e.attempt
        WHERE e.project_id = p_project_id AND e.id = ANY (p_execution_ids)
            AND CASE e.status WHEN 'running' THEN e.worker = p_worker END
        ORDER BY e.id
        FOR NO KEY UPDATE OF e
    ), completed AS (
        UPDATE agent_executions e
        SET status = 'completed', output_data = mine.output, completed_at = now(),
            lease_expires_at = NULL, error_code = NULL, error_message = NULL
        FROM mine
        WHERE e.project_id = p_project_id AND e.id = ANY (p_execution_ids) AND e.id = mine.id
        RETURNING e.id, e.attempt, mine.place
    ), noted AS (
        INSERT INTO execution_events (project_id, execution_id, event, attempt, worker)
        SELECT p_project_id, completed.id, 'completed', completed.attempt, p_worker FROM completed
    )
    SELECT array_agg(completed.place) INTO v_mine FROM completed;

    IF cardinality(p_draft_owners) > 0 THEN
        -- Version numbers are handed out under one lock a document, taken in a fixed order, and
        -- read in a later statement, whose snapshot sees what the previous holder committed.
        PERFORM pg_advisory_xact_lock(hashtextextended(p_project_id || ':' || locked.type, 0))
        FROM (SELECT DISTINCT d.type FROM unnest(p_draft_types) AS d (type) ORDER BY 1) locked;

        INSERT INTO document_versions (
            project_id, document_type, version, content, metadata, readability_score,
            grammar_score, base_version, created_by, execution_id, attempt)
        SELECT p_project_id, d.type,
               coalesce(latest.version, 0)
                   + row_number() OVER (PARTITION BY d.type ORDER BY d.owner),
               d.content, d.metadata, d.readability, d.grammar, d.base, e.requested_by, e.id,
               e.attempt
        FROM unnest(p_draft_owners, p_draft_types, p_draft_contents, p_draft_metadata,
                    p_draft_readability, p_draft_grammar, p_draft_bases)
                AS d (owner, type, content, metadata, readability, grammar, base)
            JOIN agent_executions e
                ON e.project_id = p_project_id AND e.id = ANY (p_execution_ids)
                    AND e.id = p_execution_ids[d.owner]
            CROSS JOIN LATERAL (
                SELECT max(v.version) AS version FROM document_versions v
                WHERE v.project_id = p_project_id AND v.document_type = d.type
            ) latest
        WHERE d.owner = ANY (v_mine);
    END IF;

    IF cardinality(p_export_owners) > 0 THEN
        INSERT INTO exports (
            project_id, status, manifest, file_path, expires_at, execution_id, attempt)
        SELECT p_project_id, 'completed', x.manifest, x.path, now() + x.lifetime,
               p_execution_ids[x.owner], p_attempts[x.owner]
        FROM unnest(p_export_owners, p_export_paths, p_export_manifests, p_export_lifetimes)
            AS x (owner, path, manifest, lifetime)
        WHERE x.owner = ANY (v_mine);
    END IF;

    IF cardinality(v_mine) = cardinality(p_execution_ids) THEN
        RETURN QUERY SELECT r.id, true, 'completed' FROM unnest(p_execution_ids) AS r (id);
        RETURN;
    END IF;

    SELECT array_agg(r.place) INTO v_done
    FROM agent_executions e
        JOIN unnest(p_execution_ids, p_attempts) WITH ORDINALITY AS r (id, attempt, place)
            ON r.id = e.id AND r.attempt = e.attempt
    WHERE e.project_id = p_project_id AND e.id = ANY (p_execution_ids)
        AND CASE e.status WHEN 'completed' THEN e.worker = p_worker END;

    -- What is thrown away is put on record by its size and SHA-256, never by its content.
    PERFORM reject_writes(
        p_project_id, p_worker, array_agg(thrown.id), array_agg(thrown.attempt), 'complete',
        array_agg(octet_length(thrown.bytes)::bigint),
        array_agg(encode(sha256(thrown.bytes), 'hex')))
    FROM (
        SELECT r.id, r.attempt, convert_to(concat(r.output, (
                SELECT string_agg(d.content, '' ORDER BY d.place)
                FROM unnest(p_draft_owners, p_draft_contents) WITH ORDINALITY
                    AS d (owner, content, place)
                WHERE d.owner = r.owner
            )), 'UTF8') AS bytes
        FROM unnest(p_execution_ids, p_attempts, p_outputs) WITH ORDINALITY
            AS r (id, attempt, output, owner)
        WHERE r.owner <> ALL (coalesce(v_done, '{}'))
    ) thrown
    HAVING count(*) > 0;

    RETURN QUERY
    SELECT r.id, coalesce(r.place = ANY (v_done), false), e.status::text
    FROM unnest(p_execution_ids) WITH ORDINALITY AS r (id, place)
        LEFT JOIN agent_executions e
            ON e.project_id = p_project_id AND e.id = ANY (p_execution_ids) AND e.id = r.id
    ORDER BY r.place;
END
$$;
