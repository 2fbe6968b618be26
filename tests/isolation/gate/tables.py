"""What can be done to tables: whose they are, their project column, and tables nobody expected."""

from tests.isolation.gate.breakage import breaks
from worker.gate import Rule

_SERVER = "CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER far FOREIGN DATA WRAPPER nothing;"
_BARE = (Rule.RLS_DISABLED, Rule.RLS_NOT_FORCED, Rule.POLICY_MISSING)

TABLES = {
    "table dropped": breaks(
        "DROP TABLE exports", "exports: the table is missing", Rule.TABLE_MISSING
    ),
    "listed table dropped": breaks(
        "DROP TABLE workers", "workers: the table is missing", Rule.TABLE_MISSING
    ),
    "table given to a superuser": breaks(
        "ALTER TABLE exports OWNER TO postgres",
        "exports: postgres owns it, and can switch its protection off",
        Rule.TABLE_OWNER,
    ),
    "table given to the app role": breaks(
        "ALTER TABLE exports OWNER TO copydesk_app",
        "exports: copydesk_app owns it",
        Rule.TABLE_OWNER,
        Rule.ROLE_OWNS,
    ),
    "project column may be empty": breaks(
        "ALTER TABLE exports ALTER project_id DROP NOT NULL",
        "exports: project_id is not NOT NULL for every row",
        Rule.PROJECT_COLUMN,
    ),
    "project column was not checked for rows that are there": breaks(
        "ALTER TABLE exports ALTER project_id DROP NOT NULL;"
        "ALTER TABLE exports ADD CONSTRAINT later NOT NULL project_id NOT VALID",
        "exports: project_id is not NOT NULL for every row",
        Rule.PROJECT_COLUMN,
    ),
    "project column with a default project": breaks(
        "ALTER TABLE exports ALTER project_id SET DEFAULT '0198c0de-0000-7000-8000-0000000000aa'",
        "exports: project_id has a default",
        Rule.PROJECT_COLUMN_DEFAULT,
    ),
    "project column filled from the setting": breaks(
        "ALTER TABLE execution_events ALTER project_id"
        " SET DEFAULT current_setting('app.project_id')::uuid",
        "execution_events: project_id has a default",
        Rule.PROJECT_COLUMN_DEFAULT,
    ),
    "project column renamed": breaks(
        "ALTER TABLE exports RENAME project_id TO project",
        "exports: has no column project_id",
        Rule.PROJECT_COLUMN,
        Rule.PRIVILEGE_EXCESS,  # grants are on columns
        Rule.PRIVILEGE_MISSING,
    ),
    "table without a project": breaks(
        "CREATE TABLE notes (note text)",
        "notes: has no project_id, and is not among the tables that need none",
        Rule.TABLE_UNLISTED,
    ),
    "table with a project by another name": breaks(
        'CREATE TABLE "Notes" ("projectId" uuid NOT NULL, note text)',
        '"Notes": has no project_id',
        Rule.TABLE_UNLISTED,
    ),
    "partitioned table without a project": breaks(
        "CREATE TABLE notes (note text) PARTITION BY LIST (note);"
        "CREATE TABLE notes_a PARTITION OF notes FOR VALUES IN ('a')",
        "notes_a: has no project_id",
        Rule.TABLE_UNLISTED,
    ),
    "copy of a table": breaks(
        "CREATE TABLE exports_backup AS SELECT * FROM exports",
        "exports_backup: row level security is not enabled",
        *_BARE,
        Rule.PROJECT_COLUMN,
        Rule.PROJECT_KEY,
    ),
    "copy of a table in another schema, open to the app role": breaks(
        "CREATE SCHEMA attic; CREATE TABLE attic.exports AS SELECT * FROM exports;"
        "GRANT USAGE ON SCHEMA attic TO copydesk_app;"
        "GRANT SELECT ON attic.exports TO copydesk_app",
        "attic.exports: row level security is not enabled",
        *_BARE,
        Rule.PROJECT_COLUMN,
        Rule.PROJECT_KEY,
        Rule.READ_PAST_RLS,
    ),
    "table without a project in another schema, open to everybody": breaks(
        "CREATE SCHEMA attic; CREATE TABLE attic.notes (note text);"
        "GRANT INSERT (note) ON attic.notes TO PUBLIC",
        "attic.notes: has no project_id",
        Rule.TABLE_UNLISTED,
    ),
    "table in the information schema, open to everybody": breaks(
        "CREATE TABLE information_schema.notes (note text);"
        "GRANT SELECT ON information_schema.notes TO PUBLIC",
        "information_schema.notes: has no project_id",
        Rule.TABLE_UNLISTED,
    ),
    "project in a table that needs none": breaks(
        "ALTER TABLE workers ADD project_id uuid",
        "workers: row level security is not enabled",
        *_BARE,
        Rule.PROJECT_COLUMN,
        Rule.PROJECT_KEY,
        Rule.UNIQUE_WITHOUT_PROJECT,
        Rule.READ_PAST_RLS,
    ),
    "inheritance child": breaks(
        "CREATE TABLE exports_2025 () INHERITS (exports)",
        "exports_2025: row level security is not enabled",
        *_BARE,
        Rule.PROJECT_KEY,
    ),
    "inheritance parent": breaks(
        "CREATE TABLE paths (file_path text); ALTER TABLE exports INHERIT paths",
        "exports: inherits from a table that is not project-owned, in which its rows show",
        Rule.TABLE_PARENT,
        Rule.TABLE_UNLISTED,
    ),
    "inheritance parent out of reach": breaks(
        "CREATE SCHEMA attic; CREATE TABLE attic.paths (file_path text);"
        "ALTER TABLE exports INHERIT attic.paths",
        "exports: inherits from a table that is not project-owned",
        Rule.TABLE_PARENT,
    ),
    "foreign table": breaks(
        f"{_SERVER} CREATE FOREIGN TABLE old_exports (project_id uuid) SERVER far",
        "old_exports: is a foreign table, which row level security cannot protect",
        Rule.TABLE_FOREIGN,
    ),
    "foreign table without a project in another schema": breaks(
        f"{_SERVER} CREATE SCHEMA attic; CREATE FOREIGN TABLE attic.old (note text) SERVER far;"
        "GRANT SELECT ON attic.old TO copydesk_dispatch",
        "attic.old: is a foreign table",
        Rule.TABLE_FOREIGN,
    ),
    "table that an extension was given": breaks(
        "CREATE TABLE hidden (project_id uuid); ALTER EXTENSION pg_trgm ADD TABLE hidden",
        "hidden: row level security is not enabled",
        *_BARE,
        Rule.PROJECT_COLUMN,
        Rule.PROJECT_KEY,
    ),
}
