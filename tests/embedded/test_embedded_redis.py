"""Which Redis is started, and what happens when its port is taken."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from worker.embedded import redis as redis_module
from worker.embedded.redis import Redis, free_port, redis_answers, redis_program, runnable_copy


def install(directory: Path, name: str, version: str) -> Path:
    """Make a program that only knows its version."""
    directory.mkdir(exist_ok=True)
    program = directory / name
    program.write_text(f"#!/bin/sh\necho '{version} sha=00000000:0 malloc=libc bits=64'\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    ("name", "version", "taken"),
    [
        ("redis-server", "Redis server v=7.0.15", False),
        ("redis-server", "Redis server v=7.2.0", True),
        ("redis-server", "Redis server v=10.0.1", True),
        ("valkey-server", "Valkey server v=7.2.5", True),
    ],
)
def test_a_server_on_the_path_is_taken_when_it_is_recent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, version: str, taken: bool
) -> None:
    """Redis from 7.2 and any Valkey; otherwise the packaged one."""
    program = install(tmp_path / "bin", name, version)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert (redis_program(tmp_path) == program) is taken


def test_a_packaged_server_without_the_run_bit_is_copied(tmp_path: Path) -> None:
    """The copy can be run and is made once; the original keeps its mode."""
    packaged = tmp_path / "packaged"
    packaged.write_text("#!/bin/sh\n")
    packaged.chmod(0o644)
    copy = runnable_copy(packaged, tmp_path)
    made = copy.stat()
    assert stat.S_IMODE(made.st_mode) == 0o700
    assert stat.S_IMODE(packaged.stat().st_mode) == 0o644
    assert runnable_copy(packaged, tmp_path).stat().st_ino == made.st_ino


def test_a_port_taken_in_the_last_moment_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server comes up on the next free port, not on somebody else's."""
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        ports = [stranger.getsockname()[1]]
        monkeypatch.setattr(
            redis_module, "free_port", lambda: ports.pop() if ports else free_port()
        )
        server = Redis(tmp_path)
        try:
            server.start()
            server.wait_ready()
            assert redis_answers(server.url)
            assert not server.url.endswith(f":{stranger.getsockname()[1]}/0")
        finally:
            server.stop()
