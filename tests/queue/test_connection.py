"""Reaching Redis: lazily, by URL, with a limit on every wait."""

from pathlib import Path

import pytest
from arq.connections import create_pool
from redis.asyncio.connection import SSLConnection
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.queue.redis_server import RedisServer
from worker.queue.connection import dedicated_connection, open_redis, to_arq_settings


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
