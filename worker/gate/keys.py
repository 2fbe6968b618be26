"""Keys look past row level security, so each of a project-owned table has to carry the project.

A unique key without it tells one project that another has the value; a foreign key without it, that
another has the row. The one exception is a primary key on a single uuid that the server makes,
which nobody can guess. And the keys that the models declare have to be there and at work.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from worker.findings import Finding
from worker.gate.declared import KEYS, Reference
from worker.gate.relations import Relation
from worker.gate.rules import Rule, broken
from worker.ledger import MovePool

_MADE_BY_THE_SERVER = ("uuidv7()", "gen_random_uuid()")
_RESTORE = "restore what `copydesk db check` finds missing"

# Also bare unique indexes, and those behind exclusion constraints. Included columns are no keys; in
# the place of an expression stands NULL; an exclusion constraint tells its operators.
_UNIQUE = """
    SELECT i.indrelid AS relation, quote_ident(c.relname) AS name,
           CASE WHEN n.nspname = 'public' THEN '' ELSE quote_ident(n.nspname) || '.' END
               || quote_ident(c.relname) AS full_name,
           k.conname IS NOT NULL AS is_constraint, i.indisprimary AS is_primary,
           i.indpred IS NULL AND i.indisvalid AS is_whole,
           ARRAY(SELECT a.attname::text
                 FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS key (number, place)
                     LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = key.number
                         AND key.number > 0
                 WHERE key.place <= i.indnkeyatts ORDER BY key.place) AS columns,
           ARRAY(SELECT o.oprname::text
                 FROM unnest(k.conexclop) WITH ORDINALITY AS used (oid, place)
                     JOIN pg_operator o ON o.oid = used.oid ORDER BY used.place) AS operators,
           (SELECT pg_get_expr(d.adbin, d.adrelid)
            FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
            WHERE d.adrelid = i.indrelid AND d.adnum = i.indkey[0]
                AND a.atttypid = 'uuid'::regtype) AS made_by
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')
    WHERE i.indrelid = ANY ($1::oid[]) AND (i.indisunique OR i.indisexclusion)
    ORDER BY i.indrelid, c.relname
"""

# From project-owned tables to anywhere, and from anywhere to project-owned tables.
_FOREIGN_KEYS = """
    SELECT k.conrelid AS relation, k.conrelid::regclass::text AS shown,
           quote_ident(k.conname) AS name,
           k.confrelid AS target, k.confdeltype = 'c' AS cascades,
           (SELECT c.relname::text FROM pg_class c
            WHERE c.oid = k.confrelid AND c.relnamespace = 'public'::regnamespace) AS target_name,
           k.convalidated AND k.conenforced AND NOT EXISTS (
               SELECT FROM pg_trigger g
               WHERE g.tgconstraint = k.oid AND g.tgenabled NOT IN ('O', 'A')) AS works,
           ARRAY(SELECT a.attname::text
                 FROM unnest(k.conkey) WITH ORDINALITY AS key (number, place)
                     JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = key.number
                 ORDER BY key.place) AS columns,
           ARRAY(SELECT a.attname::text
                 FROM unnest(k.confkey) WITH ORDINALITY AS key (number, place)
                     JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = key.number
                 ORDER BY key.place) AS targets
    FROM pg_constraint k
    WHERE k.contype = 'f' AND (k.conrelid = ANY ($1::oid[]) OR k.confrelid = ANY ($1::oid[]))
    ORDER BY k.conrelid, k.conname
