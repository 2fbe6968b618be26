"""The slowest statements, and what does not show of them."""

from dataclasses import replace

import pytest

from tests.doctor.breakage import examined, of
from tests.support.databases import DatabaseUrls
from worker.doctor import CheckName
from worker.doctor.limits import Limits
from worker.doctor.rules import Rule
from worker.doctor.statements import Recorded, judge_compiled, judge_slow
from worker.settings import Settings

ONCE = Recorded("app", "SELECT ?", is_hidden=False, calls=10, mean=0.25, total=2.5, compiling=0.0)


async def test_a_slow_statement_is_named_without_its_values(
    seeing: Settings, database: DatabaseUrls
) -> None:
    """By its shape and the role that sends it."""
    for _ in range(3):
        await database.ask("SELECT pg_sleep(0.05), 'canary' /* canary */")

    limits = Limits(slow=0.04, calls=3)
    seen = await examined(seeing, CheckName.STATEMENTS, limits=limits)

    shapes = [each.sentence for each in of(Rule.STATEMENT_SLOW, seen)]
    assert any("3 calls by postgres" in each and "pg_sleep" in each for each in shapes)
    assert "canary" not in str(seen)


async def test_whoever_may_not_read_statements_says_so(
    settings: Settings, database: DatabaseUrls
) -> None:
    """The app role sees what others sent as hidden, and that is not "nothing slow"."""
    await database.ask("SELECT 1")

    [finding] = of(Rule.NOT_VISIBLE, await examined(settings, CheckName.STATEMENTS))

    assert "postgres (not visible to the role copydesk_app)" in finding.sentence


@pytest.mark.parametrize(
    ("calls", "mean", "count"), [(10, 0.25, 1), (9, 0.25, 0), (10, 0.249, 0), (1000, 5.0, 1)]
)
def test_slow_is_a_quarter_of_a_second_ten_times(calls: int, mean: float, count: int) -> None:
    """Once may be anything."""
    assert len([*judge_slow(Limits(), [replace(ONCE, calls=calls, mean=mean)])]) == count


def test_only_the_worst_are_told_and_nothing_without_a_shape() -> None:
    """Utility statements have none, and may hold a password."""
    assert len([*judge_slow(Limits(), [ONCE] * 9)]) == 5
    assert [*judge_slow(Limits(), [replace(ONCE, shape=None)])] == []


@pytest.mark.parametrize(("compiling", "count"), [(0.6, 0), (0.7, 1)])
def test_a_statement_that_is_compiled_for_long_is_told(compiling: float, count: int) -> None:
    """A quarter of its time is too much."""
    found = [*judge_compiled(Limits(), [replace(ONCE, compiling=compiling)])]
    assert [each.code for each in found] == [Rule.STATEMENT_COMPILED] * count
    assert all(each.remedy == "ALTER ROLE app SET jit = off" for each in found)
