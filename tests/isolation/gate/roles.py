"""What can be done to roles and settings; most of it outlives the database and is undone."""

from tests.isolation.gate.breakage import breaks
from worker.gate import Rule

ATTRIBUTE, MEMBER, CREATES = Rule.ROLE_ATTRIBUTE, Rule.ROLE_MEMBER, Rule.ROLE_CREATES
SCOPE, SETTING = Rule.SCOPE_DEFAULT, Rule.SETTING_UNSAFE

_SCOPE = "SET app.project_id = '0198c0de-0000-7000-8000-0000000000aa'"
_WORDS = {
    "SUPERUSER": "is a superuser",
    "BYPASSRLS": "may bypass row level security",
    "REPLICATION": "may copy the whole database by replication",
    "CREATEROLE": "may create roles",
    "CREATEDB": "may create databases",
}

_SEES = ("SUPERUSER", "BYPASSRLS")
_PROBED = ("copydesk_app", "copydesk_dispatch")

_ATTRIBUTES = {
    f"{role} with {attribute}": breaks(
        f"ALTER ROLE {role} {attribute}",
        f"the role {role} {words}",
        ATTRIBUTE,
        *((Rule.READ_PAST_RLS,) if attribute == "BYPASSRLS" and role in _PROBED else ()),
        *((Rule.FUNCTION_AS_OWNER,) if attribute in _SEES and role == "copydesk_search" else ()),
        undo=f"ALTER ROLE {role} NO{attribute}",
    )
    for role in (*_PROBED, "copydesk_maintenance", "copydesk_search", "copydesk_owner")
    for attribute, words in _WORDS.items()
    if (role, attribute) != ("copydesk_owner", "CREATEDB")
} | {
    "search role that logs in": breaks(
        "ALTER ROLE copydesk_search LOGIN",
        "the role copydesk_search may log in",
        ATTRIBUTE,
        undo="ALTER ROLE copydesk_search NOLOGIN",
    ),
    "backup role with SUPERUSER": breaks(
        "ALTER ROLE copydesk_backup SUPERUSER",
        "the role copydesk_backup is a superuser",
        ATTRIBUTE,
        undo="ALTER ROLE copydesk_backup NOSUPERUSER",
    ),
    "backup role with CREATEROLE": breaks(
        "ALTER ROLE copydesk_backup CREATEROLE",
        "the role copydesk_backup may create roles",
        ATTRIBUTE,
        undo="ALTER ROLE copydesk_backup NOCREATEROLE",
    ),
}

