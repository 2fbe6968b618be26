"""One thing broken by hand, and what the gate has to say about it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from tests.isolation.gate.site import Bench, examined
from tests.support.databases import DatabaseUrls
from worker.findings import Finding
from worker.gate import Rule

_SQL = re.compile(r"(ALTER|CREATE|DROP|GRANT|REASSIGN|REVOKE) ")


@dataclass(frozen=True)
class Breakage:
    """A breakage.

    Attributes:
        by_hand: statements, as the superuser; `{name}` is the database.
        says: what the sentence of the first rule must contain: the table, and what is wrong.
        rules: every rule that the gate finds broken by it, the main one first, and no other.
        undo: statements that take away what would outlive the database.
    """

    by_hand: str
    says: str
    rules: tuple[Rule, ...]
    undo: str = ""


def breaks(by_hand: str, says: str, *rules: Rule, undo: str = "") -> Breakage:
    """Return a breakage."""
    return Breakage(by_hand, says, rules, undo)


async def goes_red(bench: Bench, breakage: Breakage) -> None:
    """Break a database, see the gate name it, and mend it with the remedies where they are SQL."""
    database = await bench.database()
    is_mended = False
    try:
        await by_hand(database, breakage.by_hand)
        findings = (await examined(database)).findings
        assert {finding.code for finding in findings} == set(breakage.rules), findings
        named = [each for each in findings if each.code == breakage.rules[0]]
        assert any(breakage.says in each.sentence for each in named), named
        # That a table can be read is mended by what else is said of it.
        causes = [each for each in findings if each.code != Rule.READ_PAST_RLS]
        if all(_SQL.match(cause.remedy) for cause in causes):
            # What mends one thing may bring up the next: a new owner has no grants yet.
            left = await _mended(database, causes)
            left = left and await _mended(database, left)
            assert not left, left
            is_mended = True
    finally:
        if breakage.undo:
            await by_hand(database, breakage.undo)
        await (bench.put_back() if is_mended else bench.throw_away())


async def _mended(database: DatabaseUrls, findings: Sequence[Finding]) -> Sequence[Finding]:
    await by_hand(database, *dict.fromkeys(finding.remedy for finding in findings))
    return (await examined(database)).findings


async def by_hand(database: DatabaseUrls, *statements: str) -> None:
    """Execute statements as the superuser."""
    connection: asyncpg.Connection
    async with database.oracle() as connection:
        for statement in statements:
            await connection.execute(statement.replace("{name}", database.name))
