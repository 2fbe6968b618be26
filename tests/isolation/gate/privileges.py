"""What can be granted and revoked: on tables, columns, sequences, functions, and elsewhere."""
# ruff: noqa: S608 - the names in these statements come from the models

from models.roles import CONTROL_COLUMNS
from models.tables import Base
from tests.isolation.gate.breakage import breaks
from worker.gate import Rule

EXCESS, MISSING = Rule.PRIVILEGE_EXCESS, Rule.PRIVILEGE_MISSING
GRANTABLE, PUBLIC = Rule.PRIVILEGE_GRANTABLE, Rule.PRIVILEGE_PUBLIC
DEFAULT, ELSEWHERE = Rule.PRIVILEGE_DEFAULT, Rule.PRIVILEGE_ELSEWHERE

_EXECUTIONS = Base.metadata.tables["agent_executions"]
_CONTENT = [each.name for each in _EXECUTIONS.columns if each.name not in CONTROL_COLUMNS]
_OTHERS = ["alembic_version", *(name for name in Base.metadata.tables if name != _EXECUTIONS.name)]

_APP_EXCESS = {
    f"{privilege} on {table} to the app role": breaks(
        f"GRANT {privilege} ON {table} TO copydesk_app",
        f"{table}: copydesk_app has {said or privilege} on it, and must not",
        EXCESS,
    )
    for privilege, table, said in (
        ("TRUNCATE", "exports", ""),
        ("TRUNCATE", "users", ""),
        ("REFERENCES", "document_versions", ""),
        ("REFERENCES (id)", "projects", "REFERENCES (id)"),
        ("TRIGGER", "agent_executions", ""),
        ("MAINTAIN", "execution_events", ""),
        ("DELETE", "execution_events", ""),
        ("DELETE", "projects", ""),
        ("UPDATE", "document_versions", ""),
        ("UPDATE (content)", "document_versions", "UPDATE (content)"),
        ("UPDATE (language)", "projects", "UPDATE (language)"),
        ("UPDATE", "alembic_version", ""),
    )
}