_MEMBERSHIPS = {
    "app role in the owner": breaks(
        "GRANT copydesk_owner TO copydesk_app",
        "the role copydesk_app is, or is a member of, copydesk_owner",
        MEMBER,
        undo="REVOKE copydesk_owner FROM copydesk_app",
    ),
    "app role in the owner, without inheriting from it": breaks(
        "GRANT copydesk_owner TO copydesk_app WITH INHERIT FALSE, SET FALSE, ADMIN TRUE",
        "the role copydesk_app is, or is a member of, copydesk_owner",
        MEMBER,
        undo="REVOKE copydesk_owner FROM copydesk_app",
    ),
    "app role in a role that is in the owner": breaks(
        "CREATE ROLE gate_middle IN ROLE copydesk_owner NOINHERIT;"
        "GRANT gate_middle TO copydesk_app WITH INHERIT FALSE",
        "the role copydesk_app is, or is a member of, copydesk_owner",
        MEMBER,
        undo="DROP ROLE gate_middle",
    ),
    "app role in a role of a person's": breaks(
        "CREATE ROLE gate_person; GRANT gate_person TO copydesk_app",
        "the role copydesk_app is a member of gate_person, and may what that may",
        MEMBER,
        undo="DROP ROLE gate_person",
    ),
    "dispatch role in the app role": breaks(
        "GRANT copydesk_app TO copydesk_dispatch WITH INHERIT FALSE",
        "the role copydesk_dispatch is a member of copydesk_app, and may what that may",
        MEMBER,
        undo="REVOKE copydesk_app FROM copydesk_dispatch",
    ),
    "app role in the maintenance role": breaks(
        "GRANT copydesk_maintenance TO copydesk_app WITH INHERIT FALSE",
        "the role copydesk_app is a member of copydesk_maintenance, and may what that may",
        MEMBER,
        undo="REVOKE copydesk_maintenance FROM copydesk_app",
    ),
    "somebody in the search role": breaks(
        "CREATE ROLE gate_person; GRANT copydesk_search TO gate_person",
        "the role gate_person is a member of copydesk_search, which sees every project",
        MEMBER,
        undo="DROP ROLE gate_person",
    ),
    "owner that inherits from the search role": breaks(
        "GRANT copydesk_search TO copydesk_owner WITH INHERIT TRUE",
        "the role copydesk_owner is a member of copydesk_search, which sees every project",
        MEMBER,
        undo="GRANT copydesk_search TO copydesk_owner WITH INHERIT FALSE, SET TRUE",
    ),
    "owner in the backup role": breaks(
        "GRANT copydesk_backup TO copydesk_owner WITH INHERIT FALSE",
        "the role copydesk_owner is a member of copydesk_backup, which sees every project",
        MEMBER,
        undo="REVOKE copydesk_backup FROM copydesk_owner",
    ),
    "search role in the app role": breaks(
        "GRANT copydesk_app TO copydesk_search WITH INHERIT FALSE",
        "the role copydesk_search is a member of copydesk_app, and may what that may",
        MEMBER,
        undo="REVOKE copydesk_app FROM copydesk_search",
    ),
    "backup role in the app role": breaks(
        "GRANT copydesk_app TO copydesk_backup WITH INHERIT FALSE",
        "the role copydesk_backup is a member of copydesk_app, and may what that may",
        MEMBER,
        undo="REVOKE copydesk_app FROM copydesk_backup",
    ),
    "maintenance role in the owner": breaks(
        "GRANT copydesk_owner TO copydesk_maintenance WITH INHERIT FALSE",
        "the role copydesk_maintenance is, or is a member of, copydesk_owner",
        MEMBER,
        undo="REVOKE copydesk_owner FROM copydesk_maintenance",
    ),
    "maintenance role in the dispatch role": breaks(
        "GRANT copydesk_dispatch TO copydesk_maintenance WITH INHERIT FALSE",
        "the role copydesk_maintenance is a member of copydesk_dispatch, and may what that may",
        MEMBER,
        undo="REVOKE copydesk_dispatch FROM copydesk_maintenance",
    ),
    "maintenance role that keeps tables of everybody": breaks(
        "GRANT pg_maintain TO copydesk_maintenance WITH INHERIT FALSE",
        "the role copydesk_maintenance is a member of pg_maintain, and may what that may",
        MEMBER,
        undo="REVOKE pg_maintain FROM copydesk_maintenance",
    ),
    "app role that reads all data": breaks(
        "GRANT pg_read_all_data TO copydesk_app",
        "the role copydesk_app is a member of pg_read_all_data",
        MEMBER,
        Rule.PRIVILEGE_EXCESS,
        undo="REVOKE pg_read_all_data FROM copydesk_app",
    ),
    "dispatch role that writes all data": breaks(
        "GRANT pg_write_all_data TO copydesk_dispatch",
        "the role copydesk_dispatch is a member of pg_write_all_data",
        MEMBER,
        Rule.PRIVILEGE_EXCESS,
        undo="REVOKE pg_write_all_data FROM copydesk_dispatch",
    ),
    **{
        f"app role in {role}": breaks(
            f"GRANT {role} TO copydesk_app",
            f"the role copydesk_app is a member of {role}",
            MEMBER,
            undo=f"REVOKE {role} FROM copydesk_app",
        )
        for role in ("pg_execute_server_program", "pg_read_server_files", "pg_read_all_stats")
    },
}

_CREATES = {
    "app role may create schemas": breaks(
        "GRANT CREATE ON DATABASE {name} TO copydesk_app",
        "the role copydesk_app may create schemas or temporary tables in DATABASE",
        CREATES,
    ),
    "temporary tables for everybody": breaks(
        "GRANT TEMPORARY ON DATABASE {name} TO PUBLIC",
        "the role copydesk_dispatch may create schemas or temporary tables in DATABASE",
        CREATES,
    ),
    "dispatch role may create temporary tables": breaks(
        "GRANT TEMPORARY ON DATABASE {name} TO copydesk_dispatch",
        "the role copydesk_dispatch may create schemas or temporary tables in DATABASE",
        CREATES,
    ),
    "everybody may create in the schema": breaks(
        "GRANT CREATE ON SCHEMA public TO PUBLIC",
        "the role copydesk_app may create objects in SCHEMA public",
        CREATES,
    ),
    "app role may create in another schema": breaks(
        "CREATE SCHEMA attic; GRANT CREATE ON SCHEMA attic TO copydesk_app",
        "the role copydesk_app may create objects in SCHEMA attic",
        CREATES,
    ),
    "maintenance role may create schemas": breaks(
        "GRANT CREATE ON DATABASE {name} TO copydesk_maintenance",
        "the role copydesk_maintenance may create schemas or temporary tables in DATABASE",
        CREATES,
    ),
    "maintenance role owns a function": breaks(
        "CREATE FUNCTION mine() RETURNS integer LANGUAGE sql RETURN 1;"
        "ALTER FUNCTION mine() OWNER TO copydesk_maintenance",
        "the role copydesk_maintenance owns function mine()",
        Rule.ROLE_OWNS,
    ),
    "app role owns a function": breaks(
        "CREATE FUNCTION mine() RETURNS integer LANGUAGE sql RETURN 1;"
        "ALTER FUNCTION mine() OWNER TO copydesk_app",
        "the role copydesk_app owns function mine()",
        Rule.ROLE_OWNS,
    ),
    "app role owns a schema": breaks(
        "CREATE SCHEMA mine AUTHORIZATION copydesk_app",
        "the role copydesk_app owns schema mine",
        Rule.ROLE_OWNS,
        CREATES,
    ),
    "dispatch role owns the database": breaks(
        "ALTER DATABASE {name} OWNER TO copydesk_dispatch",
        "the role copydesk_dispatch owns database",
        Rule.ROLE_OWNS,
        CREATES,
    ),
}

