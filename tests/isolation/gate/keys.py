"""What can be done to keys."""

from tests.isolation.gate.breakage import breaks
from worker.gate import Rule

UNIQUE, FOREIGN = Rule.UNIQUE_WITHOUT_PROJECT, Rule.FOREIGN_KEY_WITHOUT_PROJECT
MISSING, IDLE = Rule.KEY_MISSING, Rule.KEY_NOT_ENFORCED

_REMADE = "ALTER TABLE exports DROP CONSTRAINT fk_exports_project_id;"
_PROJECT_KEY = (
    f"{_REMADE} ALTER TABLE exports ADD CONSTRAINT fk_exports_project_id"
    " FOREIGN KEY (project_id) REFERENCES projects (id)"
)

KEYS = {
    "unique key without project": breaks(
        "ALTER TABLE exports ADD CONSTRAINT one_path UNIQUE (file_path)",
        "exports: the unique key one_path does not carry project_id",
        UNIQUE,
    ),
    "unique index without project": breaks(
        "CREATE UNIQUE INDEX one_path ON exports (file_path)",
        "exports: the unique index one_path does not carry project_id",
        UNIQUE,
    ),
    "unique index on some rows": breaks(
        "CREATE UNIQUE INDEX one_path ON exports (file_path) WHERE status = 'completed'",
        "exports: the unique index one_path",
        UNIQUE,
    ),
    "unique index on an expression": breaks(
        "CREATE UNIQUE INDEX one_key ON agent_executions (lower(idempotency_key))",
        "agent_executions: the unique index one_key",
        UNIQUE,
    ),
    "unique index on an expression of the project": breaks(
        "CREATE UNIQUE INDEX one_path ON exports (left(project_id::text, 1), file_path)",
        "exports: the unique index one_path",
        UNIQUE,
    ),
    "unique index that only includes the project": breaks(
        "CREATE UNIQUE INDEX one_path ON exports (file_path) INCLUDE (project_id)",
        "exports: the unique index one_path",
        UNIQUE,
    ),
    "exclusion constraint without project": breaks(
        "ALTER TABLE exports ADD CONSTRAINT one_path EXCLUDE USING btree (file_path WITH =)",
        "exports: the unique key one_path",
        UNIQUE,
    ),
    "exclusion constraint against other projects": breaks(
        "CREATE EXTENSION btree_gist; ALTER TABLE exports ADD CONSTRAINT one_path"
        " EXCLUDE USING gist (project_id WITH <>, file_path WITH =)",
        "exports: the unique key one_path",
        UNIQUE,
    ),
    "idempotency key for all projects": breaks(
        "ALTER TABLE agent_executions DROP CONSTRAINT unique_executions_idempotency_key;"
        "ALTER TABLE agent_executions ADD CONSTRAINT unique_executions_idempotency_key"
        " UNIQUE (idempotency_key)",
        "agent_executions: the unique key unique_executions_idempotency_key",
        UNIQUE,
        MISSING,
    ),
    "primary key that callers choose": breaks(
        "ALTER TABLE exports DROP CONSTRAINT pk_exports;"
        "ALTER TABLE exports ADD CONSTRAINT pk_exports PRIMARY KEY (file_path)",
        "exports: the unique key pk_exports",
        UNIQUE,
        MISSING,
    ),
    "primary key that the server no longer makes": breaks(
        "ALTER TABLE exports ALTER id DROP DEFAULT", "exports: the unique key pk_exports", UNIQUE
    ),
    "second unique key on a uuid that the server makes": breaks(
        "ALTER TABLE exports ADD token uuid DEFAULT uuidv7() CONSTRAINT one_token UNIQUE",
        "exports: the unique key one_token",
        UNIQUE,
    ),
    "unique key on a project's name": breaks(
        "ALTER TABLE projects ADD CONSTRAINT one_name UNIQUE (name)",
        "projects: the unique key one_name does not carry id",
        UNIQUE,
    ),
    "unique key dropped": breaks(
        "ALTER TABLE document_versions DROP CONSTRAINT unique_project_doc_version",
        "document_versions: there is no unique key on document_type, project_id, version",
        MISSING,
    ),
    "unique key for some rows": breaks(
        "ALTER TABLE document_versions DROP CONSTRAINT unique_project_doc_version;"
        "CREATE UNIQUE INDEX unique_project_doc_version"
        " ON document_versions (project_id, document_type, version) WHERE version > 1",
        "document_versions: there is no unique key on document_type, project_id, version",
        MISSING,
    ),
    "foreign key without project": breaks(
        "ALTER TABLE agent_executions ADD CONSTRAINT unique_id UNIQUE (id, project_id);"
        "ALTER TABLE exports ADD CONSTRAINT fk_execution FOREIGN KEY (execution_id)"
        " REFERENCES agent_executions (id)",
        "exports: the foreign key fk_execution to agent_executions does not carry project_id",
        FOREIGN,
    ),
    "foreign key that crosses its columns": breaks(
        "ALTER TABLE exports ADD CONSTRAINT fk_execution FOREIGN KEY (execution_id, project_id)"
        " REFERENCES agent_executions (project_id, id)",
        "exports: the foreign key fk_execution to agent_executions",
        FOREIGN,
    ),
    "foreign key to another project": breaks(
        "ALTER TABLE exports ADD source_project uuid CONSTRAINT fk_source REFERENCES projects",
        "exports: the foreign key fk_source to projects does not carry project_id",
        FOREIGN,
    ),
    "foreign key from project to project": breaks(
        "ALTER TABLE projects ADD parent uuid CONSTRAINT fk_parent REFERENCES projects",
        "projects: the foreign key fk_parent to projects does not carry id",
        FOREIGN,
    ),
    "foreign key from a table that belongs to no project": breaks(
        "ALTER TABLE workers ADD execution uuid CONSTRAINT fk_now REFERENCES agent_executions",
        "workers: the foreign key fk_now to agent_executions does not carry project_id",
        FOREIGN,
    ),
    "foreign key dropped": breaks(
        "ALTER TABLE document_versions DROP CONSTRAINT fk_documents_execution",
        "document_versions: there is no foreign key on execution_id, project_id to",
        MISSING,
    ),
    "foreign key to users dropped": breaks(
        "ALTER TABLE projects DROP CONSTRAINT fk_projects_created_by",
        "projects: there is no foreign key on created_by to users",
        MISSING,
    ),
    "key to the project dropped": breaks(
        _REMADE,
        "exports: project_id does not reference projects (id) ON DELETE CASCADE",
        Rule.PROJECT_KEY,
    ),
    "key to the project without cascade": breaks(
        _PROJECT_KEY, "exports: project_id does not reference projects", Rule.PROJECT_KEY
    ),
    "key to the project not checked for rows that are there": breaks(
        f"{_PROJECT_KEY} ON DELETE CASCADE NOT VALID",
        "exports: the foreign key fk_exports_project_id is not enforced, or not for every row",
        IDLE,
    ),
    "key to the project not enforced": breaks(
        f"{_PROJECT_KEY} ON DELETE CASCADE NOT ENFORCED",
        "exports: the foreign key fk_exports_project_id is not enforced",
        IDLE,
    ),
    "triggers of foreign keys disabled": breaks(
        "ALTER TABLE exports DISABLE TRIGGER ALL",
        "exports: the foreign key fk_exports_execution is not enforced",
        IDLE,
    ),
}
