"""The Markdown of a review: a table of figures, and the findings, worst first."""

import re
from dataclasses import dataclass
from typing import Any

from worker.agents.builtin.grammar import Problem
from worker.agents.builtin.readability import Readability

_LONGEST_QUOTE = 80
_NO_GRAMMAR = "the grammar checker knows English only"


@dataclass(frozen=True, slots=True)
class Figures:
    """What a review measured. `problems` and `grammar_score` are None where nothing was checked."""

    document_type: str
    version: int
    language: str
    readability: Readability
    dialect: str | None
    grammar_score: float | None
    problems: int | None
    kinds: dict[str, int]

    def as_output(self) -> dict[str, Any]:
        """Return the figures as JSON for `output_data`."""
        return {
            "document_type": self.document_type,
            "version": self.version,
            "language": self.language,
            "words": self.readability.words,
            "sentences": self.readability.sentences,
            "readability_score": self.readability.score,
            "readability_reason": self.readability.reason,
            "grammar_dialect": self.dialect,
            "grammar_score": self.grammar_score,
            "grammar_reason": _NO_GRAMMAR if self.problems is None else None,
            "problems": self.problems,
            "problems_by_kind": dict(sorted(self.kinds.items())),
        }


def write_report(figures: Figures, problems: list[Problem] | None) -> str:
    """Return the review as Markdown; `problems` are listed in the order given."""
    parts = [
        f"# Review of {figures.document_type}, version {figures.version}",
        _table(figures),
        "## Findings",
        _findings(problems),
    ]
    return "\n\n".join(parts) + "\n"


def _table(figures: Figures) -> str:
    measured = figures.readability
    rows = [
        ("Language", figures.language),
        ("Words", measured.words),
        ("Sentences", measured.sentences),
        ("Readability (Flesch reading ease, higher is easier)", _score(measured.score)),
        ("Grammar (problems per hundred words, lower is better)", _score(figures.grammar_score)),
    ]
    if figures.problems is not None:
        rows.append(("Problems", figures.problems))
        rows.extend((f"Problems: {kind}", n) for kind, n in sorted(figures.kinds.items()))
    table = ["| Figure | Value |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]
    notes = [f"No readability score: {measured.reason}."] if measured.reason else []
    if figures.problems is None:
        notes.append(f"No grammar score: {_NO_GRAMMAR}.")
    return "\n".join(table) + "".join(f"\n\n{note}" for note in notes)


def _score(score: float | None) -> str:
    return "none" if score is None else f"{score:g}"


def _findings(problems: list[Problem] | None) -> str:
    if problems is None:
        return "Grammar was not checked."
    if not problems:
        return "None."
    return "\n".join(f"{number}. {_finding(it)}" for number, it in enumerate(problems, start=1))


def _finding(problem: Problem) -> str:
    message = " ".join(problem.message.split())
    stop = "" if message.endswith((".", "?", "!")) else "."
    what = f"{_quoted(problem.text)}{_remedy(problem)}"
    return f"Line {problem.line}, {problem.kind}: {what}. {message}{stop}"


def _remedy(problem: Problem) -> str:
    edit = problem.remedy
    if edit is None:
        return ""
    after = problem.text[: edit.start - problem.start] + edit.text
    return f" -> {_quoted(after)}" if after else " (remove)"


def _quoted(text: str) -> str:
    """Return `text` as inline code that keeps it literal, on one line, cut where it is long."""
    flat = " ".join(text.split())
    if len(flat) > _LONGEST_QUOTE:
        flat = f"{flat[: _LONGEST_QUOTE - 3]}..."
    longest = max(map(len, re.findall(r"`+", flat)), default=0)
    fence = "`" * (longest + 1)
    gap = " " if longest or not flat else ""
    return f"{fence}{gap}{flat}{gap}{fence}"
