"""Grammar: the problems that the checker `harper` finds in the prose of an English document.

The grammar score is problems per hundred words, rounded to two decimals: 0 means none was found,
and lower is better. Every problem counts once, whatever its kind. Documents in other languages have
no grammar score, because the checker knows English only.
"""

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.agents.builtin.language import Language
from worker.agents.builtin.prose import Prose

if TYPE_CHECKING:
    from harper import Lint, Linter

# Harper's kinds, worst first: what is wrong, then what is unclear, then what is a matter of taste.
SEVERITY = (
    "Spelling",
    "Typo",
    "Grammar",
    "Agreement",
    "BoundaryError",
    "Malapropism",
    "Eggcorn",
    "Nonstandard",
    "Repetition",
    "Punctuation",
    "Capitalization",
    "WordOrder",
    "WordChoice",
    "Usage",
    "Miscellaneous",
    "Formatting",
    "Regionalism",
    "Redundancy",
    "Readability",
    "Enhancement",
    "Style",
)
_DIALECTS = {
    "US": "AMERICAN",
    "GB": "BRITISH",
    "IE": "BRITISH",
    "NZ": "BRITISH",
    "ZA": "BRITISH",
    "AU": "AUSTRALIAN",
    "CA": "CANADIAN",
    "IN": "INDIAN",
}
# The kinds that a name, being no dictionary word, is mistaken for.
_NAME_KINDS = frozenset(("Spelling", "Typo", "Capitalization"))


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace `source[start:end]` (empty: insert) by `text`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding: where (`source[start:end]`, on `line`), what kind, and the first remedy."""

    line: int
    start: int
    end: int
    text: str
    kind: str
    message: str
    remedy: Edit | None

    @property
    def severity(self) -> tuple[int, int, int]:
        """The place in a list that goes from worst to least: by kind, then by position."""
        rank = SEVERITY.index(self.kind) if self.kind in SEVERITY else len(SEVERITY)
        return rank, self.line, self.start


class GrammarChecker:
    """Checks prose with harper; safe to share by threads, each call borrows a linter.

    A linter serves one thread at a time, and building the first one costs half a second and about
    130 MB for the dictionary. There are as many as processors: more could not work at once.
    """

    def __init__(self, linters: int | None = None) -> None:
        self._most = linters or os.cpu_count() or 1
        self._permits = threading.BoundedSemaphore(self._most)
        self._lock = threading.Lock()
        self._idle: list[Linter] = []

    def check(
        self, prose: Prose, language: Language, known_words: Iterable[str] = ()
    ) -> list[Problem]:
        """Return the problems in English prose, worst first.

        Words in `known_words` (in any case) are never mistakes; single letters, and words written
        like names, with digits or with capitals inside, are never misspelled.
        """
        known = frozenset(word.casefold() for word in known_words)
        with self._borrowed(dialect_of(language)) as linter:
            lints = linter.lint(prose.checked)
        problems = (_problem(prose, lint) for lint in lints if prose.reads(*_span(lint)))
        kept = (it for it in problems if not _is_name(it, known) and not _is_cell_start(it, prose))
        return sorted(kept, key=lambda it: it.severity)

    @contextmanager
    def _borrowed(self, dialect: str) -> Iterator["Linter"]:
        with self._permits:
            linter = self._take(dialect)
            yield linter
            # Not in a `finally`: a linter whose call failed is not used again.
            with self._lock:
                self._idle.append(linter)
                # Dialects that are no longer asked for go first.
                del self._idle[: -self._most]

    def _take(self, dialect: str) -> "Linter":
        from harper import Dialect, Linter  # noqa: PLC0415 - loaded by the first attempt that checks

        wanted = Dialect[dialect]
        with self._lock:
            for index, linter in enumerate(self._idle):
                if linter.dialect == wanted:
                    return self._idle.pop(index)
        return Linter(wanted)


def dialect_of(language: Language) -> str:
    """Return the name of harper's dialect for an English tag; American without a region."""
    return _DIALECTS.get(language.region or "US", "AMERICAN")


def grammar_score(problems: int, words: int) -> float | None:
    """Return problems per hundred words, rounded to two decimals; None where there is no word."""
    return round(100 * problems / words, 2) if words else None


def _span(lint: "Lint") -> tuple[int, int]:
    return lint.span.start, lint.span.end


def _problem(prose: Prose, lint: "Lint") -> Problem:
    start, end = _span(lint)
    return Problem(
        line=prose.line_of(start),
        start=start,
        end=end,
        text=prose.source[start:end],
        kind=lint.lint_kind,
        message=lint.message,
        remedy=_remedy(lint),
    )


def _remedy(lint: "Lint") -> Edit | None:
    suggestions = lint.suggestions
    if not suggestions:
        return None
    start, end = _span(lint)
    first = suggestions[0]
    # INSERT_AFTER leaves the text and adds behind it; REMOVE has an empty replacement.
    return Edit(end if first.kind.name == "INSERT_AFTER" else start, end, first.replacement_text)


def _is_name(problem: Problem, known: frozenset[str]) -> bool:
    if problem.kind not in _NAME_KINDS:
        return False
    word = problem.text.replace("\u2019", "'").removesuffix("'s")
    if word.casefold() in known:
        return True
    # A letter alone is a unit or a variable.
    written_as_name = len(word) == 1 or any(map(str.isdigit, word)) or word[1:] != word[1:].lower()
    return problem.kind == "Spelling" and written_as_name


def _is_cell_start(problem: Problem, prose: Prose) -> bool:
    # A table cell is no sentence, so it need not start with a capital letter.
    return problem.kind == "Capitalization" and problem.line in prose.cell_lines