_SCOPES = {
    "default project of the database": breaks(
        f"ALTER DATABASE {{name}} {_SCOPE}", "app.project_id has a default, for DATABASE", SCOPE
    ),
    "default project of the app role": breaks(
        f"ALTER ROLE copydesk_app {_SCOPE}",
        "app.project_id has a default, for ROLE copydesk_app",
        SCOPE,
        undo="ALTER ROLE copydesk_app RESET app.project_id",
    ),
    "default project of a role in the database": breaks(
        f"ALTER ROLE copydesk_dispatch IN DATABASE {{name}} {_SCOPE}",
        "app.project_id has a default, for ROLE copydesk_dispatch IN DATABASE",
        SCOPE,
    ),
    "default project of all roles": breaks(
        f"ALTER ROLE ALL {_SCOPE}",
        "app.project_id has a default, for ROLE ALL",
        SCOPE,
        undo="ALTER ROLE ALL RESET app.project_id",
    ),
    "default project of another role": breaks(
        f"CREATE ROLE gate_service; ALTER ROLE gate_service {_SCOPE}",
        "app.project_id has a default, for ROLE gate_service",
        SCOPE,
        undo="DROP ROLE gate_service",
    ),
    "default project in other letters": breaks(
        "ALTER DATABASE {name} SET \"App.Project_ID\" = 'x'",
        "app.project_id has a default, for DATABASE",
        SCOPE,
    ),
    "default project that is empty": breaks(
        "ALTER DATABASE {name} SET app.project_id = ''", "app.project_id has a default", SCOPE
    ),
}

_SETTINGS = {
    "row security off": breaks(
        "ALTER ROLE copydesk_app IN DATABASE {name} SET row_security = off",
        "row_security is set for ROLE copydesk_app IN DATABASE",
        SETTING,
    ),
    "row security off for the maintenance role": breaks(
        "ALTER ROLE copydesk_maintenance IN DATABASE {name} SET row_security = off",
        "row_security is set for ROLE copydesk_maintenance IN DATABASE",
        SETTING,
    ),
    "search path of the database": breaks(
        "CREATE SCHEMA attic; GRANT USAGE ON SCHEMA attic TO PUBLIC;"
        "ALTER DATABASE {name} SET search_path = attic, public",
        "search_path is set for DATABASE",
        SETTING,
    ),
    "schema of the role's own name": breaks(
        "CREATE SCHEMA copydesk_app; GRANT USAGE ON SCHEMA copydesk_app TO PUBLIC",
        "search_path of copydesk_app is copydesk_app, public, not public",
        SETTING,
    ),
    "foreign keys switched off": breaks(
        "ALTER DATABASE {name} SET session_replication_role = replica",
        "session_replication_role is set for DATABASE",
        SETTING,
    ),
    "code loaded into sessions": breaks(
        "ALTER ROLE copydesk_app IN DATABASE {name} SET session_preload_libraries = auto_explain",
        "session_preload_libraries is set for ROLE copydesk_app",
        SETTING,
    ),
    "sessions that begin as another role": breaks(
        "ALTER ROLE copydesk_dispatch IN DATABASE {name} SET role = none",
        "role is set for ROLE copydesk_dispatch IN DATABASE",
        SETTING,
    ),
}

ROLES = {**_ATTRIBUTES, **_MEMBERSHIPS, **_CREATES, **_SCOPES, **_SETTINGS}
