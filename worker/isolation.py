"""Agents in processes of their own: begun for one attempt, listened to, and killed where need be.

The process has the agent's code, its input and a socket to here, and nothing else of the worker: no
connection, no URL. What it asks for is read through the scoped reader of its execution's project.
It leads a session of its own, so that a kill takes along what the agent has started, and the
signals of a terminal reach the worker alone. However it ends, one result comes of it.
"""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from worker.agents.contract import Agent, Answer, Reader, RunContext
from worker.attempt import Result, Stopped
from worker.dialogue import Dialogue, died
from worker.settings import PREFIX, Settings
from worker.wire import Start

# How long a process may take to heed SIGTERM; less than what an attempt waits for a stop.
_HEED_WITHIN = 2.0
# How long the rest of what a dead process wrote may take to arrive.
_LAST_WORD_WITHIN = 1.0
_FIRST = asyncio.FIRST_COMPLETED
_LONGEST_LINE = 8000
# Of servers; the model's is for the agent.
_URLS = {name for name in Settings.model_fields if name.endswith("_url")} - {"llm_base_url"}


class AgentProcesses:
    """Runs agents with `isolation="process"`, one process an attempt.

    Args:
        settings: what the processes load their agents with, but for the URLs of servers.
    """

    def __init__(self, settings: Settings) -> None:
        values = settings.model_dump(mode="json", exclude=_URLS)
        if settings.llm_api_key is not None:
            values["llm_api_key"] = settings.llm_api_key.get_secret_value()
        self._settings = values

    async def call(
        self, agent: Agent, context: RunContext, reader: Reader, payload: object
    ) -> Result:
        """Run one attempt in a process of its own; cancelling this ends the process.

        An answer that comes while the process is being stopped is returned all the same.
        """
        start = Start(
            settings=self._settings,
            agent_type=agent.agent_type,
            run=context.run,
            input=payload,
            python_path=os.environ.get("PYTHONPATH"),
        )
        beginning = asyncio.ensure_future(_begin(agent.memory_limit or 0))
        try:
            begun = await asyncio.shield(beginning)
        except asyncio.CancelledError:
            await _abandon(beginning)
            raise
        except OSError as error:
            reason = error.strerror or type(error).__name__
            return died(f"the agent's process could not be started: {reason}")
        dialogue = Dialogue(context, reader, begun.talk.reading, begun.talk.writing)
        try:
            return await _Watch(agent, begun, dialogue).result(start)
        finally:
            begun.let_go()


@dataclass(frozen=True, slots=True)
class _Stream:
    """Our end of a socket that the process has the other end of."""

    reading: asyncio.StreamReader
    writing: asyncio.StreamWriter


@dataclass(frozen=True, slots=True)
class _Begun:
    """A process that was begun, the socket to talk over, and what it prints (stdout and stderr)."""

    process: Process
    talk: _Stream
    printed: dict[str, _Stream]

    def let_go(self) -> None:
        """Close the socket, which ends the process, and hear nothing more of it."""
        for stream in (self.talk, *self.printed.values()):
            stream.writing.close()


