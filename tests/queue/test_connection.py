"""Reaching Redis: lazily, by URL, with a limit on every wait."""

from pathlib import Path
from uuid import uuid4

import pytest
import uvloop
from arq.connections import create_pool
from redis.asyncio.connection import SSLConnection
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.queue.redis_server import RedisServer
from worker.errors import SettingsError
from worker.queue.connection import dedicated_connection, open_redis, to_arq_settings
from worker.queue.hints import HintSender, HintToSend


async def test_opening_connects_to_nothing() -> None:
    """A worker has to start while Redis is down, so a pool is made without a word to it."""
    redis = open_redis("redis://127.0.0.1:1/0", queue_name="q")
    assert redis.default_queue_name == "q"
    with pytest.raises(RedisConnectionError):
        await redis.ping()
    await redis.aclose()


async def test_every_wait_has_a_limit() -> None:
    """Connections have time limits and keepalive, also those that listen."""
    redis = open_redis("rediss://u%40x:p%2Fw@host:1234/5", queue_name="q")
    options = redis.connection_pool.connection_kwargs
    assert options["socket_timeout"] == 5
    assert options["socket_connect_timeout"] == 2
    assert options["socket_keepalive"] is True
    assert (options["username"], options["password"]) == ("u@x", "p/w")
    assert (options["host"], options["port"], options["db"]) == ("host", 1234, 5)
    assert options["ssl_check_hostname"] is True
    connection = dedicated_connection(redis)
    assert isinstance(connection, SSLConnection)
    assert (connection.socket_timeout, connection.health_check_interval) == (5, 0)
    await redis.aclose()


def test_arqs_settings_say_the_same() -> None:
    """`arq worker.WorkerSettings` reaches the same server, and TLS names are checked."""
    settings = to_arq_settings("rediss://u%40x:p%2Fw@host:1234/5")
    assert (settings.host, settings.port, settings.database) == ("host", 1234, 5)
    assert (settings.username, settings.password) == ("u@x", "p/w")
    assert settings.ssl
    assert settings.ssl_check_hostname
    plain = to_arq_settings("redis://localhost?db=3")
    assert (plain.port, plain.database, plain.ssl, plain.password) == (6379, 3, False, None)


async def test_a_password_that_needs_quoting_opens_the_door(
    redis_program: Path, tmp_path: Path
) -> None:
    """Both ways in decode the URL's password; a wrong one is refused."""
    server = RedisServer(redis_program, tmp_path, password="a/b@c:d")
    server.start()
    try:
        url = server.url.replace("a/b@c:d", "a%2Fb%40c%3Ad")
        redis = open_redis(url, queue_name="q")
        assert await redis.ping()
        await redis.aclose()
        pool = await create_pool(to_arq_settings(url))
        assert await pool.ping()
        await pool.aclose(close_connection_pool=True)
        wrong = open_redis(url.replace("a%2F", "x"), queue_name="q")
        with pytest.raises(AuthenticationError):
            await wrong.ping()
        await wrong.aclose()
    finally:
        server.stop()


@pytest.mark.parametrize("database", [0, 3])
async def test_a_password_that_nobody_gave_is_an_ordinary_fault(
    database: int, redis_program: Path, tmp_path: Path
) -> None:
    """Told by an error that callers wait out, also where the connection is only being made."""
    server = RedisServer(redis_program, tmp_path, password="sesame")
    server.start()
    try:
        redis = open_redis(f"redis://127.0.0.1:{server.port}/{database}", queue_name="q")
        for _ in range(2):
            with pytest.raises(AuthenticationError):
                await redis.ping()
        assert await HintSender(redis).send([HintToSend(uuid4(), uuid4())]) is False
        await redis.aclose()
    finally:
        server.stop()


@pytest.mark.parametrize("parameter", ["socket_timeout=odd", "odd=1"])
def test_a_parameter_that_cannot_be_used_is_told_without_the_url(parameter: str) -> None:
    """When the pool is made, and not by the first who uses it."""
    with pytest.raises(SettingsError, match="COPYDESK_REDIS_URL") as told:
        open_redis(f"redis://:hunter2@host/0?{parameter}", queue_name="q")
    assert "hunter2" not in str(told.value)


def test_a_link_that_closes_under_a_command_is_made_anew(redis_url: str) -> None:
    """Uvloop refuses to write to it with an error of its own, before redis-py was told."""

    async def cut_and_ask() -> tuple[bool, bool]:
        redis = open_redis(redis_url, queue_name="q")
        connection = await redis.connection_pool.get_connection()
        await connection.send_command("PING")
        assert await connection.read_response()
        connection._writer.transport.abort()
        with pytest.raises(RedisConnectionError):
            await connection.send_command("PING")
        await redis.connection_pool.release(connection)
        answer = await redis.ping()
        await redis.aclose()
        return connection.is_connected, bool(answer)

    assert uvloop.run(cut_and_ask()) == (False, True)
