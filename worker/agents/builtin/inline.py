"""What each character of a run of Markdown is: markup, prose to read, or prose that may be edited.

markdown-it tells which inline rule consumed which characters only while it parses; this module
listens to the rules of its own parser, so that no second Markdown grammar has to be kept in step.
Whatever is not positively plain text is not editable.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline

MARKUP: Final = 0
"""Code, HTML tags, URLs, delimiters: neither read nor edited."""
READ: Final = 1
"""Prose that is read and counted, but not edited: link texts, the insides of inline HTML."""
EDIT: Final = 2
"""Prose that may be edited."""

_LISTENER = "copydesk.listener"
Tag = tuple[int, int, str, bool]
"""An HTML tag that opens or closes an element: start, end, name, whether it closes."""

Rule = Callable[[StateInline, bool], bool]

# Characters that no rule claims are plain text; these few look like markup that did not match.
_SUSPECT = frozenset("`<>[]\\*_&{}|")
_VOID = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr")
)
_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9-]*)[^>]*?(/?)>", re.DOTALL)
# Not Markdown by the standard, yet never prose: words that are addresses, file names, identifiers
# or assignments; templates; formulas. Repeats are bounded, so that no text makes this quadratic.
_WORD = re.compile(r"\S+")
_LITERAL_WORD = re.compile(r"://|@|^\W*www\.|[\\_=]|\w\.\w")
_LITERALS = re.compile(
    r"\{\{.{0,500}?\}\}|\{%.{0,500}?%\}|\$\$.{1,2000}?\$\$|\$[^\s$][^$\n]{0,200}\$", re.DOTALL
)
# Brackets that made no link may still be one elsewhere: footnotes, wiki links, missing references.
_BRACKETS = re.compile(r"\[\[.{0,500}?\]\]|\[[^\[\]]{0,500}\]", re.DOTALL)
_SPACES_BEFORE_BREAK = re.compile(r"[ \t]+(?=\n)")


@dataclass(slots=True)
class _Listener:
    """Collects what the rules of one inline run consumed, in the order they did."""

    state: StateInline
    marks: bytearray
    heard_until: int = 0
    tags: list[tuple[int, int]] = field(default_factory=list)
    links: list[tuple[int, int, int]] = field(default_factory=list)
    markup: list[tuple[int, int]] = field(default_factory=list)
    """Spans that are no prose, and that make no prose of a word they touch."""

    def heard(self, rule: str, start: int, end: int) -> None:
        if rule in ("text", "newline"):
            _fill(self.marks, start, end, EDIT)
        elif rule in ("emphasis", "strikethrough"):
            # Within a word an underscore is a letter of its name.
            within = self.state.src[max(start - 1, 0) : end + 1].replace("_", "a").isalnum()
            _fill(self.marks, start, end, READ if within else MARKUP)
        elif rule == "link":
            # Its text was heard before, by the rules that ran inside it; its address was not.
            self.links.append((start, max(start + 1, self.heard_until), end))
        else:
            self.markup.append((start, end))
            if rule == "html_inline":
                self.tags.append((start, end))
        self.heard_until = end


def listening_parser() -> MarkdownIt:
    """Return a parser of CommonMark with tables that stops at blocks and is ready for `mark`."""
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    parser.core.ruler.enableOnly(["normalize", "block"])
    rules = parser.inline.ruler
    for name, rule in zip(rules.get_active_rules(), rules.getRules(""), strict=True):
        rules.at(name, _heard(name, rule))
    return parser


def mark(
    parser: MarkdownIt, content: str, references: dict[str, object]
) -> tuple[bytearray, list[Tag]]:
    """Return MARKUP, READ or EDIT for each character of an inline run, and the HTML tags in it.

    `references` is the environment of the block parse, which knows the link definitions.
    """
    marks = bytearray(READ if character in _SUSPECT else EDIT for character in content)
    state = StateInline(content, parser, dict(references), [])
    listener = _Listener(state, marks)
    state.env[_LISTENER] = listener
    parser.inline.tokenize(state)
    for start, text_end, end in listener.links:
        _lower(marks, start, text_end, READ)
        _fill(marks, start, start + 1, MARKUP)
        _fill(marks, text_end, end, MARKUP)
    markup = bytearray(len(content))
    for start, end in listener.markup:
        _fill(marks, start, end, MARKUP)
        _fill(markup, start, end, True)
    for word in _WORD.finditer(content):
        if any(markup[word.start() : word.end()]):
            _lower(marks, *word.span(), READ)
    tags = [
        (start + opening, start + closing, name, closes)
        for start, end in listener.tags
        for opening, closing, name, closes in tags_in(content[start:end])
    ]
    for start, end in _elements(tags, len(content)):
        _lower(marks, start, end, READ)
    for match in _BRACKETS.finditer(content):
        _lower(marks, *match.span(), READ)
    _hide_literals(content, marks)
    return marks, tags


def _hide_literals(content: str, marks: bytearray) -> None:
    visible = "".join(
        character if mark else " " for character, mark in zip(content, marks, strict=True)
    )
    for word in _WORD.finditer(visible):
        if _LITERAL_WORD.search(word[0]):
            _fill(marks, *word.span(), MARKUP)
    for pattern in (_LITERALS, _SPACES_BEFORE_BREAK):
        for match in pattern.finditer(visible):
            _fill(marks, *match.span(), MARKUP)


def tags_in(text: str) -> list[Tag]:
    """Return the HTML tags of `text` that open or close an element."""
    return [
        (found.start(), found.end(), found[2].lower(), bool(found[1]))
        for found in _TAG.finditer(text)
        if not found[3] and found[2].lower() not in _VOID
    ]


def _heard(name: str, rule: Rule) -> Rule:
    def listen(state: StateInline, silent: bool) -> bool:
        start = state.pos
        matched = rule(state, silent)
        listener = state.env.get(_LISTENER)
        # The alternative text of an image is parsed in a state of its own, with other offsets.
        if matched and not silent and listener is not None and listener.state is state:
            listener.heard(name, start, state.pos)
        return matched

    return listen


def _fill(marks: bytearray, start: int, end: int, value: int) -> None:
    marks[start:end] = bytes((value,)) * (end - start)


def _lower(marks: bytearray, start: int, end: int, ceiling: int) -> None:
    for index in range(start, end):
        marks[index] = min(marks[index], ceiling)


def _elements(tags: list[Tag], length: int) -> list[tuple[int, int]]:
    """Return the ranges from an opening tag to its closing tag, or to the end without one."""
    closing: dict[str, int] = {}
    spans = []
    for start, _, name, closes in reversed(tags):
        if closes:
            closing[name] = start
        else:
            spans.append((start, closing.get(name, length)))
    merged: list[tuple[int, int]] = []
    for start, end in reversed(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