_DISPATCH = {
    **{
        f"control column {column} taken from the dispatch role": breaks(
            f"REVOKE SELECT ({column}) ON agent_executions FROM copydesk_dispatch",
            f"agent_executions: copydesk_dispatch has no SELECT ({column}) on it",
            MISSING,
        )
        for column in CONTROL_COLUMNS
    },
    **{
        f"content column {column} shown to the dispatch role": breaks(
            f"GRANT SELECT ({column}) ON agent_executions TO copydesk_dispatch",
            f"agent_executions: copydesk_dispatch has SELECT ({column}) on it, and must not",
            EXCESS,
        )
        for column in _CONTENT
    },
    **{
        f"table {table} shown to the dispatch role": breaks(
            f"GRANT SELECT ON {table} TO copydesk_dispatch",
            f"{table}: copydesk_dispatch has SELECT on it, and must not",
            EXCESS,
        )
        for table in _OTHERS
    },
    "lease taken from the dispatch role": breaks(
        "REVOKE UPDATE (lease_expires_at) ON agent_executions FROM copydesk_dispatch",
        "agent_executions: copydesk_dispatch has no UPDATE (lease_expires_at) on it",
        MISSING,
    ),
    "whole executions shown to the dispatch role": breaks(
        "GRANT SELECT ON agent_executions TO copydesk_dispatch",
        "agent_executions: copydesk_dispatch has SELECT (completed_at, correlation_id",
        EXCESS,
    ),
    "state open to the dispatch role": breaks(
        "GRANT UPDATE (status) ON agent_executions TO copydesk_dispatch",
        "agent_executions: copydesk_dispatch has UPDATE (status)",
        EXCESS,
    ),
    **{
        f"{privilege} on executions to the dispatch role": breaks(
            f"GRANT {privilege} ON agent_executions TO copydesk_dispatch",
            f"agent_executions: copydesk_dispatch has {privilege} ",
            EXCESS,
        )
        for privilege in ("INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
    },
}

_MAINTENANCE = {
    **{
        f"{privilege} on {table} to the maintenance role": breaks(
            f"GRANT {privilege} ON {table} TO copydesk_maintenance",
            f"{table}: copydesk_maintenance has {privilege} on it, and must not",
            EXCESS,
        )
        for privilege, table in (
            ("TRUNCATE", "exports"),
            ("DELETE", "users"),
            ("UPDATE (content)", "document_versions"),
            ("UPDATE (output_data)", "agent_executions"),
            ("UPDATE (detail)", "execution_events"),
            ("UPDATE (language)", "projects"),
            ("SELECT", "workers"),
            ("UPDATE", "alembic_version"),
        )
    },
    **{
        f"{privilege} on {table} taken from the maintenance role": breaks(
            f"REVOKE {privilege} ON {table} FROM copydesk_maintenance",
            f"{table}: copydesk_maintenance has no {privilege} on it",
            MISSING,
        )
        for privilege, table in (("DELETE", "projects"), ("MAINTAIN", "workers"))
    },
    "move given to the maintenance role": breaks(
        "GRANT EXECUTE ON FUNCTION find_projects TO copydesk_maintenance",
        "function find_projects(p_after uuid, p_limit integer): copydesk_maintenance may call it",
        EXCESS,
    ),
    "cancelling taken from the maintenance role": breaks(
        "REVOKE EXECUTE ON FUNCTION cancel_executions FROM copydesk_maintenance",
        "copydesk_maintenance may not call it",
        MISSING,
    ),
    "default privileges for the maintenance role": breaks(
        "ALTER DEFAULT PRIVILEGES FOR ROLE copydesk_owner"
        " GRANT DELETE ON TABLES TO copydesk_maintenance",
        "copydesk_maintenance gets DELETE on TABLES that copydesk_owner makes",
        DEFAULT,
    ),
    "files of the server for the maintenance role": breaks(
        "GRANT EXECUTE ON FUNCTION pg_read_file(text) TO copydesk_maintenance",
        "the role copydesk_maintenance holds privileges on function pg_read_file(text)",
        ELSEWHERE,
    ),
}

_SEEING = {
    "contents for the search role": breaks(
        "GRANT SELECT (content) ON document_versions TO copydesk_search",
        "document_versions: copydesk_search has SELECT (content) on it, and must not",
        EXCESS,
    ),
    "exports for the search role": breaks(
        "GRANT SELECT ON exports TO copydesk_search",
        "exports: copydesk_search has SELECT on it, and must not",
        EXCESS,
    ),
    "search role that writes": breaks(
        "GRANT UPDATE (metadata) ON document_versions TO copydesk_search",
        "document_versions: copydesk_search has UPDATE (metadata) on it, and must not",
        EXCESS,
    ),
    "metadata taken from the search role": breaks(
        "REVOKE SELECT (metadata) ON document_versions FROM copydesk_search",
        "document_versions: copydesk_search has no SELECT (metadata) on it",
        MISSING,
    ),
    "move given to the search role": breaks(
        "GRANT EXECUTE ON FUNCTION claim_executions TO copydesk_search",
        "copydesk_search may call it, and must not",
        EXCESS,
    ),
    "function of the search role's own": breaks(
        "CREATE FUNCTION peek() RETURNS int LANGUAGE sql AS 'SELECT 1';"
        "ALTER FUNCTION peek() OWNER TO copydesk_search",
        "the role copydesk_search owns function peek()",
        Rule.ROLE_OWNS,
    ),
    "backup role that writes": breaks(
        "GRANT INSERT ON exports TO copydesk_backup",
        "exports: copydesk_backup has INSERT on it, and must not",
        EXCESS,
    ),
    "backup role that deletes": breaks(
        "GRANT DELETE ON agent_executions TO copydesk_backup",
        "agent_executions: copydesk_backup has DELETE on it, and must not",
        EXCESS,
    ),
    "backup role without a table": breaks(
        "REVOKE SELECT ON document_versions FROM copydesk_backup",
        "document_versions: copydesk_backup has no SELECT",
        MISSING,
    ),
    "backup role that counts on": breaks(
        "GRANT USAGE ON SEQUENCE execution_events_id_seq TO copydesk_backup",
        "execution_events_id_seq: copydesk_backup has USAGE on it, and must not",
        EXCESS,
    ),
    "move given to the backup role": breaks(
        "GRANT EXECUTE ON FUNCTION claim_executions TO copydesk_backup",
        "copydesk_backup may call it, and must not",
        EXCESS,
    ),
}

_OPTIONS = {
    "grant missing": breaks(
        "REVOKE INSERT ON agent_executions FROM copydesk_app",
        "agent_executions: copydesk_app has no INSERT on it",
        MISSING,
    ),
    "grant on some columns missing": breaks(
        "REVOKE UPDATE (status) ON exports FROM copydesk_app",
        "exports: copydesk_app has no UPDATE (status) on it",
        MISSING,
    ),
    "grant on a table that belongs to no project missing": breaks(
        "REVOKE ALL ON users FROM copydesk_app", "users: copydesk_app has no SELECT", MISSING
    ),
    "revision hidden": breaks(
        "REVOKE SELECT ON alembic_version FROM copydesk_app",
        "alembic_version: copydesk_app has no SELECT on it",
        MISSING,
    ),
    "grant option": breaks(
        "GRANT SELECT ON exports TO copydesk_app WITH GRANT OPTION",
        "exports: copydesk_app may grant SELECT on it to others",
        GRANTABLE,
    ),
    "grant option on a column": breaks(
        "GRANT SELECT (id) ON agent_executions TO copydesk_dispatch WITH GRANT OPTION",
        "agent_executions: copydesk_dispatch may grant SELECT on it to others",
        GRANTABLE,
    ),
    "table open to everybody": breaks(
        "GRANT SELECT ON users TO PUBLIC",
        "users: everybody (PUBLIC) has SELECT on it",
        PUBLIC,
    ),
    "column open to everybody that both roles see anyway": breaks(
        "GRANT SELECT (id) ON agent_executions TO PUBLIC",
        "agent_executions: everybody (PUBLIC) has SELECT on it",
        PUBLIC,
    ),
    "truncation open to everybody": breaks(
        "GRANT TRUNCATE ON exports TO PUBLIC",
        "exports: everybody (PUBLIC) has TRUNCATE on it",
        PUBLIC,
    ),
    "sequence": breaks(
        "GRANT USAGE ON SEQUENCE execution_events_id_seq TO copydesk_app",
        "execution_events_id_seq: copydesk_app has USAGE on it, and must not",
        EXCESS,
    ),
    "sequence open to everybody": breaks(
        "GRANT SELECT ON SEQUENCE execution_events_id_seq TO PUBLIC",
        "execution_events_id_seq: everybody (PUBLIC) has SELECT on it",
        PUBLIC,
    ),
    "schema closed to the dispatch role": breaks(
        "REVOKE USAGE ON SCHEMA public FROM copydesk_dispatch, PUBLIC",
        "the role copydesk_dispatch has no USAGE on SCHEMA public",
        MISSING,
        undo="GRANT USAGE ON SCHEMA public TO PUBLIC",
    ),
}

_FUNCTIONS = {
    "move open to everybody": breaks(
        "GRANT EXECUTE ON FUNCTION create_project TO PUBLIC",
        "function create_project(p_name text, p_created_by uuid, p_language text):"
        " everybody (PUBLIC) may call it",
        PUBLIC,
    ),
    "move given to the dispatch role": breaks(
        "GRANT EXECUTE ON FUNCTION cancel_executions TO copydesk_dispatch",
        "copydesk_dispatch may call it, and must not",
        EXCESS,
    ),
    "search across projects given to the app role": breaks(
        "GRANT EXECUTE ON FUNCTION find_expired TO copydesk_app",
        "function find_expired(p_limit integer): copydesk_app may call it, and must not",
        EXCESS,
    ),
    "trigger's function given to the app role": breaks(
        "GRANT EXECUTE ON FUNCTION touch_project TO copydesk_app",
        "function touch_project(): copydesk_app may call it, and must not",
        EXCESS,
    ),
    "heartbeat taken from the dispatch role": breaks(
        "REVOKE EXECUTE ON FUNCTION extend_leases FROM copydesk_dispatch",
        "copydesk_dispatch may not call it",
        MISSING,
    ),
}

_OWNERS_DEFAULT = "ALTER DEFAULT PRIVILEGES FOR ROLE copydesk_owner"

_ELSEWHERE = {
    "default privileges": breaks(
        f"{_OWNERS_DEFAULT} GRANT SELECT ON TABLES TO copydesk_dispatch",
        "copydesk_dispatch gets SELECT on TABLES that copydesk_owner makes",
        DEFAULT,
    ),
    "default privileges for everybody in a schema": breaks(
        f"{_OWNERS_DEFAULT} IN SCHEMA public GRANT USAGE ON SEQUENCES TO PUBLIC",
        "PUBLIC gets USAGE on SEQUENCES that copydesk_owner makes",
        DEFAULT,
    ),
    "default privileges on functions": breaks(
        f"{_OWNERS_DEFAULT} GRANT EXECUTE ON FUNCTIONS TO copydesk_app",
        "copydesk_app gets EXECUTE on FUNCTIONS that copydesk_owner makes",
        DEFAULT,
    ),
    "files of the server": breaks(
        "GRANT EXECUTE ON FUNCTION pg_read_file(text) TO copydesk_app",
        "the role copydesk_app holds privileges on function pg_read_file(text)",
        ELSEWHERE,
    ),
    "files of the server for everybody": breaks(
        "GRANT EXECUTE ON FUNCTION pg_read_binary_file(text) TO PUBLIC",
        "function pg_read_binary_file(text): everybody (PUBLIC) holds privileges on it",
        ELSEWHERE,
    ),
    "samples of every table": breaks(
        "GRANT SELECT ON pg_statistic TO copydesk_dispatch",
        "the role copydesk_dispatch holds privileges on table pg_statistic",
        ELSEWHERE,
    ),
    "samples of every table for everybody": breaks(
        "GRANT SELECT ON pg_statistic TO PUBLIC",
        "table pg_statistic: everybody (PUBLIC) holds privileges on it",
        ELSEWHERE,
    ),
    "parameter that switches foreign keys off": breaks(
        "GRANT SET ON PARAMETER session_replication_role TO copydesk_app",
        "the role copydesk_app holds privileges on parameter session_replication_role",
        ELSEWHERE,
        undo="REVOKE SET ON PARAMETER session_replication_role FROM copydesk_app",
    ),
    "parameter for everybody": breaks(
        "GRANT SET ON PARAMETER session_replication_role TO PUBLIC",
        "parameter session_replication_role: everybody (PUBLIC) holds privileges on it",
        ELSEWHERE,
        undo="REVOKE SET ON PARAMETER session_replication_role FROM PUBLIC",
    ),
    "foreign server": breaks(
        "CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER far FOREIGN DATA WRAPPER nothing;"
        "GRANT USAGE ON FOREIGN SERVER far TO copydesk_app",
        "the role copydesk_app holds privileges on server far",
        ELSEWHERE,
    ),
    "foreign server for everybody": breaks(
        "CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER far FOREIGN DATA WRAPPER nothing;"
        "GRANT USAGE ON FOREIGN SERVER far TO PUBLIC;"
        "GRANT USAGE ON FOREIGN DATA WRAPPER nothing TO PUBLIC",
        "foreign server far: everybody (PUBLIC) holds privileges on it",
        ELSEWHERE,
    ),
    "passwords for everybody": breaks(
        "GRANT SELECT (rolname, rolpassword) ON pg_authid TO PUBLIC",
        "column rolpassword of table pg_authid: everybody (PUBLIC) holds privileges on it",
        ELSEWHERE,
        undo="REVOKE SELECT (rolname, rolpassword) ON pg_authid FROM PUBLIC",
    ),
    "large object": breaks(
        "SELECT lo_create(4711); GRANT SELECT ON LARGE OBJECT 4711 TO copydesk_app",
        "large objects: 1 of them are open to every project alike",
        Rule.LARGE_OBJECT,
    ),
    "large object for everybody": breaks(
        "SELECT lo_create(4711); GRANT SELECT ON LARGE OBJECT 4711 TO PUBLIC",
        "large objects: 1 of them",
        Rule.LARGE_OBJECT,
    ),
    "large object that a running role made": breaks(
        "SET ROLE copydesk_app; SELECT lo_create(4711); SELECT lo_create(4712)",
        "large objects: 2 of them",
        Rule.LARGE_OBJECT,
    ),
}

PRIVILEGES = {
    **_APP_EXCESS,
    **_DISPATCH,
    **_MAINTENANCE,
    **_SEEING,
    **_OPTIONS,
    **_FUNCTIONS,
    **_ELSEWHERE,
}
