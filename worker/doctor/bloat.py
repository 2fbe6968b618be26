"""How much of a table or an index holds nothing: measured by pgstattuple, or else estimated.

pgstattuple reads pages, not rows, and passes over those that hold none but visible ones; what is
larger than a bound is estimated all the same, so that a look stays short. An estimate goes by
counts of rows and the width they can have at most, so that it tells of less than there is, never of
more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from models.tables import Base
from worker.doctor.rules import Rule, broken
from worker.doctor.site import Observer, Site
from worker.doctor.words import share, size
from worker.errors import DatabaseUnavailableError
from worker.findings import Finding

_MAY_MEASURE = """
    SELECT coalesce(bool_and(has_function_privilege(p.oid, 'EXECUTE')), false) AND count(*) = 2
               AS may
    FROM pg_proc p
    WHERE p.oid IN (to_regprocedure('pgstattuple_approx(regclass)'),
                    to_regprocedure('pgstatindex(regclass)'))
"""

# Longer rows are cut, and stored elsewhere (TOAST), down to a quarter of a page.
_TABLES = """
    SELECT c.oid, c.relname::text AS name, pg_relation_size(c.oid) AS size,
           CASE WHEN c.reltuples >= 0 THEN
               pg_relation_size(c.oid) - c.reltuples * (current_setting('block_size')::float8 / 4)
                   / (coalesce(o.option_value, '100')::float8 / 100) END AS wasted
    FROM pg_class c LEFT JOIN LATERAL pg_options_to_table(c.reloptions) AS o
        ON o.option_name = 'fillfactor'
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname = ANY ($1)
"""

# Of keys with a fixed width. An entry takes its keys, rounded up, a header and a pointer.
_INDEXES = """
    SELECT c.oid, c.relname::text AS name, pg_relation_size(c.oid) AS size,
           CASE WHEN c.reltuples >= 0 AND w.is_fixed THEN
               pg_relation_size(c.oid) - c.reltuples * (12 + 8 * ceil(w.width / 8.0)) / 0.9
           END AS wasted
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
        JOIN pg_am m ON m.oid = c.relam AND m.amname = 'btree'
        CROSS JOIN LATERAL (
            SELECT sum(a.attlen) AS width, bool_and(a.attlen > 0) AS is_fixed
            FROM pg_attribute a WHERE a.attrelid = c.oid) AS w
    WHERE t.relnamespace = 'public'::regnamespace AND t.relname = ANY ($1) AND i.indisvalid
"""

_MEASURE_TABLE = """
    SELECT (approx_free_space + dead_tuple_len)::float8 AS wasted
    FROM pgstattuple_approx($1::oid::regclass)
"""

# Leaves are filled to 90 % when they are new.
_MEASURE_INDEX = """
    SELECT index_size * (1 - least(avg_leaf_density / 90, 1)) AS wasted
    FROM pgstatindex($1::oid::regclass)
"""

_MEASURED, _ESTIMATED = "measured by pgstattuple", "estimated"


@dataclass(frozen=True, slots=True)
class _Kind:
    """What is looked at: how it is found, estimated and measured, and what mends it."""

    rule: Rule
    find: str
    measure: str
    remedy: str


_KINDS = {
    "tables": _Kind(
        Rule.TABLE_BLOAT,
        _TABLES,
        _MEASURE_TABLE,
        "at a quiet time `VACUUM (FULL, ANALYZE) {name}`, which locks the table while it runs",
    ),
    "indexes": _Kind(
        Rule.INDEX_BLOAT, _INDEXES, _MEASURE_INDEX, "REINDEX INDEX CONCURRENTLY {name}"
    ),
}


async def wasted(site: Site, observer: Observer, kind: str) -> tuple[list[Finding], str]:
    """Return a finding for each of the "tables" or "indexes" that is mostly empty, and how.

    Raises:
        CopydeskError: PostgreSQL does not answer.
    """
    what = _KINDS[kind]
    [allowed] = await observer.eyes.call(_MAY_MEASURE)
    names = [table.name for table in Base.metadata.sorted_tables]
    findings: list[Finding] = []
    for row in await observer.eyes.call(what.find, names):
        _, least = site.limits.bloat
        if row["size"] < least:
            continue
        empty, how = row["wasted"], _ESTIMATED
        if allowed["may"] and row["size"] <= site.limits.measured:
            measured = await _measured(observer, what, row["oid"])
            empty, how = (empty, how) if measured is None else (measured, _MEASURED)
        findings += _judged(site, what, row, empty, how)
    told = _MEASURED if allowed["may"] else f"{_ESTIMATED}, since pgstattuple cannot be called"
    return findings, f"bloat {told}"


async def _measured(observer: Observer, what: _Kind, oid: int) -> float | None:
    try:
        [row] = await observer.eyes.call(what.measure, oid)
    except DatabaseUnavailableError:
        return None  # it takes too long, or somebody has locked it
    return float(row["wasted"])


def _judged(
    site: Site, what: _Kind, row: Mapping[str, Any], empty: float | None, how: str
) -> Iterator[Finding]:
    most, least = site.limits.bloat
    name = row["name"]
    if empty is not None and empty >= max(most * row["size"], least):
        sentence = (
            f"{name}: {size(empty)} of {size(row['size'])} hold nothing "
            f"({share(empty / row['size'])}, {how})"
        )
        yield broken(what.rule, name, sentence, what.remedy.replace("{name}", name))
