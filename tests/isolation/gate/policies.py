"""What can be done to policies, and to the switches of row level security."""

from tests.isolation.gate.breakage import breaks
from worker.gate import Rule

_SCOPE = "(SELECT current_setting('app.project_id')::uuid)"
_INSIDE = f"project_id = {_SCOPE}"
_FOR_ALL = f"USING ({_INSIDE}) WITH CHECK ({_INSIDE})"
_BOUND = "copydesk_app, copydesk_maintenance, copydesk_owner"
_ADMITTED = "copydesk_app, copydesk_maintenance"

WRONG, MISSING, EXCESS = Rule.POLICY_WRONG, Rule.POLICY_MISSING, Rule.POLICY_EXCESS

_REMADE = "DROP POLICY project_guard ON exports; CREATE POLICY project_guard ON exports"

POLICIES = {
    "guard dropped": breaks(
        "DROP POLICY project_guard ON exports",
        "exports: has no restrictive policy on app.project_id",
        MISSING,
    ),
    "guard of projects dropped": breaks(
        "DROP POLICY project_guard ON projects", "projects: has no restrictive policy", MISSING
    ),
    "guard lets read all": breaks(
        "ALTER POLICY project_guard ON exports USING (true)",
        "exports: policy project_guard has USING true",
        WRONG,
    ),
    "guard lets write all": breaks(
        "ALTER POLICY project_guard ON exports WITH CHECK (true)",
        "exports: policy project_guard has WITH CHECK true",
        WRONG,
    ),
    "guard without WITH CHECK": breaks(
        f"{_REMADE} AS RESTRICTIVE TO {_BOUND} USING ({_INSIDE})",
        "exports: policy project_guard has no WITH CHECK",
        WRONG,
    ),
    "guard that names the setting, and lets all in": breaks(
        f"ALTER POLICY project_guard ON exports USING ({_INSIDE} OR true)",
        "exports: policy project_guard has USING ((project_id = ( SELECT",
        WRONG,
    ),
    "guard on another setting": breaks(
        "ALTER POLICY project_guard ON exports "
        "USING (project_id = (SELECT current_setting('app.project')::uuid))",
        "current_setting('app.project'::text)",
        WRONG,
    ),
    "guard that is silent without a scope": breaks(
        "ALTER POLICY project_guard ON exports "
        "USING (project_id = (SELECT current_setting('app.project_id', true)::uuid))",
        "current_setting('app.project_id'::text, true)",
        WRONG,
    ),
    "guard on another column": breaks(
        f"ALTER POLICY project_guard ON exports USING (execution_id = {_SCOPE})",
        "exports: policy project_guard has USING (execution_id",
        WRONG,
    ),
    "guard that asks somebody's function": breaks(
        "CREATE FUNCTION current_setting(name varchar) RETURNS text LANGUAGE sql RETURN name;"
        "ALTER POLICY project_guard ON exports"
        " USING (project_id = (SELECT current_setting('app.project_id'::varchar)::uuid))",
        "exports: policy project_guard has USING",
        WRONG,
    ),
    "guard for reading only": breaks(
        f"{_REMADE} AS RESTRICTIVE FOR SELECT TO {_BOUND} USING ({_INSIDE})",
        "exports: policy project_guard is for SELECT, not ALL",
        WRONG,
    ),
    "guard made permissive": breaks(
        f"{_REMADE} AS PERMISSIVE TO {_BOUND} {_FOR_ALL}",
        "exports: policy project_guard is permissive",
        WRONG,
    ),
    "guard that spares the app role": breaks(
        "ALTER POLICY project_guard ON exports TO copydesk_owner",
        f"exports: policy project_guard is for copydesk_owner, not {_BOUND}",
        WRONG,
    ),
    "guard that spares the maintenance role": breaks(
        "ALTER POLICY project_guard ON exports TO copydesk_app, copydesk_owner",
        f"exports: policy project_guard is for copydesk_app, copydesk_owner, not {_BOUND}",
        WRONG,
    ),
    "guard that spares the owner": breaks(
        "ALTER POLICY project_guard ON exports TO copydesk_app",
        "exports: policy project_guard is for copydesk_app",
        WRONG,
    ),
    "guard that binds the dispatch role": breaks(
        "ALTER POLICY project_guard ON agent_executions TO PUBLIC",
        "agent_executions: policy project_guard is for PUBLIC",
        WRONG,
    ),
    "access dropped": breaks(
        "DROP POLICY project_access ON execution_events",
        f"execution_events: has no policy that lets {_ADMITTED} in",
        MISSING,
    ),
    "access without WITH CHECK": breaks(
        "DROP POLICY project_access ON exports; CREATE POLICY project_access ON exports"
        f" TO {_ADMITTED} USING ({_INSIDE})",
        "exports: policy project_access has no WITH CHECK",
        WRONG,
    ),
    "access to all rows": breaks(
        "ALTER POLICY project_access ON document_versions USING (true)",
        "document_versions: policy project_access has USING true",
        WRONG,
    ),
    "access for everybody": breaks(
        "ALTER POLICY project_access ON exports TO PUBLIC",
        "exports: policy project_access is for PUBLIC, not copydesk_app",
        WRONG,
    ),
    "access for the dispatch role too": breaks(
        "ALTER POLICY project_access ON exports TO copydesk_app, copydesk_dispatch",
        "exports: policy project_access is for copydesk_app, copydesk_dispatch",
        WRONG,
    ),
    "access without the maintenance role": breaks(
        "ALTER POLICY project_access ON exports TO copydesk_app",
        f"exports: policy project_access is for copydesk_app, not {_ADMITTED}",
        WRONG,
    ),
    "access made restrictive": breaks(
        "DROP POLICY project_access ON exports; CREATE POLICY project_access ON exports"
        f" AS RESTRICTIVE TO {_ADMITTED} {_FOR_ALL}",
        "exports: policy project_access is restrictive",
        WRONG,
    ),
    "second permissive policy for the app role": breaks(
        f"CREATE POLICY again ON exports TO copydesk_app {_FOR_ALL}",
        "exports: the permissive policy again for copydesk_app is one too many",
        EXCESS,
    ),
    "second permissive policy for reading": breaks(
        "CREATE POLICY peek ON document_versions FOR SELECT TO copydesk_app USING (true)",
        "document_versions: the permissive policy peek for copydesk_app",
        EXCESS,
    ),
    "permissive policy for the maintenance role": breaks(
        "CREATE POLICY all_of_it ON exports TO copydesk_maintenance USING (true)",
        "exports: the permissive policy all_of_it for copydesk_maintenance is one too many",
        EXCESS,
    ),
    "permissive policy for everybody": breaks(
        "CREATE POLICY backdoor ON projects USING (true)",
        "projects: the permissive policy backdoor for PUBLIC is one too many",
        EXCESS,
    ),
    "permissive policy for the owner": breaks(
        "CREATE POLICY for_once ON exports TO copydesk_owner USING (true)",
        "exports: the permissive policy for_once for copydesk_owner",
        EXCESS,
    ),
    "permissive policy for a stranger": breaks(
        "CREATE ROLE gate_reporting; CREATE POLICY report ON exports FOR SELECT TO gate_reporting"
        " USING (true)",
        "exports: the permissive policy report for gate_reporting",
        EXCESS,
        undo="DROP OWNED BY gate_reporting; DROP ROLE gate_reporting",
    ),
    "dispatch role let into another table": breaks(
        "CREATE POLICY dispatch_read ON document_versions FOR SELECT TO copydesk_dispatch"
        " USING (true)",
        "document_versions: the permissive policy dispatch_read for copydesk_dispatch",
        EXCESS,
    ),
    "dispatch role let delete": breaks(
        "CREATE POLICY dispatch_delete ON agent_executions FOR DELETE TO copydesk_dispatch"
        " USING (true)",
        "agent_executions: the permissive policy dispatch_delete for copydesk_dispatch",
        EXCESS,
    ),
    "dispatch policy given to the app role": breaks(
        "ALTER POLICY dispatch_read ON agent_executions TO copydesk_app",
        "agent_executions: policy dispatch_read is for copydesk_app, not copydesk_dispatch",
        WRONG,
    ),
    "dispatch policy dropped": breaks(
        "DROP POLICY dispatch_extend ON agent_executions",
        "agent_executions: has no policy that lets copydesk_dispatch in, for UPDATE",
        MISSING,
    ),
    "restrictive policy that looks at rows": breaks(
        "CREATE POLICY audit ON exports AS RESTRICTIVE TO copydesk_app"
        " USING (length(file_path) > 0)",
        "exports: the restrictive policy audit for copydesk_app is one too many",
        EXCESS,
    ),
    "policy on a table that belongs to no project": breaks(
        "CREATE POLICY own ON users TO copydesk_app USING (true)",
        "users: the permissive policy own for copydesk_app is one too many",
        EXCESS,
    ),
}

_OWNED = ("projects", "agent_executions", "execution_events", "document_versions", "exports")

SWITCHES = {
    **{
        f"row level security of {table} disabled": breaks(
            f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY",
            f"{table}: row level security is not enabled",
            Rule.RLS_DISABLED,
            Rule.READ_PAST_RLS,
        )
        for table in _OWNED
    },
    **{
        f"row level security of {table} not forced": breaks(
            f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY",
            f"{table}: row level security is not forced",
            Rule.RLS_NOT_FORCED,
        )
        for table in _OWNED
    },
}
