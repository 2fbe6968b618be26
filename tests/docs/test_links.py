"""Links lead somewhere, diagrams are of a kind GitHub draws, and decisions are numbered."""

from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT, anchors, diagrams, links, pages, read

NAMES = [str(page.relative_to(ROOT)) for page in pages()]


def _leads_somewhere(page: Path, link: str) -> bool:
    if "://" in link or link.startswith("mailto:"):
        return True
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.exists() or not target.is_relative_to(ROOT):
        return False
    return not anchor or anchor in anchors(target)


@pytest.mark.parametrize("name", NAMES)
def test_every_relative_link_leads_to_a_file_and_a_heading(name: str) -> None:
    """A link names a file of the repository, and a heading of it where it has an anchor."""
    page = ROOT / name
    dead = [link for link in links(page) if not _leads_somewhere(page, link)]
    assert not dead


def test_every_page_can_be_reached_from_the_map() -> None:
    """Whoever starts at docs/index.md finds every page."""
    reached: set[Path] = set()
    ahead = [DOCS / "index.md"]
    while ahead:
        page = ahead.pop()
        reached.add(page)
        targets = ((page.parent / link.partition("#")[0]).resolve() for link in links(page))
        ahead += [it for it in targets if it.suffix == ".md" and it.exists() and it not in reached]
    assert {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md") if page not in reached} == (
        set()
    )


def test_decisions_are_numbered_without_gaps_and_listed() -> None:
    """A decision is found by its number, and has its three parts."""
    files = sorted((DOCS / "decisions").glob("0*.md"))
    assert [int(file.name[:4]) for file in files] == list(range(1, len(files) + 1))
    listed = read("decisions/README.md")
    for file in files:
        text = file.read_text("utf-8")
        assert text.startswith(f"# {file.name[:4]}: ")
        for part in ("**Context.**", "**Decision.**", "**Consequence.**"):
            assert part in text, file.name
        assert f"]({file.name})" in listed


@pytest.mark.parametrize("name", NAMES)
def test_diagrams_are_of_a_kind_that_github_draws(name: str) -> None:
    """A diagram begins with its kind and holds no tab or semicolon, on which Mermaid stumbles."""
    for source in diagrams(ROOT / name):
        kind = source.split(maxsplit=1)[0]
        assert kind in {"flowchart", "sequenceDiagram", "stateDiagram-v2"}
        assert "\t" not in source
        assert ";" not in source
