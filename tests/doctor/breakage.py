"""Breaking one thing by hand, and what the doctor has to say of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.support.databases import DatabaseUrls
from worker.doctor import CheckName
from worker.doctor.checks import examine
from worker.doctor.limits import Limits
from worker.doctor.rules import Rule
from worker.findings import Examination, Finding
from worker.settings import Settings


@dataclass(frozen=True)
class Breakage:
    """What is broken in a database, and which rule of which check says so.

    Attributes:
        subject: what the finding is about.
        statements: run by the superuser, one after the other.
        limits: what is too much, so that a test does not have to wait for it.
        is_mended: whether the finding's remedy is SQL that mends it.
    """

    rule: Rule
    check: CheckName
    subject: str
    statements: Sequence[str]
    limits: Limits = field(default_factory=Limits)
    is_mended: bool = True


async def examined(
    settings: Settings, check: CheckName, *, limits: Limits | None = None
) -> Examination:
    """Return what one check says."""
    [examination] = await examine(settings, [check], limits=limits)
    return examination


def of(rule: Rule, examination: Examination) -> list[Finding]:
    """Return the findings of a rule."""
    return [finding for finding in examination.findings if finding.code == rule]


async def goes_red(settings: Settings, database: DatabaseUrls, breakage: Breakage) -> None:
    """Break it, see the finding, run its remedy, and see that it is gone."""
    before = await examined(settings, breakage.check, limits=breakage.limits)
    assert of(breakage.rule, before) == []
    for statement in breakage.statements:
        await database.ask(statement)

    red = await examined(settings, breakage.check, limits=breakage.limits)

    found = {finding.subject: finding for finding in of(breakage.rule, red)}
    finding = found[breakage.subject]
    assert "\n" not in finding.sentence
    assert finding.remedy
    if breakage.is_mended:
        for statement in finding.remedy.split("; "):
            await database.ask(statement)
        after = await examined(settings, breakage.check, limits=breakage.limits)
        assert finding not in after.findings
        assert breakage.subject not in {each.subject for each in of(breakage.rule, after)}
