"""The prose of a Markdown document, and where in the source it stands.

Code, HTML, front matter, reference definitions and the addresses of links are not prose. For every
character of the source `Prose` knows whether it is prose and whether it may be edited; a place that
cannot be traced back to the source with certainty may not.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Literal

from markdown_it import MarkdownIt
from markdown_it.token import Token

from worker.agents.builtin.inline import EDIT, MARKUP, READ, Tag, listening_parser, mark, tags_in

BlockKind = Literal["paragraph", "heading", "cell"]

_LINE_END = re.compile(r"\r\n|\r|\n")
_FRONT_MATTER = re.compile(
    r"\A\ufeff?(?P<fence>---|\+\+\+)[ \t]*(?:\r\n|\r|\n)"
    r"(?=\s*(?:#|[\w.\"'-]+[ \t]*[:=\]]|\[|---|\+\+\+)).*?^(?:(?P=fence)|\.\.\.)[ \t]*$",
    re.DOTALL | re.MULTILINE,
)
# Before a block's own text on a line: indentation and the markers of quotes, lists and headings.
_MARKERS = re.compile(r"[\s>*+\-#|]*(?:\d{1,9}[.)][\s>*+\-#|]*)*")
_AFTER_HEADING = re.compile(r"[ \t]*#*[ \t]*")
_BLANK = re.compile(r"\s*")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_AT_MOST_READ = bytes.maketrans(bytes((EDIT,)), bytes((READ,)))
# What stands in these elements is never prose, however many blank lines it has.
_VERBATIM = frozenset(
    ("code", "kbd", "math", "pre", "samp", "script", "style", "svg", "textarea", "tt", "var")
)


@dataclass(frozen=True, slots=True)
class Block:
    """The prose of one paragraph, heading or table cell, as one line of text."""

    kind: BlockKind
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Prose:
    """A document's prose: its blocks, and a mark for each character of the source.

    `checked` is the source as a checker should see it: of the same length, without front matter.
    """

    source: str
    checked: str
    blocks: tuple[Block, ...]
    marks: bytes
    line_starts: tuple[int, ...]
    cell_lines: frozenset[int]

    def line_of(self, offset: int) -> int:
        """Return the line, counted from 1, of a character of the source."""
        return bisect_right(self.line_starts, offset)

    def reads(self, start: int, end: int) -> bool:
        """Whether any of these characters of the source is prose."""
        return any(self.marks[start:end])

    def edits(self, start: int, end: int) -> bool:
        """Whether every one of these characters (there is at least one) may be edited."""
        return start < end and all(mark == EDIT for mark in self.marks[start:end])

    def markup(self) -> str:
        """Return the source with blanks in place of its prose."""
        return "".join(
            " " if mark else character
            for character, mark in zip(self.source, self.marks, strict=True)
        )

    def kept(self) -> list[str]:
        """Return the stretches of the source that no edit may change, in order."""
        return [
            self.source[start:end]
            for start, end, editable in _stretches(self.marks)
            if not editable
        ]


@dataclass(slots=True)
class _Run:
    """An inline run of the parser: its marks, and each character's place in the source, or -1."""

    kind: BlockKind
    line: int
    content: str
    marks: bytearray
    tags: list[Tag]
    places: list[int]


def read_prose(source: str) -> Prose:
    """Return the prose of a Markdown document (CommonMark, tables, front matter)."""
    checked = _FRONT_MATTER.sub(lambda found: _blank(found[0]), source, count=1)
    lines = _lines(checked)
    parser = listening_parser()
    references: dict[str, object] = {}
    tokens = parser.parse(checked, references)
    runs = list(_runs(parser, tokens, checked, lines, references))
    ceilings = _ceilings(checked, lines, tokens, runs)
    marks = bytearray(len(source))
    for run in runs:
        for index, place in enumerate(run.places):
            if place >= 0:
                run.marks[index] = min(run.marks[index], ceilings[place])
                marks[place] = run.marks[index]
    return Prose(
        source=source,
        checked=checked,
        blocks=tuple(block for run in runs if (block := _block(run)).text),
        marks=bytes(marks),
        line_starts=tuple(start for start, _ in lines),
        cell_lines=frozenset(run.line for run in runs if run.kind == "cell"),
    )


def _blank(text: str) -> str:
    return re.sub(r"[^\r\n]", " ", text)


