"""The documentation as tests read it: pages, tables, links, and the sections of a page."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

_FENCE = re.compile(r"^ *(`{3,}|~{3,})[^\n]*\n.*?^ *\1[`~]* *$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_HEADING = re.compile(r"^#+ +(.+?) *#*$", re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")


def pages() -> list[Path]:
    """Return every Markdown page that belongs to the project."""
    return sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])


def read(name: str) -> str:
    """Return the text of a page below docs/."""
    return (DOCS / name).read_text("utf-8")


def sections(name: str) -> dict[str, str]:
    """Return a page's sections by heading; a section ends at the next heading of any level."""
    parts = re.split(r"^#+ +(.+?) *$", _FENCE.sub("", read(name)), flags=re.MULTILINE)
    return {
        heading.strip("`"): body for heading, body in zip(parts[1::2], parts[2::2], strict=True)
    }


def rows(text: str) -> Iterator[list[str]]:
    """Yield the cells of every row of every table, headings and rules left out."""
    lines = text.splitlines()
    for place, line in enumerate(lines):
        follower = lines[place + 1] if place + 1 < len(lines) else ""
        if not line.startswith("|") or _is_rule(line) or _is_rule(follower):
            continue
        cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
        yield [cell.strip() for cell in cells]


def code_words(text: str) -> set[str]:
    """Return everything that a text writes as inline code."""
    return {match[2].strip() for match in _CODE.finditer(_FENCE.sub("", text))}


def links(page: Path) -> list[str]:
    """Return the targets of a page's links, those in code left out."""
    text = _CODE.sub("", _FENCE.sub("", page.read_text("utf-8")))
    return _LINK.findall(text)


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    made: list[str] = []
    for heading in _HEADING.findall(_FENCE.sub("", page.read_text("utf-8"))):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        made.append(slug if slug not in made else f"{slug}-{made.count(slug)}")
    return set(made)


def diagrams(page: Path) -> list[str]:
    """Return the source of every Mermaid diagram of a page."""
    text = page.read_text("utf-8")
    return re.findall(r"^```mermaid\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def _is_rule(line: str) -> bool:
    return bool(re.fullmatch(r"\|[-:| ]+\|", line))
