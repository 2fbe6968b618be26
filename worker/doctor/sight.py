"""Redis as the doctor sees it: commands that read, and what its faults mean in a few safe words."""

from __future__ import annotations

from typing import Any

from arq.connections import ArqRedis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

FAULTS = (RedisError, OSError)


class Sight:
    """Redis, which is asked and never told."""

    def __init__(self, redis: ArqRedis) -> None:
        self._redis = redis
        self._blind: RedisError | OSError | None = None

    async def open(self) -> None:
        """Connect; where that is not possible, every question says why from then on."""
        try:
            await self._redis.execute_command("PING")  # type: ignore[no-untyped-call]
        except ResponseError:
            return  # whoever may not even PING has connected
        except FAULTS as error:
            self._blind = error

    async def ask(self, command: str, *arguments: str | int) -> Any:  # noqa: ANN401 - each command has a type of its own
        """Send one command and return its answer, as redis-py reads it.

        Raises:
            RedisError, OSError: it was not answered.
        """
        if self._blind is not None:
            raise self._blind
        return await self._redis.execute_command(  # type: ignore[no-untyped-call]
            command, *arguments
        )


def is_forbidden(error: BaseException) -> bool:
    """Whether a command was refused to this user, or, as managed servers do it, to everybody."""
    unknown = isinstance(error, ResponseError) and "unknown command" in str(error).lower()
    return unknown or isinstance(error, NoPermissionError)


def is_unanswered(error: BaseException) -> bool:
    """Whether there was no answer at all, so that trying again may help."""
    return not isinstance(error, AuthenticationError | ResponseError)


def worded(error: RedisError | OSError) -> str:
    """Return what a fault means; what Redis said may hold values, and is not repeated."""
    if isinstance(error, AuthenticationError):
        return "Redis refused the login: check user and password"
    if is_forbidden(error):
        return "Redis forbids this user a command that the check needs"
    if isinstance(error, ResponseError):
        first = str(error).partition(" ")[0]
        known = first.isascii() and first.isalpha() and first.isupper()
        return f"Redis refused a command ({first if known else type(error).__name__})"
    return f"Redis did not answer ({type(error).__name__})"
