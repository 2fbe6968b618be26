"""Judgements over tables of values: where a threshold lies, and on which side of it what is."""

from collections.abc import Mapping
from typing import Any

import pytest

from worker.doctor.clock import Offset, judge_offset, measure
from worker.doctor.limits import MB, Limits
from worker.doctor.redis_server import judge_kind, judge_memory, judge_persistence
from worker.doctor.rules import Rule, broken
from worker.doctor.shapes import shape
from worker.doctor.tables import (
    declared_options,
    judge_ages,
    judge_dead_rows,
    judge_options,
    judge_statistics,
)
from worker.doctor.transactions import judge_prepared, judge_session, judge_slot, judge_standby
from worker.doctor.words import counted, duration, share, size
from worker.doctor.work import LivingWorker, judge_due
from worker.findings import Examination, Severity
from worker.ledger.backlog import BOUND, Waiting

LIMITS = Limits()
USUAL = {
    "autovacuum_vacuum_threshold": 50,
    "autovacuum_vacuum_scale_factor": 0.2,
    "autovacuum_analyze_threshold": 50,
    "autovacuum_analyze_scale_factor": 0.1,
}


@pytest.mark.parametrize(
    ("is_idle", "idle", "age", "codes"),
    [
        (False, 0, 299, []),
        (False, 0, 301, [Rule.TRANSACTION_OLD]),
        (True, 59, 59, []),
        (True, 61, 61, [Rule.TRANSACTION_IDLE]),
        (True, 1, 301, [Rule.TRANSACTION_OLD]),
        (False, 400, 400, [Rule.TRANSACTION_OLD]),
    ],
)
def test_a_transaction_is_old_after_five_minutes_and_idle_after_one(
    is_idle: bool, idle: float, age: float, codes: list[Rule]
) -> None:
    """One finding a session: what it does is told, not both."""
    session = {"pid": 7, "role": "r", "is_idle": is_idle, "idle_seconds": idle, "seconds": age}
    assert [each.code for each in judge_session(LIMITS, session)] == codes


@pytest.mark.parametrize(("age", "count"), [(299, 0), (301, 1)])
def test_a_prepared_transaction_is_forgotten_after_five_minutes(age: float, count: int) -> None:
    """Whoever prepares one commits it at once."""
    row = {"gid": "g", "literal": "'g'", "owner": "o", "seconds": age}
    assert len([*judge_prepared(LIMITS, row)]) == count


@pytest.mark.parametrize(
    ("held", "status", "count"),
    [(64 * MB, "reserved", 0), (65 * MB, "reserved", 1), (0, "lost", 1)],
)
def test_a_slot_may_hold_some_wal(held: int, status: str, count: int) -> None:
    """One that is lost holds nothing, and is of no use to anybody."""
    row = {"name": "s", "literal": "'s'", "held": held, "wal_status": status}
    assert len([*judge_slot(LIMITS, row)]) == count


@pytest.mark.parametrize(
    ("behind", "is_hidden", "count"),
    [(0, False, 0), (64 * MB, False, 0), (65 * MB, False, 1), (None, False, 0), (None, True, 0)],
)
def test_a_standby_may_be_a_little_behind(behind: int | None, is_hidden: bool, count: int) -> None:
    """What is hidden is told elsewhere, and not taken for far behind."""
    row = {"pid": 7, "role": "r", "behind": behind, "is_hidden": is_hidden}
    found = [each.code for each in judge_standby(LIMITS, row)]
    assert found == [Rule.REPLICATION_LAG] * count


@pytest.mark.parametrize(
    ("rows", "dead", "count"),
    [(1000, 10_000, 0), (1000, 10_001, 1), (1_000_000, 400_100, 0), (1_000_000, 400_101, 1)],
)
def test_vacuum_is_behind_at_twice_the_usual(rows: float, dead: int, count: int) -> None:
    """And not for the few dead rows of a small table."""
    row = {"name": "t", "rows": rows, "dead": dead, "vacuumed": None}
    found = [*judge_dead_rows(LIMITS, row, USUAL)]
    assert len(found) == count
    assert all("the last one: never" in finding.sentence for finding in found)