class _Watch:
    """Waits for the end of one process, and brings it about where the attempt is over."""

    def __init__(self, agent: Agent, begun: _Begun, dialogue: Dialogue) -> None:
        self._agent = agent
        self._process = begun.process
        self._printed = begun.printed
        self._dialogue = dialogue

    async def result(self, start: Start) -> Result:
        """Return what the attempt came to; the process and what it started are gone then."""
        talking = asyncio.create_task(self._dialogue.result(start))
        ending = asyncio.create_task(self._process.wait())
        hearing = [
            asyncio.create_task(_overhear(stream.reading, name))
            for name, stream in self._printed.items()
        ]
        try:
            await asyncio.wait({talking, ending}, return_when=_FIRST)
            result = await self._end(talking, ending)
            if result is None or isinstance(result, Stopped):
                result = died(_epitaph(await ending, self._agent.memory_limit))
        except asyncio.CancelledError:
            _signal(self._process, signal.SIGTERM)
            await asyncio.wait({talking, ending}, timeout=_HEED_WITHIN, return_when=_FIRST)
            last_word = await self._end(talking, ending)
            if isinstance(last_word, Answer):
                return last_word
            raise
        else:
            return result
        finally:
            _signal(self._process, signal.SIGKILL)
            # A stop that comes now takes back nothing of what was said.
            with suppress(asyncio.CancelledError):
                await asyncio.wait(hearing, timeout=_LAST_WORD_WITHIN)
            for task in (talking, *hearing):
                task.cancel()

    async def _end(
        self, talking: "asyncio.Task[Result | None]", ending: "asyncio.Task[int]"
    ) -> Result | None:
        """Kill what is left, and return what was said before."""
        if talking.done() and talking.result() is None:
            # It is about to end by itself, in a way that is worth telling.
            await asyncio.wait({ending}, timeout=_LAST_WORD_WITHIN)
        _signal(self._process, signal.SIGKILL)
        await ending
        await asyncio.wait({talking}, timeout=_LAST_WORD_WITHIN)
        return talking.result() if talking.done() else None


async def _begin(limit: int) -> _Begun:
    # Streams of our own: asyncio's pipes would make it wait for whoever holds them, not for the
    # process. And sockets: uvloop closes a pipe's descriptor twice, and so perhaps somebody else's.
    with ExitStack() as theirs, ExitStack() as undone:
        streams, ends = {}, {}
        for name in ("talk", "stdout", "stderr"):
            streams[name], ends[name] = await _pair()
            theirs.callback(ends[name].close)
            undone.callback(streams[name].writing.close)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "worker.isolated"),
            *(str(ends["talk"].fileno()), str(os.getpid()), str(limit)),
            stdin=DEVNULL,
            stdout=ends["stdout"].fileno(),
            stderr=ends["stderr"].fileno(),
            pass_fds=(ends["talk"].fileno(),),
            start_new_session=True,
            env=_environment(),
        )
        undone.pop_all()
    return _Begun(process, streams.pop("talk"), streams)


async def _pair() -> tuple[_Stream, socket.socket]:
    """Return a stream, and the socket at its other end."""
    ours, theirs = socket.socketpair()
    try:
        return _Stream(*await asyncio.open_unix_connection(sock=ours)), theirs
    except BaseException:
        ours.close()
        theirs.close()
        raise


async def _abandon(beginning: "asyncio.Future[_Begun]") -> None:
    with suppress(OSError):
        begun = await beginning
        begun.let_go()
        _signal(begun.process, signal.SIGKILL)
        await begun.process.wait()


def _environment() -> dict[str, str]:
    """Return the worker's environment without its settings, and with the way to its modules."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return kept | {"PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}


def _signal(process: Process, number: signal.Signals) -> None:
    """Signal a process and what it started; SIGTERM is for the process itself to heed."""
    with suppress(ProcessLookupError, PermissionError):
        if number is signal.SIGKILL:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)


def _epitaph(code: int, limit: int | None) -> str:
    if code >= 0:
        how = f"ended with exit code {code}"
    else:
        named = {number.value: number.name for number in signal.Signals}
        how = f"was ended by {named.get(-code, f'signal {-code}')}"
        if code == -signal.SIGKILL:
            how += ", which is also how the system ends a process when memory runs out"
    within = f"; its memory limit is {limit} bytes" if limit else ""
    return f"the agent's process {how}, before it had answered{within}"


async def _overhear(stream: asyncio.StreamReader, name: str) -> None:
    """Put what a process prints into the log, line by line."""
    log = structlog.get_logger("copydesk.agent")
    rest = b""
    while chunk := await stream.read(_LONGEST_LINE):
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            lines, rest = [*lines, rest], b""
        for line in lines:
            log.info("agent_printed", stream=name, text=line.decode("utf-8", "replace"))
    if rest:
        log.info("agent_printed", stream=name, text=rest.decode("utf-8", "replace"))
