"""Trying again: what meets a lock or a lost connection gives way for a moment, and comes back."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from worker.backoff import Backoff
from worker.errors import CopydeskError

_TRIES = 5
_AGAIN = Backoff(first=timedelta(milliseconds=250), cap=timedelta(seconds=5), jitter=0.5)

Result = TypeVar("Result")


async def patiently(call: Callable[[], Awaitable[Result]]) -> Result:
    """Return what `call` does, which is called up to five times where trying again can help.

    Raises:
        CopydeskError: what the last try raised, or what no other try could mend.
    """
    for tries in range(1, _TRIES):
        try:
            return await call()
        except CopydeskError as error:
            if not error.retryable:
                raise
            await asyncio.sleep(_AGAIN.delay(tries).total_seconds())
    return await call()