@pytest.mark.parametrize(("changed", "count"), [(200_100, 0), (200_101, 1)])
def test_statistics_are_old_at_twice_the_usual(changed: int, count: int) -> None:
    """A tenth of a million rows, twice, and the threshold."""
    row = {"name": "t", "rows": 1_000_000.0, "changed": changed}
    assert len([*judge_statistics(LIMITS, row, USUAL)]) == count


@pytest.mark.parametrize(
    ("transactions", "multixacts", "codes"),
    [
        (250_000_000, 0, []),
        (500_000_001, 0, [Rule.WRAPAROUND_AHEAD]),
        (1_500_000_001, 0, [Rule.WRAPAROUND_NEAR]),
        (0, 1_500_000_001, [Rule.WRAPAROUND_NEAR]),
        (600_000_000, 600_000_000, [Rule.WRAPAROUND_AHEAD, Rule.WRAPAROUND_AHEAD]),
    ],
)
def test_transaction_ids_run_out_loudly(
    transactions: int, multixacts: int, codes: list[Rule]
) -> None:
    """A warning when vacuum is overdue, an error while there is still time."""
    row = {"name": "d", "transactions": transactions, "multixacts": multixacts}
    found = judge_ages(LIMITS, {**row, "frozen_at": 200_000_000})
    assert [each.code for each in found] == codes


def test_wraparound_goes_by_what_the_server_is_set_to() -> None:
    """Where vacuum comes at a thousand million, it is not overdue before that."""
    row = {"name": "d", "transactions": 1_100_000_000, "multixacts": 0, "frozen_at": 1_000_000_000}
    assert [*judge_ages(LIMITS, row)] == []


@pytest.mark.parametrize("off", ["off", "false", "no", "0"])
def test_every_spelling_of_off_is_off(off: str) -> None:
    """PostgreSQL keeps an option as it was written."""
    options = {**declared_options()["agent_executions"], "autovacuum_enabled": off}
    [finding] = judge_options("agent_executions", options)
    assert finding.code == Rule.TABLE_NOT_VACUUMED


@pytest.mark.parametrize(
    ("info", "production", "codes"),
    [
        ({}, False, []),
        ({"maxmemory": 100, "used_memory": 89}, True, []),
        ({"maxmemory": 100, "used_memory": 90}, True, [Rule.REDIS_FULL]),
        ({"maxmemory_policy": "allkeys-lru", "maxmemory": 1}, True, [Rule.REDIS_EVICTS]),
        ({"maxmemory_policy": "volatile-ttl"}, False, [Rule.REDIS_EVICTS]),
        ({"maxmemory": 0}, True, [Rule.REDIS_UNLIMITED]),
    ],
)
def test_memory_of_redis(info: Mapping[str, Any], production: bool, codes: list[Rule]) -> None:
    """Every policy but noeviction throws something away."""
    assert [each.code for each in judge_memory(LIMITS, info, production=production)] == codes


@pytest.mark.parametrize(
    ("info", "codes"),
    [
        ({"redis_version": "7.2.0", "role": "master"}, []),
        ({"redis_version": "7.0.15"}, [Rule.REDIS_VERSION]),
        ({"redis_version": "7.2.4", "valkey_version": "8.0.1"}, []),
        ({"redis_version": "8.2.3", "role": "slave"}, [Rule.REDIS_READ_ONLY]),
    ],
)
def test_versions_and_replicas_of_redis(info: Mapping[str, Any], codes: list[Rule]) -> None:
    """Valkey's own version counts, not the one it is compatible with."""
    assert [each.code for each in judge_kind(info)] == codes


@pytest.mark.parametrize(
    ("aof", "saves", "is_known", "count"),
    [(0, "", True, 1), (1, "", True, 0), (0, "3600 1", True, 0), (0, "", False, 0)],
)
def test_persistence_of_redis(aof: int, saves: str, is_known: bool, count: int) -> None:
    """The file or the snapshots will do; what is not known is not accused."""
    found = [*judge_persistence({"aof_enabled": aof}, saves, is_known=is_known)]
    assert len(found) == count


@pytest.mark.parametrize(
    ("ahead", "give_or_take", "count"),
    [(0.9, 0, 0), (1.1, 0, 1), (-1.1, 0, 1), (1.5, 0.6, 0), (5, 0.6, 1)],
)
def test_a_clock_is_off_where_it_surely_is(ahead: float, give_or_take: float, count: int) -> None:
    """A slow answer makes the measure rough, and is no fault of the clock."""
    found = judge_offset("X", Offset(ahead, give_or_take), tolerated=1)
    assert [each.code for each in found] == [Rule.CLOCK_OFF] * count


