-- Where there is work: due executions for the agents of a worker, a few of each project, so that
-- one project's flood hides nobody. Projects are visited in a circle that goes on after `p_after`;
-- each costs one step on the index of pending rows. For the dispatch role: ids only.
CREATE FUNCTION find_due(
    p_agent_types text[],
    p_after uuid,
    p_projects integer,
    p_per_project integer
) RETURNS TABLE (project_id uuid, execution_id uuid)
LANGUAGE sql STABLE
SET search_path = public, pg_temp
-- The index of pending rows has them in all these orders, and no other has. The planner, who does
-- not know how many wait and where, would rather sort them, or look for them among all rows.
SET enable_sort = off
SET enable_incremental_sort = off
AS $$
    WITH RECURSIVE visited AS (
        (SELECT e.project_id, 1 AS place
         FROM agent_executions e
         WHERE e.status = 'pending' AND e.project_id > p_after
         ORDER BY e.project_id, e.priority DESC, e.scheduled_at, e.id
         LIMIT 1)
        UNION ALL
        SELECT later.project_id, visited.place + 1
        FROM visited CROSS JOIN LATERAL (
            SELECT e.project_id
            FROM agent_executions e
            WHERE e.status = 'pending' AND e.project_id > visited.project_id
            ORDER BY e.project_id, e.priority DESC, e.scheduled_at, e.id
            LIMIT 1
        ) later
        WHERE visited.place < p_projects
    )
    SELECT visited.project_id, due.id
    FROM visited CROSS JOIN LATERAL (
        SELECT e.id, row_number() OVER (ORDER BY e.priority DESC, e.scheduled_at, e.id) AS turn
        FROM agent_executions e
        WHERE e.status = 'pending' AND e.project_id = visited.project_id
            AND e.scheduled_at <= clock_timestamp() AND e.agent_type = ANY (p_agent_types)
        ORDER BY e.priority DESC, e.scheduled_at, e.id
        LIMIT p_per_project
    ) due
    ORDER BY due.turn, visited.place
$$;
