"""docs/operations/backup.md as commands: its blocks, by the heading they stand under."""

import asyncio
import os
import re
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.docs.pages import read
from worker.embedded.postgres import postgres_programs

_PIECE = re.compile(
    r"^## (?P<heading>[^\n]+)$|^```sh\n(?P<block>.*?)^```$", re.MULTILINE | re.DOTALL
)


def blocks() -> dict[str, list[str]]:
    """Return the shell blocks of the page by heading, in order."""
    found: dict[str, list[str]] = defaultdict(list)
    heading = ""
    for piece in _PIECE.finditer(read("operations/backup.md")):
        heading = piece["heading"] or heading
        if piece["block"]:
            found[heading].append(piece["block"])
    return dict(found)


@dataclass
class Runbook:
    """Runs the page's blocks as an operator would, and remembers which were run.

    Args:
        prefix: stands before the shell: who runs it.
        names: what the page's names stand for.
    """

    prefix: Sequence[str]
    names: Mapping[str, str]
    done: set[tuple[str, int]] = field(default_factory=set)

    async def run(
        self, heading: str, names: Mapping[str, str], *, number: int = 0, mine: bool = False
    ) -> str:
        """Run one block, as PostgreSQL's user unless `mine`, and return what it printed."""
        self.done.add((heading, number))
        programs = f"{postgres_programs()}:{Path(sys.executable).parent}"
        process = await asyncio.create_subprocess_exec(
            *(() if mine else self.prefix),
            *("/bin/sh", "-euc", blocks()[heading][number]),
            env={"PATH": f"{programs}:{os.environ['PATH']}", **self.names, **names},
            cwd="/",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(60):
            said, _ = await process.communicate()
        assert process.returncode == 0, said.decode()
        return said.decode()

    @property
    def left(self) -> set[tuple[str, int]]:
        """The blocks of the page that nobody ran."""
        every = {(heading, n) for heading, found in blocks().items() for n in range(len(found))}
        return every - self.done
