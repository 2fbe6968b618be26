"""What PostgreSQL gives when nothing but pgbench asks: copydesk's functions, called from C.

No worker can be faster than its database; these figures say how far there is to go.
"""

import asyncio
import json
import re
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.meters import cpu
from benchmarks.sizes import Size
from benchmarks.stage import Ground, Stage, WrongError
from benchmarks.work import CONTENT, INPUT, OUTPUT
from worker.embedded.postgres import postgres_programs
from worker.settings import secret

LIFE = "PostgreSQL alone: enqueue, claim, complete"
ENQUEUE = "PostgreSQL alone: enqueue"
_SCRIPTS = Path(__file__).parents[1] / "limit"
_SESSIONS = 8


async def run(stage: Stage, size: Size) -> list[Figure]:
    """Measure whole lives and enqueues: one execution a call, and more."""
    return [
        await _limit(stage, size, name, script, batch)
        for name, script, batches in ((LIFE, "life", (1, 10)), (ENQUEUE, "enqueue", (1, 1000)))
        for batch in batches
    ]


async def _limit(stage: Stage, size: Size, name: str, script: str, batch: int) -> Figure:
    async with stage.ground(projects=50) as ground:
        calls = max(1, size.drain // batch // _SESSIONS)
        await ground.oracle.execute("CHECKPOINT")
        before = cpu(stage)
        printed = await _pgbench(ground, script, batch, calls)
        used = cpu(stage) - before
        number = calls * _SESSIONS * batch
        await _check(ground, "completed" if script == "life" else "pending", number)
        # pgbench counts calls of the whole script, and leaves out the time to connect.
        found = re.search(r"tps = ([\d.]+)", printed)
        if found is None:
            raise WrongError(f"pgbench printed no figure: {printed}")
        rate = float(found[1]) * batch
        return Figure(name, f"{batch:,} a call", rate, "executions/s", used.each(number))


async def _pgbench(ground: Ground, script: str, batch: int, calls: int) -> str:
    variables = {
        "places": len(ground.projects),
        "projects": " ".join(map(str, ground.projects)),
        "user": ground.user,
        "batch": batch,
        "input": json.dumps(INPUT),
        "output": json.dumps(OUTPUT),
        "content": CONTENT,
    }
    process = await asyncio.create_subprocess_exec(
        *(postgres_programs() / "pgbench", "--no-vacuum", "--protocol=prepared"),
        *(f"--client={_SESSIONS}", "--jobs=1", f"--transactions={calls}"),
        f"--file={_SCRIPTS / script}.sql",
        *(f"--define={name}={value}" for name, value in variables.items()),
        secret(ground.settings.database_url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, complaints = await process.communicate()
    if process.returncode:
        raise WrongError(f"pgbench: {complaints.decode()}")
    return printed.decode()


async def _check(ground: Ground, status: str, number: int) -> None:
    if status == "completed":
        await ground.check(number)
    elif await ground.count(status) != number:
        raise WrongError(f"not {number} {status}")
