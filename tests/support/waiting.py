"""Waiting for conditions, never for durations."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, TypeVar, overload

Found = TypeVar("Found")


@overload
async def until(
    condition: Callable[[], Awaitable[Found | None]], *, within: float = ..., what: str = ...
) -> Found: ...


@overload
async def until(
    condition: Callable[[], Found | None], *, within: float = ..., what: str = ...
) -> Found: ...


async def until(condition: Callable[[], Any], *, within: float = 15, what: str = "") -> Any:
    """Return the first truthy value of `condition`; fail when there is none `within` seconds."""
    deadline = monotonic() + within
    while True:
        value = condition()
        found = await value if inspect.isawaitable(value) else value
        if found:
            return found
        if monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s: {what or inspect.getsource(condition)}")
        await asyncio.sleep(0.01)
