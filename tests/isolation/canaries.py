"""A project full of canaries: strings that must never be seen from anywhere else."""

import json
from datetime import timedelta

from tests.ledger.desk import Desk, completion, draft, failure, release
from worker.ledger import Claim
from worker.ledger.records import ExportRow

CANARY = "canary-7f3a9c51"
KEY = "shared-key"


class Seeded:
    """What stands in a seeded project: an execution in every state, with its traces."""

    def __init__(self, desk: Desk, completed: Claim, failed: Claim, running: Claim) -> None:
        self.desk = desk
        self.project = desk.project
        self.completed = completed
        self.failed = failed
        self.running = running
        self.correlation = completed.correlation_id


async def seed(desk: Desk, canary: str) -> Seeded:
    """Fill a project through the ordinary moves; every free text holds the canary."""
    said = {"text": canary}
    completed = await desk.running(input=said, idempotency_key=KEY)
    version = draft(f"# {canary}\n", metadata=json.dumps(said))
    file = ExportRow(f"{canary}.zip", json.dumps(said), timedelta(days=1))
    await desk.ledger.complete(
        desk.project, completion(completed, version, output=json.dumps(said), exports=[file])
    )
    failed = await desk.running(input=said)
    await desk.ledger.fail(desk.project, failure(failed, delay=None, code=canary))
    released = await desk.running(input=said)
    await desk.ledger.release(desk.project, release(released, canary))
    running = await desk.running(input=said)
    await desk.database.ask("UPDATE projects SET name = $2 WHERE id = $1", desk.project, canary)
    return Seeded(desk, completed, failed, running)
