"""The slowest statements, as pg_stat_statements has recorded them; no value is shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.doctor.limits import Limits
from worker.doctor.rules import Rule, broken
from worker.doctor.shapes import shape
from worker.doctor.site import Observer, Site
from worker.doctor.words import counted, duration, share
from worker.errors import CopydeskError, DatabaseUnavailableError
from worker.findings import Examination, Finding

_INSTALLED = """
    SELECT to_regclass('pg_stat_statements') IS NOT NULL AS here, (
        SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
        WHERE e.extname = 'pg_stat_statements') AS schema
"""

# Whose text is hidden has no id either. Times are in milliseconds.
_RECORDED = """
    SELECT quote_ident(pg_get_userbyid(s.userid)) AS role, s.queryid IS NULL AS is_hidden,
           s.query AS text, s.calls, s.mean_exec_time / 1000 AS mean,
           s.total_exec_time / 1000 AS total,
           (s.jit_generation_time + s.jit_inlining_time + s.jit_optimization_time
               + s.jit_emission_time + s.jit_deform_time) / 1000 AS compiling
    FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
    WHERE d.datname = current_database() AND s.toplevel
    ORDER BY s.total_exec_time DESC
"""

_SHOWN = 5
_CREATE = "CREATE EXTENSION pg_stat_statements"
_LOAD = (
    "add pg_stat_statements to shared_preload_libraries, start PostgreSQL again, and run "
    f"`{_CREATE}`"
)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a role's calls of one statement took, in seconds; the shape may be None."""

    role: str
    shape: str | None
    is_hidden: bool
    calls: int
    mean: float
    total: float
    compiling: float

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Recorded:
        """Return what a row of pg_stat_statements says."""
        values = dict(row)
        text = values.pop("text")
        return cls(shape=None if row["is_hidden"] else shape(text or ""), **values)

    @property
    def words(self) -> str:
        """What it is and what it takes."""
        return f"{duration(self.mean)} on average ({self.calls:,} calls by {self.role})"


async def statements(site: Site) -> Examination:
    """Name the statements that take most time, where anybody has recorded them."""
    observer = await site.observer()
    recorded, unrecorded = await _recorded(observer)
    findings = [
        *unrecorded,
        *judge_slow(site.limits, recorded),
        *judge_compiled(site.limits, recorded),
    ]
    if hidden := [each for each in recorded if each.is_hidden]:
        whose = ", ".join(sorted({each.role for each in hidden}))
        what = f"the text of {counted(len(hidden), 'statement')} of {whose}"
        findings.append(observer.cannot_see("statements", what))
    facts = [counted(len(recorded), "statement") + " recorded"] if not unrecorded else []
    shown = [each for each in recorded if each.shape]
    if shown:
        slowest = max(shown, key=lambda each: each.mean)
        facts.append(f"slowest {duration(slowest.mean)} on average")
    return Examination("statements", findings, {"seen_by": [observer.name]}, facts)


async def _recorded(observer: Observer) -> tuple[Sequence[Recorded], list[Finding]]:
    [installed] = await observer.eyes.call(_INSTALLED)
    if not installed["here"]:
        said, remedy = "pg_stat_statements is not installed in this database", _CREATE
        if installed["schema"] is not None:
            said = f"pg_stat_statements is in the schema {installed['schema']}, out of sight"
            remedy = "ALTER EXTENSION pg_stat_statements SET SCHEMA public"
        return [], [_unrecorded(said, remedy)]
    try:
        rows = await observer.eyes.call(_RECORDED)
    except DatabaseUnavailableError:
        raise
    except CopydeskError:
        return [], [_unrecorded("pg_stat_statements is there, and not loaded", _LOAD)]
    return [Recorded.read(row) for row in rows], []


def _unrecorded(said: str, remedy: str) -> Finding:
    sentence = f"{said}: which statements are slow is not known"
    return broken(Rule.STATEMENTS_UNRECORDED, "statements", sentence, remedy)


def judge_slow(limits: Limits, recorded: Sequence[Recorded]) -> Iterator[Finding]:
    """Yield the statements that are slow each time, those first that take most time in all."""
    found = [
        each
        for each in recorded
        if each.shape and each.mean >= limits.slow and each.calls >= limits.calls
    ]
    for each in found[:_SHOWN]:
        yield broken(
            Rule.STATEMENT_SLOW,
            f"statement of {each.role}",
            f"{each.words}: {each.shape}",
            "EXPLAIN (ANALYZE, BUFFERS) it with values like those it is called with; is an index "
            "missing, or are statistics old?",
        )


def judge_compiled(limits: Limits, recorded: Sequence[Recorded]) -> Iterator[Finding]:
    """Yield the statements that are compiled for longer than it is worth."""
    for each in recorded:
        if each.shape and each.compiling > limits.compiled * each.total > 0:
            part = share(each.compiling / each.total)
            yield broken(
                Rule.STATEMENT_COMPILED,
                f"statement of {each.role}",
                f"{part} of its time is JIT compiling, {each.words}: {each.shape}",
                f"ALTER ROLE {each.role} SET jit = off",
            )
