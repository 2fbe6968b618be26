"""How this process reaches Redis: lazily, with a limit on every wait, and again after a fault.

Nothing is sent when a pool is made, because a worker has to start while Redis is down.
"""

import math
from collections.abc import Iterable
from urllib.parse import parse_qs, unquote, urlsplit

from arq.connections import ArqRedis, RedisSettings
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from worker.errors import SettingsError

CONNECT_TIMEOUT = 2.0
ANSWER_TIMEOUT = 5.0
MOST_CONNECTIONS = 32
_IDLE_CHECK = 15
_TRIES_AGAIN = 2


def open_redis(url: str, *, queue_name: str) -> ArqRedis:
    """Return a client of `url` whose queue is `queue_name`; nothing is connected yet.

    A broken connection is replaced and the command sent again, twice, within about a quarter of a
    second. A command that got no answer is not sent again: it may have been carried out, and Redis
    would be as slow as before. Close it with `aclose()`.

    Raises:
        SettingsError: the URL has a parameter that redis-py does not know, or cannot read.
    """
    try:
        pool = _pool(url)
        pool.connection_class = _noticing(pool.connection_class)
        pool.connection_class(**pool.connection_kwargs)  # connects to nothing
    except (TypeError, ValueError):
        raise SettingsError(
            "the Redis URL (COPYDESK_REDIS_URL) has a parameter that cannot be used; check it"
        ) from None
    redis = ArqRedis(pool_or_conn=pool, default_queue_name=queue_name)
    redis.auto_close_connection_pool = True
    return redis


def _pool(url: str) -> BlockingConnectionPool:
    return BlockingConnectionPool.from_url(
        url,
        max_connections=MOST_CONNECTIONS,
        timeout=ANSWER_TIMEOUT,
        socket_connect_timeout=CONNECT_TIMEOUT,
        socket_timeout=ANSWER_TIMEOUT,
        socket_keepalive=True,
        health_check_interval=_IDLE_CHECK,
        retry=_retry(),
        retry_on_error=[RedisConnectionError],
        redis_connect_func=_introduce,
        **_tls_options(url),
    )


class _Noticing(AbstractConnection):
    """Takes it for a broken link, which it is, when the event loop refuses to write to it.

    uvloop raises RuntimeError for a transport that was closed before anybody was told.
    """

    async def send_packed_command(
        self, command: bytes | str | Iterable[bytes], check_health: bool = True
    ) -> None:
        try:
            await super().send_packed_command(command, check_health)
        except RuntimeError:
            raise RedisConnectionError("Connection closed while writing to it") from None


def _noticing(kind: type[AbstractConnection]) -> type[AbstractConnection]:
    return type(kind.__name__, (_Noticing, kind), {})


async def _introduce(connection: AbstractConnection) -> None:
    # redis-py checks the health of a connection while it is still being made, and where that is
    # refused (no password was given, say) it makes it again, without end.
    connection.next_health_check = math.inf
    await connection.on_connect()


def to_arq_settings(url: str) -> RedisSettings:
    """Return `url` as arq's own settings, for `arq worker.WorkerSettings` and `arq --check`.

    Unlike arq's `from_dsn` it decodes the password, and checks a server's name under TLS.
    """
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    database = query.get("db", [parts.path.strip("/")])[0]
    return RedisSettings(
        host=parts.hostname or "localhost",
        port=parts.port or 6379,
        database=int(database or 0),
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        ssl=parts.scheme == "rediss",
        ssl_check_hostname=parts.scheme == "rediss",
        ssl_ca_certs=query.get("ssl_ca_certs", [None])[0],
        ssl_certfile=query.get("ssl_certfile", [None])[0],
        ssl_keyfile=query.get("ssl_keyfile", [None])[0],
        retry=_retry(),
        retry_on_error=[RedisConnectionError],
    )


def dedicated_connection(redis: ArqRedis) -> AbstractConnection:
    """Return a connection of `redis` outside its pool, for a subscription that stays open.

    It speaks RESP2, checks nothing by itself and tries nothing again: whoever reads it does.
    """
    pool = redis.connection_pool
    options = {
        **pool.connection_kwargs,
        "protocol": 2,
        "health_check_interval": 0,
        "retry": None,
        "retry_on_error": [],
    }
    return pool.connection_class(**options)


async def drop_idle_connections(redis: ArqRedis) -> None:
    """Close the connections of the pool that nobody uses; the next ones lead to who is there now.

    The pool's own `disconnect` lets others run in between, who may just have taken one of them.
    """
    for connection in list(redis.connection_pool._available_connections):  # noqa: SLF001
        await connection.disconnect(nowait=True)


def _retry() -> Retry:
    backoff = ExponentialWithJitterBackoff(cap=0.5, base=0.05)
    return Retry(backoff, _TRIES_AGAIN, supported_errors=(RedisConnectionError,))


def _tls_options(url: str) -> dict[str, bool]:
    return {"ssl_check_hostname": True} if url.startswith("rediss:") else {}
