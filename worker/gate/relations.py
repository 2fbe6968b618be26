"""Which tables there are within reach, whose they are, and whether each is protected.

In reach is everything in the schema public, and whatever a running role holds a privilege on in
another schema. A table that has a `project_id` is project-owned, whoever made it; `projects` is
owned by its own id. Partitions, inheritance children and foreign tables count as tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from models.roles import OWNER
from worker.findings import Finding
from worker.gate.declared import PROJECT_OWNED
from worker.gate.expected import NO_PROJECT_DATA
from worker.gate.rules import Rule, broken
from worker.ledger import MovePool

TABLES = ("r", "p")
FOREIGN, VIEW, MATERIALIZED, SEQUENCE = "f", "v", "m", "S"

# What belongs to an extension is the extension's business, unless it carries a project_id.
# $1: oids of the running roles; $2, $3: project-owned tables of the models, and their columns.
_RELATIONS = """
    SELECT c.oid, n.nspname = 'public' AS is_public, c.relname::text AS bare,
           CASE WHEN n.nspname = 'public' THEN '' ELSE quote_ident(n.nspname) || '.' END
               || quote_ident(c.relname) AS name,
           c.relkind::text AS kind, pg_get_userbyid(c.relowner)::text AS owner,
           c.relrowsecurity AS enabled, c.relforcerowsecurity AS forced,
           coalesce(c.reloptions::text[], '{}') AS options,
           a.attname::text AS column, a.atttypid = 'uuid'::regtype AS is_uuid,
           a.attnotnull AND NOT EXISTS (
               SELECT FROM pg_constraint k
               WHERE k.conrelid = c.oid AND k.contype = 'n' AND k.conkey = ARRAY[a.attnum]
                   AND NOT (k.convalidated AND k.conenforced)) AS is_required,
           a.atthasdef OR a.attidentity <> '' AS has_default,
           ARRAY(SELECT i.inhparent FROM pg_inherits i WHERE i.inhrelid = c.oid) AS parents,
           ARRAY(SELECT every.attname::text FROM pg_attribute every
                 WHERE every.attrelid = c.oid AND every.attnum > 0 AND NOT every.attisdropped
           ) AS columns
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN unnest($2::text[], $3::text[]) AS o (relation, project)
            ON n.nspname = 'public' AND o.relation = c.relname
        LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            AND a.attname = coalesce(o.project, 'project_id')
    WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S')
        AND n.nspname !~ '^pg_' AND (n.nspname <> 'information_schema' OR c.oid >= 16384)
        AND (n.nspname = 'public' AND c.relkind <> 'S' OR EXISTS (
            SELECT FROM unnest($1::oid[]) AS r (oid)
            WHERE CASE WHEN c.relkind = 'S'
                THEN has_sequence_privilege(r.oid, c.oid, 'SELECT, USAGE, UPDATE')
                ELSE has_any_column_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE, REFERENCES')
                    OR has_table_privilege(r.oid, c.oid, 'DELETE, TRUNCATE, TRIGGER, MAINTAIN')
                END))
        AND (a.attname IS NOT NULL OR NOT EXISTS (
            SELECT FROM pg_depend d
            WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'))
    ORDER BY n.nspname <> 'public', name
"""


@dataclass(frozen=True, slots=True)
class ProjectColumn:
    """The column that names a row's project, as the table has it."""

    name: str
    is_uuid: bool
    is_required: bool
    has_default: bool


@dataclass(frozen=True, slots=True)
class Relation:
    """A table, view or sequence in reach.

    Attributes:
        name: quoted, and with its schema where that is not public.
        kind: as in pg_class.relkind.
        declared: its name in the models, or None.
        column: which column names the project, or None.
        parents: oids of the tables it is a partition or an inheritance child of.
    """

    oid: int
    name: str
    kind: str
    owner: str
    enabled: bool
    forced: bool
    options: Sequence[str]
    column: ProjectColumn | None
    parents: Sequence[int]
    columns: frozenset[str]
    declared: str | None

    @property
    def is_table(self) -> bool:
        """Whether it holds rows of its own."""
        return self.kind in TABLES

    @property
    def is_project_owned(self) -> bool:
        """Whether the rules for project-owned tables hold for it."""
        return self.is_table and (self.column is not None or self.declared in PROJECT_OWNED)

    @property
    def can_be_judged(self) -> bool:
        """Whether it has the column on which policies and keys depend; else that is its fault."""
        return self.is_project_owned and self.column is not None

    @property
    def project_column(self) -> str:
        """The name of the column that has to name the project."""
        return PROJECT_OWNED.get(self.declared or "", "project_id")


async def read_relations(pool: MovePool, roles: Sequence[int]) -> list[Relation]:
    """Return every relation in reach of these roles."""
    known = {*PROJECT_OWNED, *NO_PROJECT_DATA}
    rows = await pool.call(
        _RELATIONS, list(roles), list(PROJECT_OWNED), list(PROJECT_OWNED.values())
    )
    return [
        Relation(
            oid=row["oid"],
            name=row["name"],
            kind=row["kind"],
            owner=row["owner"],
            enabled=row["enabled"],
            forced=row["forced"],
            options=row["options"],
            column=row["column"]
            and ProjectColumn(
                row["column"], row["is_uuid"], row["is_required"], row["has_default"]
            ),
            parents=row["parents"],
            columns=frozenset(row["columns"]),
            declared=row["bare"] if row["is_public"] and row["bare"] in known else None,
        )
        for row in rows
    ]


def missing(relations: Sequence[Relation]) -> list[Finding]:
    """Return a finding for each table of the models that is not there; one when none is."""
    there = {relation.declared for relation in relations if relation.is_table}
    known = (*PROJECT_OWNED, *NO_PROJECT_DATA)
    gone = [name for name in known if name not in there]
    remedy = "run `copydesk db upgrade`"
    if len(gone) == len(known):
        sentence = f"tables are missing ({', '.join(gone)}): nothing was migrated here"
        return [broken(Rule.TABLE_MISSING, "database", sentence, remedy)]
    return [
        broken(Rule.TABLE_MISSING, name, f"{name}: the table is missing", remedy) for name in gone
    ]


def unprotected(relations: Sequence[Relation]) -> Iterator[Finding]:
    """Yield what is wrong with tables by themselves: whose they are, and their own switches."""
    owned = {relation.oid for relation in relations if relation.is_project_owned}
    for relation in relations:
        name = relation.name
        if relation.kind == FOREIGN:
            yield broken(
                Rule.TABLE_FOREIGN,
                name,
                f"{name}: is a foreign table, which row level security cannot protect",
                f"DROP FOREIGN TABLE {name}",
            )
        elif relation.is_project_owned:
            yield from _switches(relation, owned)
            yield from _column(relation)
        elif relation.is_table and relation.declared is None:
            yield broken(
                Rule.TABLE_UNLISTED,
                name,
                f"{name}: has no project_id, and is not among the tables that need none",
                "protect it like a project-owned table, or keep it in another schema, without "
                "any privilege for the roles of copydesk",
            )


def _switches(relation: Relation, owned: set[int]) -> Iterator[Finding]:
    name = relation.name
    if not relation.enabled:
        yield broken(
            Rule.RLS_DISABLED,
            name,
            f"{name}: row level security is not enabled",
            f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY",
        )
    if not relation.forced:
        yield broken(
            Rule.RLS_NOT_FORCED,
            name,
            f"{name}: row level security is not forced, so it does not bind the table's owner",
            f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY",
        )
    if relation.declared and relation.owner != OWNER:
        yield broken(
            Rule.TABLE_OWNER,
            name,
            f"{name}: {relation.owner} owns it, and can switch its protection off",
            f"ALTER TABLE {name} OWNER TO {OWNER}",
        )
    if not owned.issuperset(relation.parents):
        yield broken(
            Rule.TABLE_PARENT,
            name,
            f"{name}: inherits from a table that is not project-owned, in which its rows show",
            "take it out with ALTER TABLE ... NO INHERIT ...",
        )


def _column(relation: Relation) -> Iterator[Finding]:
    name, column = relation.name, relation.column
    if column is None or not column.is_uuid:
        yield broken(
            Rule.PROJECT_COLUMN,
            name,
            f"{name}: has no column {relation.project_column} of the type uuid",
            "restore what `copydesk db check` finds missing",
        )
        return
    if not column.is_required:
        yield broken(
            Rule.PROJECT_COLUMN,
            name,
            f"{name}: {column.name} is not NOT NULL for every row",
            f"ALTER TABLE {name} ALTER {column.name} SET NOT NULL",
        )
    if column.has_default and column.name != "id":
        yield broken(
            Rule.PROJECT_COLUMN_DEFAULT,
            name,
            f"{name}: {column.name} has a default; there is no default project",
            f"ALTER TABLE {name} ALTER {column.name} DROP DEFAULT",
        )
