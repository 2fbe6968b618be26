"""Changes made by hand, each with what `check` must say about it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Drift:
    """What the report must begin with or contain, and the statements done as the superuser."""

    told: str
    statements: tuple[str, ...]


def drift(told: str, *statements: str) -> Drift:
    """Return a drift of one or more statements."""
    return Drift(told, statements)


# What `models.comparison` puts right itself, without Alembic's own operations.
REPAIRED = {
    "policy dropped": drift(
        "policy project_guard on exports is declared and missing",
        "DROP POLICY project_guard ON exports",
    ),
    "policy widened": drift(
        "policy project_access on exports differs",
        "ALTER POLICY project_access ON exports USING (true)",
    ),
    "policy for one more role": drift(
        "policy project_access on exports differs",
        "ALTER POLICY project_access ON exports TO PUBLIC",
    ),
    "permissive policy added": drift(
        "policy backdoor on projects exists and is not declared",
        "CREATE POLICY backdoor ON projects USING (true)",
    ),
    "row level security off": drift(
        "row level security of table exports is declared and missing",
        "ALTER TABLE exports DISABLE ROW LEVEL SECURITY",
    ),
    "row level security not forced": drift(
        "forced row level security of table exports is declared and missing",
        "ALTER TABLE exports NO FORCE ROW LEVEL SECURITY",
    ),
    "table grant added": drift(
        "grants on table exports to copydesk_app differs",
        "GRANT TRUNCATE ON exports TO copydesk_app",
    ),
    "table grant missing": drift(
        "grants on table exports to copydesk_app differs",
        "REVOKE INSERT ON exports FROM copydesk_app",
    ),
    "table grant to everybody": drift(
        "grants on table users to PUBLIC exists and is not declared",
        "GRANT SELECT ON users TO PUBLIC",
    ),
    "column grant added": drift(
        "grants on table agent_executions to copydesk_dispatch differs",
        "GRANT SELECT (input_data) ON agent_executions TO copydesk_dispatch",
    ),
    "grant option added": drift(
        "grants on table users to copydesk_app differs",
        "GRANT SELECT ON users TO copydesk_app WITH GRANT OPTION",
    ),
    "sequence grant added": drift(
        "grants on sequence execution_events_id_seq to copydesk_app exists and is not declared",
        "GRANT USAGE ON SEQUENCE execution_events_id_seq TO copydesk_app",
    ),
    "function open to everybody": drift(
        "grants on function enter_project(uuid) to PUBLIC exists and is not declared",
        "GRANT EXECUTE ON FUNCTION enter_project(uuid) TO PUBLIC",
    ),
    "function grant missing": drift(
        "grants on function enter_project(uuid) to copydesk_app is declared and missing",
        "REVOKE EXECUTE ON FUNCTION enter_project(uuid) FROM copydesk_app",
    ),
    "function body changed": drift(
        "function touch_project() differs from its declaration",
        "CREATE OR REPLACE FUNCTION touch_project() RETURNS trigger LANGUAGE plpgsql"
        " SET search_path = public, pg_temp AS $$ BEGIN RETURN NEW; END $$",
    ),
    "function option changed": drift(
        "function enter_project(uuid) differs from its declaration",
        "ALTER FUNCTION enter_project(uuid) SECURITY DEFINER",
    ),
    "function search path opened": drift(
        "function enter_project(uuid) differs from its declaration",
        "ALTER FUNCTION enter_project(uuid) RESET search_path",
    ),
    "function with another answer": drift(
        "function enter_project(uuid) differs from its declaration",
        "SET LOCAL ROLE copydesk_owner",
        "DROP FUNCTION enter_project(uuid)",
        "CREATE FUNCTION enter_project(p_project_id uuid) RETURNS boolean"
        " LANGUAGE sql SET search_path = public, pg_temp AS 'SELECT true'",
    ),
    "function added": drift(
        "function extra() exists and is not declared",
        "CREATE FUNCTION extra() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    ),
    "search that runs as whoever calls it": drift(
        "function find_containing(uuid,text,jsonb,integer) differs from its declaration",
        "ALTER FUNCTION find_containing SECURITY INVOKER",
    ),
    "search that runs as the owner": drift(
        "owner of function find_containing(uuid,text,jsonb,integer) differs",
        "ALTER FUNCTION find_containing OWNER TO copydesk_owner",
    ),
    "search dropped": drift(
        "function find_containing(uuid,text,jsonb,integer) is declared and missing",
        "DROP FUNCTION find_containing",
    ),
    "search role that sees another column": drift(
        "grants on table document_versions to copydesk_search differs",
        "GRANT SELECT (content) ON document_versions TO copydesk_search",
    ),
    "function dropped": drift(
        "function find_due(text[],uuid,integer,integer) is declared and missing",
        "DROP FUNCTION find_due(text[], uuid, integer, integer)",
    ),
    "trigger dropped": drift(
        "trigger refuse_language_change on projects is declared and missing",
        "DROP TRIGGER refuse_language_change ON projects",
    ),
    "trigger disabled": drift(
        "trigger refuse_language_change on projects differs",
        "ALTER TABLE projects DISABLE TRIGGER refuse_language_change",
    ),
    "check constraint weakened": drift(
        "constraint check_document_versions_version on document_versions differs",
        "ALTER TABLE document_versions DROP CONSTRAINT check_document_versions_version",
        "ALTER TABLE document_versions ADD CONSTRAINT check_document_versions_version"
        " CHECK (version >= 0)",
    ),
    "check constraint dropped": drift(
        "constraint check_exports_status on exports is declared and missing",
        "ALTER TABLE exports DROP CONSTRAINT check_exports_status",
    ),
    "operator class of an index changed": drift(
        "index idx_agent_output differs",
        "DROP INDEX idx_agent_output",
        "CREATE INDEX idx_agent_output ON agent_executions USING gin (output_data)",
    ),
    "predicate of an index changed": drift(
        "index idx_exports_pending differs",
        "DROP INDEX idx_exports_pending",
        "CREATE INDEX idx_exports_pending ON exports (created_at) WHERE status = 'failed'",
    ),
    "vacuum setting taken away": drift(
        "option autovacuum_vacuum_insert_scale_factor of table execution_events is declared and",
        "ALTER TABLE execution_events RESET (autovacuum_vacuum_insert_scale_factor)",
    ),
    "fill factor changed": drift(
        "option fillfactor of table agent_executions differs",
        "ALTER TABLE agent_executions SET (fillfactor = 100)",
    ),
    "storage changed": drift(
        "storage of agent_executions.error_message exists and is not declared",
        "ALTER TABLE agent_executions ALTER error_message SET STORAGE MAIN",
    ),
    "statistics of a column": drift(
        "statistics of workers.name exists and is not declared",
        "ALTER TABLE workers ALTER name SET STATISTICS 500",
    ),
    "statistics of a column with content": drift(
        "statistics of document_versions.content is declared and missing",
        "ALTER TABLE document_versions ALTER content SET STATISTICS DEFAULT",
    ),
    "number of distinct values": drift(
        "column option n_distinct of workers.name exists and is not declared",
        "ALTER TABLE workers ALTER name SET (n_distinct = 7)",
    ),
    "extended statistics": drift(
        "extended statistics spying on agent_executions exists and is not declared",
        "CREATE STATISTICS spying ON agent_type, status FROM agent_executions",
        "ALTER STATISTICS spying SET STATISTICS 500",
    ),
    "check constraint not validated": drift(
        "constraint check_document_versions_base_version on document_versions differs",
        "ALTER TABLE document_versions DROP CONSTRAINT check_document_versions_base_version",
        "ALTER TABLE document_versions ADD CONSTRAINT check_document_versions_base_version"
        " CHECK (base_version < version) NOT VALID",
    ),
    "check constraint not enforced": drift(
        "constraint check_document_versions_version on document_versions differs",
        "ALTER TABLE document_versions DROP CONSTRAINT check_document_versions_version",
        "ALTER TABLE document_versions ADD CONSTRAINT check_document_versions_version"
        " CHECK (version >= 1) NOT ENFORCED",
    ),
    "view added": drift(
        "view everything exists and is not declared",
        "CREATE VIEW everything AS SELECT * FROM projects",
    ),
    "given to another owner": drift(
        "owner of table workers differs", "ALTER TABLE workers OWNER TO postgres"
    ),
}

# What Alembic's own operations put right, or a person has to.
REPORTED = {
    "table added": drift("remove table extra", "CREATE TABLE extra (id integer)"),
    "column added": drift("users.phone", "ALTER TABLE users ADD phone text"),
    "column dropped": drift("exports.expires_at", "ALTER TABLE exports DROP expires_at"),
    "column type changed": drift(
        "modify type users.name", "ALTER TABLE users ALTER name TYPE varchar(10)"
    ),
    "column default changed": drift(
        "modify default agent_executions.priority",
        "ALTER TABLE agent_executions ALTER priority SET DEFAULT 5",
    ),
    "column made optional": drift(
        "modify nullable users.name", "ALTER TABLE users ALTER name DROP NOT NULL"
    ),
    "index dropped": drift("idx_executions_correlation", "DROP INDEX idx_executions_correlation"),
    "foreign key dropped": drift(
        "fk_exports_execution", "ALTER TABLE exports DROP CONSTRAINT fk_exports_execution"
    ),
    "cascade taken from a foreign key": drift(
        "fk_exports_project_id",
        "ALTER TABLE exports DROP CONSTRAINT fk_exports_project_id",
        "ALTER TABLE exports ADD CONSTRAINT fk_exports_project_id FOREIGN KEY (project_id)"
        " REFERENCES projects",
    ),
    "foreign key not enforced": drift(
        "fk_exports_project_id",
        "ALTER TABLE exports ALTER CONSTRAINT fk_exports_project_id NOT ENFORCED",
    ),
    "column not validated as not null": drift(
        "column users.name differs",
        "ALTER TABLE users ALTER name DROP NOT NULL",
        "ALTER TABLE users ADD NOT NULL name NOT VALID",
    ),
    "compression of a column": drift(
        "column document_versions.content differs",
        "ALTER TABLE document_versions ALTER content SET COMPRESSION pglz",
    ),
    "options of an identity": drift(
        "column execution_events.id differs",
        "ALTER TABLE execution_events ALTER id SET CACHE 100",
    ),
    "replica identity": drift(
        "table exports differs", "ALTER TABLE exports REPLICA IDENTITY NOTHING"
    ),
    "table no longer survives a crash": drift(
        "table workers differs: it is `UNLOGGED TABLE`, declared is `TABLE`",
        "ALTER TABLE workers SET UNLOGGED",
    ),
    "sequence added": drift("sequence extra exists and is not declared", "CREATE SEQUENCE extra"),
    "type added": drift("type extra exists and is not declared", "CREATE TYPE extra AS ENUM ('a')"),
}

# What surrounds the schema.
SURROUNDING = {
    "role past row level security": drift(
        "role copydesk_app must not have the attribute BYPASSRLS",
        "ALTER ROLE copydesk_app BYPASSRLS",
    ),
    "role without the membership it needs": drift(
        "role copydesk_maintenance must be a member of pg_monitor",
        "REVOKE pg_monitor FROM copydesk_maintenance",
    ),
    "role in another role": drift(
        "role copydesk_app must not be a member of copydesk_owner",
        "GRANT copydesk_owner TO copydesk_app",
    ),
    "role in the search role": drift(
        "role copydesk_app must not be a member of copydesk_search",
        "GRANT copydesk_search TO copydesk_app",
    ),
    "somebody else in the search role": drift(
        "role postgres must not be a member of copydesk_search",
        "GRANT copydesk_search TO postgres",
    ),
    "owner that inherits from the search role": drift(
        "role copydesk_owner must be a member of copydesk_search WITH INHERIT FALSE",
        "GRANT copydesk_search TO copydesk_owner WITH INHERIT TRUE",
    ),
    "search role that logs in": drift(
        "role copydesk_search must not have the attribute LOGIN", "ALTER ROLE copydesk_search LOGIN"
    ),
    "role without its time limit": drift(
        "role copydesk_app must have lock_timeout", "ALTER ROLE copydesk_app RESET lock_timeout"
    ),
    "default project": drift(
        "app.project_id must have no default", "ALTER ROLE copydesk_app SET app.project_id = 'x'"
    ),
    "temporary tables for everybody": drift(
        "PUBLIC must not have TEMPORARY on DATABASE",
        "DO $$ BEGIN EXECUTE format('GRANT TEMP ON DATABASE %I TO PUBLIC', current_database());"
        " END $$",
    ),
    "app may create": drift(
        "copydesk_app must not have CREATE on SCHEMA public",
        "GRANT CREATE ON SCHEMA public TO copydesk_app",
    ),
    "schema closed to the dispatch role": drift(
        "role copydesk_dispatch must have USAGE on schema public",
        "REVOKE USAGE ON SCHEMA public FROM copydesk_dispatch",
    ),
    "default privileges": drift(
        "role copydesk_owner must have no default privileges",
        "ALTER DEFAULT PRIVILEGES FOR ROLE copydesk_owner GRANT SELECT ON TABLES TO copydesk_app",
    ),
}
