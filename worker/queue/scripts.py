"""The Lua scripts of the queue: they stand beside this file and say what they take and give."""

from importlib.resources import files

from arq.connections import ArqRedis
from redis.commands.core import AsyncScript


def script(redis: ArqRedis, name: str) -> AsyncScript:
    """Return the script `name`.lua, to be called with keys and arguments.

    Redis knows it by its digest, and is sent the text again where it has forgotten it.
    """
    text = files(__package__).joinpath(f"{name}.lua").read_text(encoding="utf-8")
    return redis.register_script(text)
