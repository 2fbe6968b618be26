"""Whether every index of the models is there and of use, and no other one only costs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Index
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex

from models.tables import Base
from worker.doctor.bloat import wasted
from worker.doctor.rules import Rule, broken
from worker.doctor.site import Site
from worker.doctor.words import duration, size
from worker.findings import Examination, Finding

# `same` is equal for indexes that hold the same entries in the same order, whatever their names.
_INDEXES = """
    SELECT c.relname::text AS name, quote_ident(c.relname) AS quoted,
           t.relname::text AS table, m.amname::text AS method,
           i.indisvalid AND i.indisready AND i.indislive AS is_good,
           i.indisunique AS is_unique,
           EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid) AS is_constraint,
           i.indpred IS NOT NULL AS is_partial,
           ARRAY(SELECT pg_get_indexdef(c.oid, n, true) FROM generate_series(1, i.indnkeyatts) AS n)
               AS columns,
           concat_ws('/', t.oid, m.amname, i.indkey, i.indclass, i.indcollation, i.indoption,
                     i.indnkeyatts, pg_get_expr(i.indexprs, t.oid), pg_get_expr(i.indpred, t.oid))
               AS same,
           coalesce(s.idx_scan, 0) AS scans, pg_relation_size(c.oid) AS size,
           EXISTS (SELECT FROM pg_locks l
                   WHERE l.relation = t.oid AND l.granted AND l.mode = 'ShareUpdateExclusiveLock'
                       AND l.database = (SELECT oid FROM pg_database
                                         WHERE datname = current_database())) AS may_be_building
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
        JOIN pg_am m ON m.oid = c.relam LEFT JOIN pg_stat_user_indexes s ON s.indexrelid = c.oid
    WHERE t.relnamespace = 'public'::regnamespace AND t.relname = ANY ($1)
    ORDER BY t.relname, c.relname
"""

# Counters go back to when they were reset, or else as far as the database does: as the first user.
_COUNTED_SINCE = """
    SELECT extract(epoch FROM now() - coalesce(
        (SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()),
        (SELECT created_at FROM users ORDER BY id LIMIT 1)))::float8 AS seconds
"""

_LEFTOVERS = ("_ccnew", "_ccold")


@dataclass(frozen=True, slots=True)
class Declared:
    """An index of the models: the table's name, what it is on, and the statement that makes it."""

    table: str
    columns: Sequence[str]
    method: str
    is_partial: bool
    statement: str


async def indexes(site: Site) -> Examination:
    """Compare the indexes with those of the models, and with what they are used for."""
    observer = await site.observer()
    meant = declared()
    tables = [table.name for table in Base.metadata.sorted_tables]
    rows = await site.app.call(_INDEXES, tables)
    here = {row["table"] for row in rows}
    there = {row["name"]: row for row in rows}
    findings = [*_missing(meant, there, here)]
    for row in rows:
        findings += _unfinished(row, meant)
    findings += _duplicates(rows, meant)
    [since] = await site.app.call(_COUNTED_SINCE)
    unused = [row for row in rows if row["is_good"] and not _is_key(row) and not row["scans"]]
    age = since["seconds"] or 0
    if age >= site.limits.unused:
        findings += _unused([row for row in unused if row["name"] not in meant], age)
    bloat, how = await wasted(site, observer, "indexes")
    findings += bloat
    facts = [
        f"{len(rows)} indexes, {size(sum(row['size'] for row in rows))}",
        f"{len(unused)} not used " + (f"in {duration(age)}" if age else "since the counters began"),
        how,
    ]
    return Examination("indexes", findings, {"indexes": [*there]}, facts)


def declared() -> Mapping[str, Declared]:
    """Return the indexes of the models by name; keys are the gate's to look for."""
    return {
        str(index.name): Declared(
            table.name,
            [str(each).removesuffix(" DESC").rpartition(".")[2] for each in index.expressions],
            str(index.dialect_options["postgresql"]["using"] or "btree"),
            index.dialect_options["postgresql"]["where"] is not None,
            _statement(index),
        )
        for table in Base.metadata.sorted_tables
        for index in sorted(table.indexes, key=lambda index: str(index.name))
    }


def _statement(index: Index) -> str:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    made = str(CreateIndex(index).compile(dialect=dialect))
    return made.replace("INDEX ", "INDEX CONCURRENTLY ", 1)


def _missing(
    meant: Mapping[str, Declared], there: Mapping[str, Any], tables: set[str]
) -> Iterator[Finding]:
    for name, index in meant.items():
        if index.table not in tables:
            continue  # that the table is missing is said by the gate
        row = there.get(name)
        if row is None:
            sentence = f"{index.table}: there is no index {name}, so that tables are read instead"
            yield broken(Rule.INDEX_MISSING, name, sentence, index.statement)
            continue
        is_now = (row["table"], [*row["columns"]], row["method"], row["is_partial"])
        if is_now != (index.table, [*index.columns], index.method, index.is_partial):
            yield broken(
                Rule.INDEX_DIFFERS,
                name,
                f"{row['table']}: the index {name} is not what the models say",
                f"compare it with `copydesk db check`; DROP INDEX CONCURRENTLY {name}, and "
                f"{index.statement}",
            )


def _unfinished(row: Mapping[str, Any], meant: Mapping[str, Declared]) -> Iterator[Finding]:
    if row["is_good"]:
        return
    name, table = row["quoted"], row["table"]
    if row["may_be_building"]:
        yield broken(
            Rule.INDEX_BUILDING,
            row["name"],
            f"{table}: the index {name} is not valid yet, and something works on the table",
            "wait until it is built; look again",
        )
        return
    is_leftover = row["name"] not in meant and not row["is_constraint"]
    remedy = (
        f"DROP INDEX CONCURRENTLY {name}"
        if is_leftover or row["name"].rstrip("0123456789").endswith(_LEFTOVERS)
        else f"REINDEX INDEX CONCURRENTLY {name}"
    )
    yield broken(
        Rule.INDEX_INVALID,
        row["name"],
        f"{table}: the index {name} was left unfinished: writes pay for it, no reading uses it",
        remedy,
    )


def _duplicates(rows: Sequence[Any], meant: Mapping[str, Declared]) -> Iterator[Finding]:
    same = defaultdict(list)
    for row in rows:
        if row["is_good"]:
            same[row["same"]].append(row)
    for group in same.values():
        # What has to stay stands first: a key, then what the models declare.
        group.sort(key=lambda row: (not _is_key(row), row["name"] not in meant, row["name"]))
        for row in group[1:]:
            if _is_key(row) or row["name"] in meant:
                continue
            yield broken(
                Rule.INDEX_DUPLICATE,
                row["name"],
                f"{row['table']}: the index {row['name']} ({size(row['size'])}) is the same as "
                f"{group[0]['name']}",
                f"DROP INDEX CONCURRENTLY {row['quoted']}",
            )


def _unused(rows: Sequence[Any], age: float) -> Iterator[Finding]:
    for row in rows:
        yield broken(
            Rule.INDEX_UNUSED,
            row["name"],
            f"{row['table']}: nobody has used the index {row['name']} ({size(row['size'])}) in "
            f"{duration(age)}",
            f"DROP INDEX CONCURRENTLY {row['quoted']}",
        )


def _is_key(row: Mapping[str, Any]) -> bool:
    """Whether an index refuses rows: whoever drops it changes more than speed."""
    return bool(row["is_unique"] or row["is_constraint"])
