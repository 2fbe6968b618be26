"""A caller in a process of its own: enqueues one execution, as the environment says."""

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


asyncio.run(main())