async def test_a_clock_is_measured_against_this_machines() -> None:
    """One that stands an hour ahead is found to."""

    async def ahead() -> float:
        return 4600.0

    offset = await measure(ahead, lambda: 1000.0)
    assert 3599 < offset.ahead <= 3600


@pytest.mark.parametrize(
    ("agent", "seconds", "workers", "codes"),
    [
        ("compile", 61, [], [Rule.WORK_UNCLAIMED]),
        ("compile", 61, [LivingWorker(["review"], 1, 0)], [Rule.WORK_UNCLAIMED]),
        ("compile", 61, [LivingWorker(["compile"], 1, 1)], []),
        ("compile", 301, [LivingWorker(["compile"], 1, 1)], [Rule.WORK_LATE]),
    ],
)
def test_work_that_waits(
    agent: str, seconds: float, workers: list[LivingWorker], codes: list[Rule]
) -> None:
    """Nobody who could take it is an error; too few of them, after a while, a warning."""
    waiting = [Waiting(agent, 2, seconds, ["a"])]
    assert [each.code for each in judge_due(waiting, workers, late=300)] == codes


def test_an_agents_name_that_is_none_is_not_repeated() -> None:
    """A plain INSERT may have put anything there."""
    [finding] = judge_due([Waiting("\x1b[31m secret", 1, 99, [])], [], late=300)
    assert finding.subject == "agent (no name)"
    assert "secret" not in finding.sentence


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("SELECT  1\n FROM t WHERE a = $1", "SELECT ? FROM t WHERE a = $1"),
        ("SELECT 'secret' -- secret\nFROM t", "SELECT ? FROM t"),
        ("UPDATE t SET a = $x$secret$x$", "UPDATE t SET a = ?"),
        ("/* secret */ DELETE FROM t", "DELETE FROM t"),
        ("INSERT INTO t VALUES (E'it''s \\' secret')", "INSERT INTO t VALUES (?)"),
        ("SELECT a FROM t WHERE b = 'secret", "SELECT a FROM t WHERE b = ?"),
        ('SELECT "secret" FROM t', "SELECT ? FROM t"),
        ("ALTER ROLE r PASSWORD 'secret'", None),
        ("SET app.x = 'secret'", None),
        ("WITH a AS (SELECT 1) SELECT * FROM a", "WITH a AS (SELECT ?) SELECT * FROM a"),
    ],
)
def test_a_statement_is_told_without_values(statement: str, told: str | None) -> None:
    """What PostgreSQL kept of values, in comments, texts and names, does not show."""
    assert shape(statement) == told


def test_sizes_durations_and_counts_are_told_for_people() -> None:
    """Whole numbers of the unit that fits."""
    assert [size(n) for n in (5, 2048, 3 * MB, 5000 * MB)] == ["5 bytes", "2 kB", "3 MB", "5 GB"]
    told = [duration(n) for n in (0.002, 5, 119, 121, 7200, 200_000)]
    assert told == ["2 ms", "5 s", "119 s", "2 min", "2 h", "2 days"]
    assert share(0.911) == "91 %"
    assert counted(1, "row") == "1 row"
    assert counted(BOUND + 1, "row", bound=BOUND) == "1,000 or more rows"


@pytest.mark.parametrize(
    ("rules", "not_checked", "status"),
    [
        ([], None, "ok"),
        ([Rule.INDEX_UNUSED], None, "notice"),
        ([Rule.INDEX_UNUSED, Rule.DEAD_ROWS], None, "warning"),
        ([Rule.DEAD_ROWS, Rule.INDEX_MISSING, Rule.INDEX_UNUSED], None, "error"),
        ([Rule.CHECK_UNANSWERED], "it did not answer", "not_checked"),
    ],
)
def test_a_checks_status_is_its_gravest_finding(
    rules: list[Rule], not_checked: str | None, status: str
) -> None:
    """What was not checked is never ok."""
    found = [broken(rule, "s", "s", "r") for rule in rules]
    assert Examination("x", found, {}, not_checked=not_checked).status == status
    assert {each.severity for each in found} <= set(Severity)