def _lines(source: str) -> list[tuple[int, int]]:
    """Return where each line starts and where its text ends."""
    starts = [0, *(found.end() for found in _LINE_END.finditer(source))]
    ends = [*(found.start() for found in _LINE_END.finditer(source)), len(source)]
    return list(zip(starts, ends, strict=True))


def _block(run: _Run) -> Block:
    kept = "".join(
        character for character, how in zip(run.content, run.marks, strict=True) if how != MARKUP
    )
    return Block(run.kind, run.line, " ".join(kept.split()))


def _runs(
    parser: MarkdownIt,
    tokens: list[Token],
    text: str,
    lines: list[tuple[int, int]],
    references: dict[str, object],
) -> Iterator[_Run]:
    row, column = -1, 0
    for before, token in pairwise(tokens):
        if token.type != "inline" or token.map is None:
            continue
        first, after = token.map
        kind = _kind(before)
        if kind == "cell":
            if first != row:
                row, column = first, lines[first][0]
            places, column = _cell_places(token.content, text, column, lines[first][1])
        else:
            places = list(_places(token.content, text, lines[first:after], kind))
        marks, tags = mark(parser, token.content, references)
        yield _Run(kind, first + 1, token.content, marks, tags, places)


def _kind(opening: Token) -> BlockKind:
    if opening.type == "heading_open":
        return "heading"
    return "cell" if opening.type in ("th_open", "td_open") else "paragraph"


def _places(
    content: str, text: str, lines: list[tuple[int, int]], kind: BlockKind
) -> Iterator[int]:
    """Yield the place in the source of each character of a run, or -1 where it is not certain.

    The parser takes the lines of a block one by one, so line n of the run stands on line n of the
    block, behind its markers.
    """
    ends = _AFTER_HEADING if kind == "heading" else _BLANK
    for number, piece in enumerate(content.split("\n")):
        if number:
            yield lines[number - 1][1] if number < len(lines) else -1
        if number >= len(lines):
            yield from [-1] * len(piece)
            continue
        start, end = lines[number]
        core = piece.strip(" \t")
        indent = len(piece) - len(piece.lstrip(" \t"))
        at = text.rfind(core, start, end)
        certain = (
            at >= 0
            and _MARKERS.fullmatch(text, start, at)
            and ends.fullmatch(text, at + len(core), end)
        )
        for index in range(len(piece)):
            inside = certain and indent <= index < indent + len(core)
            yield at + index - indent if inside else -1


def _cell_places(content: str, text: str, column: int, end: int) -> tuple[list[int], int]:
    """Return the places of a table cell that starts after `column`, and where it ends (-1: lost).

    A cell with an escaped bar is written otherwise than it reads; it and what follows it in its
    row have no certain place.
    """
    at = text.find(content, column, end) if column >= 0 else -1
    if at < 0 or not _MARKERS.fullmatch(text, column, at):
        return [-1] * len(content), -1
    return list(range(at, at + len(content))), at + len(content)


def _ceilings(
    text: str, lines: list[tuple[int, int]], tokens: list[Token], runs: list[_Run]
) -> bytearray:
    """Return, for each character of the source, the most that elements such as <pre> let it be."""
    tags = [
        (run.places[start], run.places[end - 1] + 1, name, closes)
        for run in runs
        for start, end, name, closes in run.tags
        if run.places[start] >= 0 and run.places[end - 1] >= 0
    ]
    for token in tokens:
        if token.type == "html_block" and token.map is not None:
            start, end = lines[token.map[0]][0], lines[token.map[1] - 1][1]
            fragment = _COMMENT.sub(lambda found: _blank(found[0]), text[start:end])
            tags += [
                (start + opening, start + closing, name, closes)
                for opening, closing, name, closes in tags_in(fragment)
            ]
    ceilings = bytearray((EDIT,)) * len(text)
    opened: dict[str, int] = {}
    for start, end, name, closes in sorted(tags):
        if name not in _VERBATIM:
            continue
        if not closes:
            opened.setdefault(name, start)
        elif name in opened:
            since = opened.pop(name)
            ceilings[since:end] = bytes((MARKUP,)) * (end - since)
    for since in opened.values():
        rest = ceilings[since:]
        ceilings[since:] = rest.translate(_AT_MOST_READ)
    return ceilings


def _stretches(marks: bytes) -> Iterator[tuple[int, int, bool]]:
    at = 0
    for editable, group in groupby(marks, key=lambda how: how == EDIT):
        end = at + sum(1 for _ in group)
        yield at, end, editable
        at = end
