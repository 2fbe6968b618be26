-- Which projects have executions, in the order of their ids, behind `p_after`. Each costs one step on
-- the index. For the dispatch role: ids only.
CREATE FUNCTION find_projects(p_after uuid, p_limit integer) RETURNS TABLE (project_id uuid)
LANGUAGE sql STABLE
SET search_path = public, pg_temp
AS $$
    WITH RECURSIVE visited AS (
        (SELECT e.project_id, 1 AS place
         FROM agent_executions e
         WHERE e.project_id > p_after
         ORDER BY e.project_id
         LIMIT 1)
        UNION ALL
        SELECT later.project_id, visited.place + 1
        FROM visited CROSS JOIN LATERAL (
            SELECT e.project_id
            FROM agent_executions e
            WHERE e.project_id > visited.project_id
            ORDER BY e.project_id
            LIMIT 1
        ) later
        WHERE visited.place < p_limit
    )
    SELECT visited.project_id FROM visited ORDER BY visited.project_id
$$;
