"""Names of a schema, and the rules for them: lowercase snake_case, with endings that tell the type.

The catalog of a database and the models are both read as `Named`, so that one set of rules holds
for both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, PrimaryKeyConstraint, UniqueConstraint
from sqlalchemy.dialects import postgresql

from models.tables import Base
from tests.support.databases import DatabaseUrls

SNAKE_CASE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")

BEGINNINGS = {
    "index": "idx_",
    "unique": "unique_",
    "check": "check_",
    "foreign key": "fk_",
    "primary key": "pk_",
}

ENDINGS = {"_id": "uuid", "_at": "timestamp with time zone", "_date": "date"}
"""What the ending of a column's name promises of its type, and the other way round."""

EXCEPTIONS = {
    ("column", "created_by"): "given by the requirements: a user",
    ("column", "requested_by"): "a user, like created_by",
    ("column", "retry_of"): "an execution, which the word before does not name",
}

GENERATED = {"alembic_version"}
"""Alembic names it and what is in it."""


@dataclass(frozen=True)
class Named:
    """One thing with a name: its kind, and the type where it is a column."""

    kind: str
    name: str
    table: str = ""
    type: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.table}{'.' if self.table else ''}{self.name}"


def misnamed(things: Iterable[Named]) -> list[str]:
    """Return what breaks a rule, one sentence each."""
    return [f"{each}: {fault}" for each in things for fault in _faults(each)]


def _faults(thing: Named) -> Iterator[str]:
    if not SNAKE_CASE.fullmatch(thing.name):
        yield "is not lowercase snake_case"
    if thing.kind in BEGINNINGS and not thing.name.startswith(BEGINNINGS[thing.kind]):
        yield f"does not begin with {BEGINNINGS[thing.kind]}"
    if thing.kind == "table" and not thing.name.endswith("s"):
        yield "is not a plural"
    if thing.kind == "column" and ("column", thing.name) not in EXCEPTIONS:
        yield from _column_faults(thing.name, thing.type)


def _column_faults(name: str, type_: str) -> Iterator[str]:
    for ending, promised in ENDINGS.items():
        # A name may be the ending alone: `id`, `at`.
        if name.endswith(ending) and type_ != promised:
            yield f"ends with {ending} and is {type_}, not {promised}"
        if type_ == promised and not f"_{name}".endswith(ending):
            yield f"is {type_} and does not end with {ending}"


_CATALOG = """
WITH tables AS (
    SELECT oid, relname AS name FROM pg_class c
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')
        AND NOT EXISTS (
            SELECT FROM pg_depend d
            WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
)
SELECT 'table' AS kind, name, '' AS table, '' AS type FROM tables
UNION ALL
SELECT 'column', a.attname, t.name, format_type(a.atttypid, NULL)
FROM tables t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT CASE WHEN k.oid IS NULL THEN 'index' WHEN k.contype = 'p' THEN 'primary key'
            ELSE 'unique' END, c.relname, t.name, ''
FROM tables t JOIN pg_index i ON i.indrelid = t.oid JOIN pg_class c ON c.oid = i.indexrelid
    LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = t.oid
        AND k.contype IN ('p', 'u', 'x')
UNION ALL
SELECT CASE k.contype WHEN 'c' THEN 'check' ELSE 'foreign key' END, k.conname, t.name, ''
FROM tables t JOIN pg_constraint k ON k.conrelid = t.oid AND k.contype IN ('c', 'f')
UNION ALL
SELECT 'trigger', g.tgname, t.name, ''
FROM tables t JOIN pg_trigger g ON g.tgrelid = t.oid AND NOT g.tgisinternal
UNION ALL
SELECT 'policy', p.polname, t.name, '' FROM tables t JOIN pg_policy p ON p.polrelid = t.oid
UNION ALL
SELECT 'statistics', s.stxname, t.name, ''
FROM tables t JOIN pg_statistic_ext s ON s.stxrelid = t.oid
UNION ALL
SELECT 'sequence', relname, '', '' FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'S'
UNION ALL
SELECT 'function', p.proname, '', '' FROM pg_proc p
WHERE p.pronamespace = 'public'::regnamespace AND NOT EXISTS (
    SELECT FROM pg_depend d
    WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
UNION ALL
SELECT 'parameter', trim(a.name), p.proname, ''
FROM pg_proc p, unnest(p.proargnames) AS a (name)
WHERE p.pronamespace = 'public'::regnamespace AND a.name <> '' AND NOT EXISTS (
    SELECT FROM pg_depend d
    WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
"""


async def catalog(database: DatabaseUrls) -> list[Named]:
    """Return everything with a name in the database's schema."""
    return [
        Named(**row) for row in await database.ask(_CATALOG) if _is_ours(row["name"], row["table"])
    ]


def _is_ours(name: str, table: str) -> bool:
    return name not in GENERATED and table not in GENERATED


_KINDS = {
    UniqueConstraint: "unique",
    CheckConstraint: "check",
    ForeignKeyConstraint: "foreign key",
    PrimaryKeyConstraint: "primary key",
}


def declared() -> list[Named]:
    """Return everything with a name in the models' tables."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    found = []
    for table in Base.metadata.sorted_tables:
        found.append(Named("table", table.name))
        found += [
            Named("column", each.name, table.name, each.type.compile(dialect).lower())
            for each in table.columns
        ]
        found += [Named("index", str(each.name), table.name) for each in table.indexes]
        found += [
            Named(_KINDS[type(each)], str(each.name), table.name) for each in table.constraints
        ]
    return found
