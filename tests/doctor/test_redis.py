"""Redis: one that evicts, forgets, is a replica, or hides what it is; and messages nobody takes."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
from arq.connections import ArqRedis
from pydantic import SecretStr

from tests.doctor.breakage import examined, of
from tests.queue.redis_server import RedisServer, runnable_redis
from worker.doctor import CheckName
from worker.doctor.rules import Rule
from worker.queue.connection import open_redis
from worker.settings import Settings

PASSWORD = "s3cret-of-redis"


class Own(NamedTuple):
    """A Redis of the test's own, and settings that lead there."""

    redis: ArqRedis
    settings: Settings


@pytest.fixture
async def own(tmp_path: Path, settings: Settings) -> AsyncIterator[Own]:
    """Start one."""
    server = RedisServer(runnable_redis(tmp_path), tmp_path, password=PASSWORD)
    server.start()
    redis = open_redis(server.url, queue_name="arq:queue")
    try:
        yield Own(redis, settings.model_copy(update={"redis_url": SecretStr(server.url)}))
    finally:
        await redis.aclose()
        server.stop()


async def test_a_redis_that_evicts_is_found_and_mended(own: Own) -> None:
    """As a worker refuses it; the remedy is a command of Redis."""
    await own.redis.config_set("maxmemory-policy", "allkeys-lru")

    [finding] = of(Rule.REDIS_EVICTS, await examined(own.settings, CheckName.REDIS))

    assert finding.severity == "error"
    assert "maxmemory-policy is allkeys-lru" in finding.sentence
    assert PASSWORD not in str(finding)
    await own.redis.config_set("maxmemory-policy", "noeviction")
    assert of(Rule.REDIS_EVICTS, await examined(own.settings, CheckName.REDIS)) == []


async def test_what_redis_forgets_and_what_it_may_hold_is_said(own: Own) -> None:
    """Without a file and without snapshots; without a limit; and with one that is reached."""
    await own.redis.config_set("appendonly", "no")
    await own.redis.config_set("save", "")
    open_ended = await examined(own.settings, CheckName.REDIS)
    await own.redis.config_set("maxmemory", "1000")
    full = await examined(own.settings, CheckName.REDIS)

    assert [each.severity for each in of(Rule.REDIS_FORGETS, open_ended)] == ["notice"]
    assert of(Rule.REDIS_UNLIMITED, open_ended)
    assert of(Rule.REDIS_FULL, full)


async def test_a_replica_takes_no_hints(own: Own) -> None:
    """An error, though it answers every question."""
    await own.redis.replicaof("127.0.0.1", "1")
    assert of(Rule.REDIS_READ_ONLY, await examined(own.settings, CheckName.REDIS))


async def test_a_redis_that_is_open_is_an_error_in_production(own: Own) -> None:
    """Whoever reaches it can ask for work."""
    await own.redis.config_set("requirepass", "")
    address = str(own.settings.redis_url.get_secret_value()).rpartition("@")[2]  # type: ignore[union-attr]
    given = own.settings.model_copy(update={"redis_url": SecretStr(f"redis://{address}")})
    assert of(Rule.REDIS_OPEN, await examined(given, CheckName.REDIS))


async def test_what_a_user_may_not_ask_is_not_taken_for_right(own: Own) -> None:
    """As managed servers do it: CONFIG is forbidden, or INFO too."""
    await own.redis.execute_command("ACL", "SETUSER", "few", "on", ">pw", "~*", "+@all", "-config")  # type: ignore[no-untyped-call]
    address = str(own.settings.redis_url.get_secret_value()).rpartition("@")[2]  # type: ignore[union-attr]
    given = own.settings.model_copy(update={"redis_url": SecretStr(f"redis://few:pw@{address}")})
    [no_config] = of(Rule.NOT_VISIBLE, await examined(given, CheckName.REDIS))
    await own.redis.execute_command("ACL", "SETUSER", "few", "-info")  # type: ignore[no-untyped-call]
    [no_info] = of(Rule.NOT_VISIBLE, await examined(given, CheckName.REDIS))

    assert no_config.sentence.startswith("not checked: whether Redis saves snapshots")
    assert "may not call INFO" in no_info.sentence


async def test_messages_that_nobody_takes_are_found(settings: Settings, own: Own) -> None:
    """The oldest has been due for longer than any lease; and what was set aside is counted."""
    name = settings.queue_name
    await own.redis.zadd(name, {"a": (time.time() - 3600) * 1000})
    await own.redis.execute_command("RPUSH", f"{name}:quarantine", "x")  # type: ignore[no-untyped-call]

    seen = await examined(own.settings, CheckName.QUEUE)

    assert "for 60 min" in of(Rule.HINTS_WAIT, seen)[0].sentence
    assert "1 message could" in of(Rule.QUARANTINED, seen)[0].sentence
    await own.redis.flushall()
    assert (await examined(own.settings, CheckName.QUEUE)).status == "ok"
