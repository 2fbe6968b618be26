"""What a check reports: findings, each with a stable code and a remedy. No I/O.

A check only looks. Whoever asked decides what follows: a worker refuses to start on an error,
`copydesk doctor` shows everything and ends with an exit code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How much a finding weighs: an error must be mended, a warning looked at, a notice known."""

    ERROR = "error"
    WARNING = "warning"
    NOTICE = "notice"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it has to be.

    Attributes:
        code: which rule is broken; part of the interface, so it does not change.
        severity: whether it has to be mended.
        subject: what it is about: a table, a role, a function.
        sentence: names the subject and what is wrong with it; one line, no values of rows.
        remedy: what mends it: SQL for an administrator where it begins with an SQL verb in
            capitals, otherwise words.
    """

    code: str
    severity: Severity
    subject: str
    sentence: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Examination:
    """What one check looked at, and what it found.

    Attributes:
        name: the check's own.
        findings: empty when there is nothing to mend.
        checked: what was looked at, as lists of names by kind, so that a reader sees that it was.
        facts: what was measured, as phrases for people.
        not_checked: why nothing was looked at; None where it was.
    """

    name: str
    findings: Sequence[Finding]
    checked: Mapping[str, Sequence[str]]
    facts: Sequence[str] = ()
    not_checked: str | None = None

    @property
    def status(self) -> str:
        """The gravest finding's severity, `ok` without any, `not_checked` where nobody looked."""
        if self.not_checked is not None:
            return "not_checked"
        found = {finding.severity for finding in self.findings}
        return next((severity.value for severity in Severity if severity in found), "ok")

    @property
    def errors(self) -> list[Finding]:
        """The findings that have to be mended."""
        return [each for each in self.findings if each.severity is Severity.ERROR]
