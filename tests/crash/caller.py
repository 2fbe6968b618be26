"""A caller in a process of its own: enqueues one execution, says so, and never ends by itself."""

import asyncio
import os
import sys

from worker.client import Client
from worker.settings import read_settings


async def main() -> None:
    """Enqueue, and say so."""
    async with Client(read_settings()) as client:
        recorded = await client.enqueue(
            os.environ["CALL_PROJECT"],
            "echo",
            {"document_type": "notes"},
            requested_by=os.environ["CALL_USER"],
        )
        sys.stdout.write(f"{recorded.execution_id}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


asyncio.run(main())
