"""The Lua scripts of the queue: they stand beside this file and say what they take and give."""

from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any

from arq.connections import ArqRedis

Arguments = list[str | bytes | int]
Script = Callable[[list[str], Arguments], Awaitable[Any]]


def script(redis: ArqRedis, name: str) -> Script:
    """Return the script `name`.lua, to be called with keys and arguments.

    Redis knows it by its digest, and is sent the text again where it has forgotten it.
    """
    text = files(__package__).joinpath(f"{name}.lua").read_text(encoding="utf-8")
    made: Script = redis.register_script(text)
    return made
