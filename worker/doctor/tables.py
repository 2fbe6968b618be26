"""Whether autovacuum keeps up: options, dead rows, statistics, and transaction ids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from models.tables import Base
from worker.doctor.bloat import wasted
from worker.doctor.limits import Limits
from worker.doctor.rules import Rule, broken
from worker.doctor.site import Site
from worker.doctor.words import counted, duration, size
from worker.findings import Examination, Finding

# Sizes and counts that PostgreSQL keeps; no page of a table is read.
_TABLES = """
    WITH tables AS (
        SELECT c.*, pg_table_size(c.oid) AS size, pg_indexes_size(c.oid) AS index_size
        FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname = ANY ($1)
    )
    SELECT c.relname::text AS name, c.reltuples::float8 AS rows, c.size, c.index_size,
           coalesce(s.n_dead_tup, 0) AS dead, coalesce(s.n_mod_since_analyze, 0) AS changed,
           extract(epoch FROM now() - greatest(s.last_vacuum, s.last_autovacuum))::float8
               AS vacuumed,
           coalesce(c.reloptions, '{}') || ARRAY(
               SELECT 'toast.' || option FROM pg_class t CROSS JOIN unnest(t.reloptions) AS option
               WHERE t.oid = c.reltoastrelid) AS options
    FROM tables c LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
    ORDER BY c.size + c.index_size DESC
"""

_SETTINGS = """
    SELECT name, setting::float8 AS value FROM pg_settings WHERE name IN (
        'autovacuum_vacuum_threshold', 'autovacuum_vacuum_scale_factor',
        'autovacuum_analyze_threshold', 'autovacuum_analyze_scale_factor')
"""

# One counter for the whole cluster: the database that is furthest behind stops all of them.
_AGES = """
    SELECT quote_ident(datname) AS name, age(datfrozenxid) AS transactions,
           mxid_age(datminmxid) AS multixacts,
           current_setting('autovacuum_freeze_max_age')::int AS frozen_at
    FROM pg_database ORDER BY greatest(age(datfrozenxid), mxid_age(datminmxid)) DESC LIMIT 1
"""

_OFF = {"false", "off", "no", "0"}
_TWICE = 2
_OVERDUE = 1.25
_SHOWN = 2


async def tables(site: Site) -> Examination:
    """Check what vacuum and analyze have done, and what keeps them from it."""
    observer = await site.observer()
    rows = await observer.eyes.call(_TABLES, [table.name for table in Base.metadata.sorted_tables])
    usual = {row["name"]: row["value"] for row in await observer.eyes.call(_SETTINGS)}
    findings: list[Finding] = []
    for row in rows:
        options = dict(option.split("=", 1) for option in row["options"])
        findings += judge_options(row["name"], options)
        findings += judge_dead_rows(site.limits, row, {**usual, **_numbers(options)})
        findings += judge_statistics(site.limits, row, {**usual, **_numbers(options)})
    findings += judge_ages(site.limits, (await observer.eyes.call(_AGES))[0])
    bloat, how = await wasted(site, observer, "tables")
    findings += bloat
    total = sum(row["size"] + row["index_size"] for row in rows)
    facts = [
        f"{counted(len(rows), 'table')}, {size(total)} with indexes",
        *(
            f"{row['name']} {size(row['size'])} + {size(row['index_size'])}"
            for row in rows[:_SHOWN]
        ),
        how,
    ]
    return Examination("tables", findings, {"tables": [row["name"] for row in rows]}, facts)


def declared_options() -> Mapping[str, Mapping[str, str]]:
    """Return the storage options of the models, by table."""
    return {
        table.name: {
            name: str(value)
            for name, value in (table.dialect_options["postgresql"]["with"] or {}).items()
        }
        for table in Base.metadata.sorted_tables
    }


def judge_options(table: str, options: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what storage options differ from the models."""
    declared = declared_options().get(table, {})
    for name in ("autovacuum_enabled", "toast.autovacuum_enabled"):
        if options.get(name, "true") in _OFF:
            yield broken(
                Rule.TABLE_NOT_VACUUMED,
                table,
                f"{table}: {name} is off: it grows without end",
                f"ALTER TABLE {table} RESET ({name})",
            )
    for name in sorted({*declared, *options}):
        is_now, meant = options.get(name), declared.get(name)
        if name.endswith("autovacuum_enabled") or is_now == meant:
            continue
        was = f"is {is_now}" if is_now is not None else "is not set"
        sentence = f"{table}: {name} {was}, and {meant or 'not set'} in the models"
        remedy = (
            f"ALTER TABLE {table} SET ({name} = {meant})"
            if meant
            else f"ALTER TABLE {table} RESET ({name})"
        )
        yield broken(Rule.TABLE_OPTION, table, sentence, remedy)


def _numbers(options: Mapping[str, str]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in options.items()
        if name.endswith(("_threshold", "_scale_factor"))
    }


def judge_dead_rows(
    limits: Limits, row: Mapping[str, Any], settings: Mapping[str, float]
) -> Iterator[Finding]:
    """Yield whether vacuum is far behind."""
    usual = settings["autovacuum_vacuum_threshold"] + settings[
        "autovacuum_vacuum_scale_factor"
    ] * max(row["rows"], 0)
    if row["dead"] > max(_TWICE * usual, limits.dead_rows):
        last = f"{duration(row['vacuumed'])} ago" if row["vacuumed"] is not None else "never"
        yield broken(
            Rule.DEAD_ROWS,
            row["name"],
            f"{row['name']}: {counted(row['dead'], 'dead row')} (vacuum comes at {usual:,.0f}; "
            f"the last one: {last})",
            f"VACUUM (ANALYZE) {row['name']}",
        )


def judge_statistics(
    limits: Limits, row: Mapping[str, Any], settings: Mapping[str, float]
) -> Iterator[Finding]:
    """Yield whether analyze is far behind."""
    usual = settings["autovacuum_analyze_threshold"] + settings[
        "autovacuum_analyze_scale_factor"
    ] * max(row["rows"], 0)
    if row["changed"] > max(_TWICE * usual, limits.changed_rows):
        yield broken(
            Rule.STATISTICS_OLD,
            row["name"],
            f"{row['name']}: {counted(row['changed'], 'row')} changed since it was analyzed "
            f"(analyze comes at {usual:,.0f}): plans go by what it was",
            f"ANALYZE {row['name']}",
        )


def judge_ages(limits: Limits, oldest: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield whether transaction ids run out."""
    near, ahead = limits.ages
    # Above that, vacuum comes by itself, whatever is switched off; a little later it is overdue.
    ahead = max(ahead, _OVERDUE * oldest["frozen_at"])
    for kind, words in (("transactions", "transaction ids"), ("multixacts", "multixact ids")):
        age = oldest[kind]
        if age > ahead:
            yield broken(
                Rule.WRAPAROUND_NEAR if age > near else Rule.WRAPAROUND_AHEAD,
                f"database {oldest['name']}",
                f"the database {oldest['name']} is {age / 1e6:,.0f} million {words} behind; "
                "at 2,100 million PostgreSQL takes no more writes",
                f"run `vacuumdb --freeze {oldest['name']}`; look for old transactions, prepared "
                "ones and replication slots that keep vacuum up",
            )
