"""Canaries through the whole machine: what one project says is heard nowhere else.

Two projects work side by side in a worker process. One's texts are canaries; afterwards they are
looked for in the other's answers and errors, in Redis, and in the worker's log.
"""

from pathlib import Path
from uuid import UUID, uuid4

import pytest
import redis as sync_redis

from tests.isolation.canaries import CANARY
from tests.support.databases import DatabaseUrls
from tests.support.workers import worker_process
from worker.client import Client
from worker.errors import CopydeskError
from worker.settings import Settings

STEPS: list[tuple[str, dict[str, object]]] = [
    ("import_document", {"document_type": "plan", "content": "# {word}\n\nA {word} grows.\n"}),
    ("review", {"document_type": "plan"}),
    ("export", {}),
    ("import_document", {"document_type": "Not A Name {word}", "content": "{word}"}),
    ("import_document", {"document_type": "plan", "content": "{word}", "extra": "{word}"}),
    ("review", {"document_type": "plan", "version": "{word}"}),
]


async def enqueue(client: Client, project: UUID, user: UUID, word: str) -> UUID:
    """Enqueue every step with a word in all its texts; return their correlation id."""
    correlation = uuid4()
    for place, (agent_type, payload) in enumerate(STEPS):
        await client.enqueue(
            project,
            agent_type,
            {key: str(value).replace("{word}", word) for key, value in payload.items()},
            requested_by=user,
            correlation_id=correlation,
            idempotency_key=f"{word}-{place}",
        )
    return correlation


def dumped(redis: sync_redis.Redis) -> bytes:
    """Return every key of a Redis database with its value."""
    parts: list[bytes] = []
    for key in redis.scan_iter("*"):
        name: bytes = key
        value = redis.zrange(name, 0, -1) if redis.type(name) == b"zset" else redis.dump(name)
        parts += [name, repr(value).encode()]
    return b"\n".join(parts)


async def refused(client: Client, project: UUID, **fields: object) -> str:
    """Return the words in which a wrong request is refused."""
    given: dict[str, object] = {"requested_by": uuid4(), **fields}
    with pytest.raises(CopydeskError) as error:
        await client.enqueue_many(project, [given])
    return str(error.value)


async def test_what_one_project_says_is_heard_nowhere_else(
    settings: Settings, client: Client, database: DatabaseUrls, user: UUID, tmp_path: Path
) -> None:
    """Not in answers, not in errors, not in Redis before or after, and in no line of the log."""
    quiet, loud = [await database.add_project(user) for _ in range(2)]
    theirs = await enqueue(client, loud, user, CANARY)
    mine = await enqueue(client, quiet, user, "tree")
    assert settings.redis_url is not None
    redis = sync_redis.Redis.from_url(settings.redis_url.get_secret_value())
    await client._hints.settle()
    before = dumped(redis)
    assert redis.zcard("arq:queue") == 2 * len(STEPS)

    async with worker_process(settings, tmp_path / "log") as process:
        await client.wait(loud, theirs, timeout=40)
        report = await client.wait(quiet, mine, timeout=20)
        after = dumped(redis)
        log = process.log
    redis.close()

    assert CANARY.encode() not in before
    assert CANARY.encode() not in after
    assert str(loud) in log
    assert CANARY not in log
    answers = [report.model_dump_json()]
    answers += [d.model_dump_json() for d in await client.documents(quiet)]
    answers.append((await client.document(quiet, "plan")).model_dump_json())
    assert "tree" in "".join(answers)
    assert CANARY not in "".join(answers)
    assert str(loud) not in "".join(answers)
    assert {e.status for e in report.executions} == {"completed", "failed"}


async def test_refusals_do_not_repeat_what_they_refuse(
    client: Client, database: DatabaseUrls, user: UUID
) -> None:
    """An error names the field and the rule; the value may be anybody's secret."""
    project = await database.add_project(user)
    known = {"agent_type": "review", "requested_by": user}
    for fields in (
        {"agent_type": CANARY + " !"},
        {**known, "idempotency_key": CANARY + " "},
        {**known, "correlation_id": CANARY},
        {**known, "input": {CANARY: float("nan")}},
        {**known, "input": CANARY},
        {**known, "priority": CANARY},
        {**known, "not_before": CANARY},
        {"agent_type": "review", "input": {"a": CANARY}},
    ):
        assert CANARY not in await refused(client, project, **fields)