"""


async def wrong_keys(pool: MovePool, relations: Sequence[Relation]) -> list[Finding]:
    """Return a finding for each key that does not carry the project, is missing, or is off."""
    owned = {relation.oid: relation for relation in relations if relation.can_be_judged}
    unique = await pool.call(_UNIQUE, list(owned))
    lost = {relation.oid for relation in relations if relation.is_project_owned} - set(owned)
    foreign = [
        row for row in await pool.call(_FOREIGN_KEYS, list(owned)) if row["relation"] not in lost
    ]
    return [
        *_unique_without_project(owned, unique),
        *_foreign_without_project(owned, foreign),
        *chain.from_iterable(_missing(table, owned, unique, foreign) for table in owned.values()),
    ]


def _unique_without_project(owned: dict[int, Relation], rows: list[Any]) -> Iterator[Finding]:
    for row in rows:
        table = owned[row["relation"]]
        columns = row["columns"]
        place = columns.index(table.project_column) if table.project_column in columns else None
        compared = row["operators"] or ["="] * len(columns)
        if place is not None and compared[place] == "=":
            continue
        if row["is_primary"] and len(columns) == 1 and row["made_by"] in _MADE_BY_THE_SERVER:
            continue
        name = row["name"]
        what = "key" if row["is_constraint"] else "index"
        remedy = f"ALTER TABLE {table.name} DROP CONSTRAINT {name}"
        if row["is_primary"]:
            remedy = "make the primary key a uuid with the default uuidv7() again"
        elif not row["is_constraint"]:
            remedy = f"DROP INDEX {row['full_name']}"
        yield broken(
            Rule.UNIQUE_WITHOUT_PROJECT,
            table.name,
            f"{table.name}: the unique {what} {name} does not carry {table.project_column}",
            remedy,
        )


def _foreign_without_project(owned: dict[int, Relation], rows: list[Any]) -> Iterator[Finding]:
    for row in rows:
        table, target = owned.get(row["relation"]), owned.get(row["target"])
        name = table.name if table else row["shown"]
        if not row["works"]:
            yield broken(
                Rule.KEY_NOT_ENFORCED,
                name,
                f"{name}: the foreign key {row['name']} is not enforced, or not for every row",
                "validate it, or make it again, and enable its triggers",
            )
        if target is None:
            continue
        column = table.project_column if table else "project_id"
        if (column, target.project_column) in zip(row["columns"], row["targets"], strict=True):
            continue
        yield broken(
            Rule.FOREIGN_KEY_WITHOUT_PROJECT,
            name,
            f"{name}: the foreign key {row['name']} to {target.name} does not carry {column}",
            f"ALTER TABLE {name} DROP CONSTRAINT {row['name']}",
        )


def _missing(
    table: Relation, owned: dict[int, Relation], unique: list[Any], foreign: list[Any]
) -> Iterator[Finding]:
    mine = [row for row in foreign if row["relation"] == table.oid]
    project = table.project_column
    if table.declared != "projects" and not any(
        row["cascades"] and row["columns"] == [project] and _is_projects(owned.get(row["target"]))
        for row in mine
    ):
        yield broken(
            Rule.PROJECT_KEY,
            table.name,
            f"{table.name}: {project} does not reference projects (id) ON DELETE CASCADE",
            f"ALTER TABLE {table.name} ADD FOREIGN KEY ({project}) "
            "REFERENCES projects (id) ON DELETE CASCADE",
        )
    if table.declared is None or table.declared not in KEYS:
        return
    declared = KEYS[table.declared]
    whole = {
        frozenset(row["columns"])
        for row in unique
        if row["relation"] == table.oid and row["is_whole"]
    }
    for key in declared.unique - whole:
        columns = ", ".join(sorted(key))
        sentence = f"{table.name}: there is no unique key on {columns}"
        yield broken(Rule.KEY_MISSING, table.name, sentence, _RESTORE)
    there = {
        Reference(frozenset(zip(row["columns"], row["targets"], strict=True)), row["target_name"])
        for row in mine
    }
    for missing in declared.references - there:
        columns = ", ".join(sorted(column for column, _ in missing.pairs))
        sentence = f"{table.name}: there is no foreign key on {columns} to {missing.target}"
        yield broken(Rule.KEY_MISSING, table.name, sentence, _RESTORE)


def _is_projects(table: Relation | None) -> bool:
    return table is not None and table.declared == "projects"
