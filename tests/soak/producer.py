"""The client of a soak: a process that enqueues, and notes on disk what it was answered.

Every line is written through to the disk before the next call: `asked` before, then `accepted`,
`refused` (nothing may be recorded) or `unknown` (it may or may not be). What is unknown is mostly
asked for again under the same key, and is one execution then, however often it was tried.
"""

import asyncio
import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

from worker.client import Client
from worker.errors import CopydeskError
from worker.settings import read_settings

DOCUMENTS = ("article", "notes", "summary")
TRIES = 3


class Notebook:
    """The file; `write` returns when the line is on the disk."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")

    def write(self, **line: Any) -> None:
        """Append one line."""
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Producer:
    """Enqueues for its projects at a random pace until told to stop."""

    def __init__(self, client: Client, order: dict[str, Any], notebook: Notebook) -> None:
        self._client = client
        self._projects: list[str] = order["projects"]
        self._user: str = order["user"]
        self._random = random.Random(order["seed"])  # noqa: S311 - to be repeated, not guessed
        self._notebook = notebook
        self.stopping = asyncio.Event()

    async def run(self) -> None:
        """Enqueue until stopped."""
        number = 0
        while not self.stopping.is_set():
            number += 1
            project = self._random.choice(self._projects)
            key = f"soak-{number}"
            wrong = self._random.random() < 0.05
            self._notebook.write(what="asked", key=key, project=project)
            await self._ask(project, key, self._request(project, wrong=wrong))
            await asyncio.sleep(self._random.uniform(0, 0.06))

    def _request(self, project: str, *, wrong: bool) -> dict[str, Any]:
        work = {
            "seconds": round(self._random.choice((0, 0, 0.05, 0.3, 2.5)), 3),
            "failures": self._random.choice((0, 0, 0, 1, 2)),
            "document_type": self._random.choice(DOCUMENTS),
            "text": f"canary-{project}",
        }
        if wrong:
            work["text"] = "a NUL \x00 is no text"
        return work

    async def _ask(self, project: str, key: str, work: dict[str, Any]) -> None:
        for _ in range(TRIES):
            try:
                recorded = await self._client.enqueue(
                    project, "steady", work, requested_by=self._user, idempotency_key=key
                )
            except CopydeskError as error:
                what = "unknown" if error.retryable else "refused"
                self._notebook.write(what=what, key=key, project=project, code=error.code)
                if not error.retryable or self._random.random() < 0.3:
                    return
                await asyncio.sleep(0.1)
            else:
                self._notebook.write(
                    what="accepted", key=key, project=project, id=str(recorded.execution_id)
                )
                return


async def main() -> None:
    """Read the order (JSON) from the command line, and the settings from the environment."""
    order = json.loads(sys.argv[1])
    notebook = Notebook(Path(order["notebook"]))
    async with Client(read_settings()) as client:
        producer = Producer(client, order, notebook)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, producer.stopping.set)
        await producer.run()
    notebook.close()


if __name__ == "__main__":
    asyncio.run(main())
