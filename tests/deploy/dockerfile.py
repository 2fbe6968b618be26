"""What of the Dockerfile can be read without an engine: its instructions, stage by stage."""

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from tests.deploy.composefile import ROOT

Instruction = tuple[str, str]
"""The word an instruction begins with, and the rest of it on one line."""


def stages() -> dict[str, list[Instruction]]:
    """Return the instructions of each stage by its name; the last one's is `final`."""
    text = (ROOT / "Dockerfile").read_text("utf-8")
    text = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    found: dict[str, list[Instruction]] = {}
    name = "before"
    for line in filter(str.strip, text.splitlines()):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            name = rest.partition(" AS ")[2] or "final"
        found.setdefault(name, []).append((word, " ".join(rest.split())))
    return found


def last(stage: str, word: str) -> str:
    """Return the last instruction of a stage that begins with `word`."""
    return [rest for each, rest in stages()[stage] if each == word][-1]


def copied(*, stage: str) -> list[str]:
    """Return what a stage copies from the build's context."""
    copies = [rest for word, rest in stages()[stage] if word == "COPY" and "--from" not in rest]
    return [source for copy in copies for source in copy.split()[:-1]]


def admitted() -> list[str]:
    """Return what .dockerignore lets into the context."""
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    return [line.removeprefix("!") for line in lines if line.startswith("!")]


def copy_context(target: Path, sources: Iterable[str]) -> None:
    """Copy parts of the checkout, each to the same place below `target`."""
    for source in sources:
        place = target / source
        place.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / source, place)
