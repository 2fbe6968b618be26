"""The image, as far as it can be had without an engine: its build, its contents, its start."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from tests.deploy.composefile import ROOT, services
from tests.deploy.dockerfile import admitted, copied, last, stages
from tests.deploy.site import DATABASE, Site, plain_environment, running_redis
from tests.support.waiting import until

HEALTHY = "deploy/worker/healthy.py"


def environment(installed: Path, given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment in which Python finds the unpacked wheel first."""
    return {**plain_environment(), "PYTHONPATH": str(installed), **(given or {})}


def copydesk(
    installed: Path, elsewhere: Path, *arguments: str, **given: str
) -> subprocess.CompletedProcess[str]:
    """Run `copydesk` of the wheel, outside the checkout."""
    return subprocess.run(
        [sys.executable, "-m", "worker", *arguments],
        cwd=elsewhere,
        env=environment(installed, given),
        check=False,
        capture_output=True,
        text=True,
    )


def composed(service: str, site: Site, redis_url: str, exports: Path) -> dict[str, str]:
    """Return the environment compose.yaml gives a service, led to the servers of this test."""
    address = f"@postgres:5432/{DATABASE}"
    redis = redis_url.partition("@")[2]
    return {
        name: str(value).replace(address, site.address).replace("redis:6379/0", redis)
        for name, value in services()[service]["environment"].items()
        if value is not None
    } | {"COPYDESK_EXPORTS_DIRECTORY": str(exports)}


def test_the_build_gets_what_it_copies_and_no_more() -> None:
    """.dockerignore lets in what some COPY takes: no .env, no .git, no tests."""
    everything = (ROOT / ".dockerignore").read_text("utf-8").splitlines()[1]
    assert everything == "*"
    wanted = {*copied(stage="build"), *copied(stage="final")}
    assert {HEALTHY if each == "deploy/worker" else each for each in admitted()} == wanted
    assert all((ROOT / each).exists() for each in wanted)


def test_the_image_starts_a_worker_as_an_ordinary_user() -> None:
    """The command gets signals itself (no shell), by number, and root is nobody in it."""
    assert json.loads(last("final", "ENTRYPOINT")) == ["copydesk"]
    assert json.loads(last("final", "CMD")) == ["worker"]
    assert last("final", "STOPSIGNAL") == "SIGTERM"
    user, _, group = last("final", "USER").partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert not any(word == "ADD" for each in stages().values() for word, _ in each)


def test_both_stages_have_the_same_python() -> None:
    """What was compiled and linked in one stage is run in the other."""
    bases = [last(stage, "FROM").split()[0] for stage in ("build", "final")]
    assert bases == ["python:${PYTHON_VERSION}-slim"] * 2
    assert last("before", "ARG") == "PYTHON_VERSION=3.13"
    assert last("build", "RUN").endswith(
        '"copydesk${EXTRAS:+[$EXTRAS]} @ file://$(echo /wheels/copydesk-*.whl)"'
    )
    assert last("build", "ARG") == 'EXTRAS=""'


def test_the_check_of_compose_is_in_the_image() -> None:
    """The health check names the file where the Dockerfile puts it."""
    assert f"{HEALTHY} {services()['worker']['healthcheck']['test'][-1]}" in [
        rest for word, rest in stages()["final"] if word == "COPY"
    ]


def test_the_wheel_holds_all_that_is_not_python(wheel: Path) -> None:
    """SQL, Lua, templates, alembic.ini and the typing markers travel with the code."""
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    source = [
        path.relative_to(ROOT).as_posix()
        for package in ("worker", "models", "migrations")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    assert {Path(each).suffix for each in source} >= {".sql", ".lua", ".mako", ".ini", ".typed"}
    assert set(source) <= inside
    assert not any(name.startswith(("tests/", "deploy/")) for name in inside)


def test_the_wheel_runs_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    """Version and agents come from the wheel, wherever it is called."""
    assert copydesk(installed, tmp_path, "--version").stdout == "copydesk 0.1.0\n"
    told = copydesk(installed, tmp_path, "agents").stdout
    assert all(name in told for name in ("export", "import_document", "llm", "review", "revise"))


def test_a_worker_without_settings_says_what_is_missing(installed: Path, tmp_path: Path) -> None:
    """One line names every missing variable; the exit code says wrong configuration."""
    done = copydesk(installed, tmp_path, "worker")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    for name in ("COPYDESK_DATABASE_URL", "COPYDESK_DISPATCH_URL", "COPYDESK_REDIS_URL"):
        assert f"{name} is not set" in done.stderr


async def test_compose_works_end_to_end_without_an_engine(
    installed: Path, site: Site, tmp_path: Path
) -> None:
    """Migrate, start, check and stop, each as compose.yaml has it, on servers of its own files."""
    with running_redis(tmp_path / "redis") as (redis_url, _):
        owner = composed("migrate", site, redis_url, tmp_path)
        migrated = copydesk(installed, tmp_path, *services()["migrate"]["command"], **owner)
        assert migrated.returncode == 0, migrated.stderr
        assert migrated.stderr == ""
        at = copydesk(installed, tmp_path, "db", "current", **owner).stdout.split()
        assert at[1] == at[3]

        given = environment(installed, composed("worker", site, redis_url, tmp_path))

        async def healthy() -> bool:
            check = await asyncio.create_subprocess_exec(
                *(sys.executable, str(ROOT / HEALTHY)),
                cwd=tmp_path,
                env=given,
                stderr=asyncio.subprocess.PIPE,
            )
            _, told = await check.communicate()
            assert check.returncode == (1 if told else 0), told
            return not told

        assert not await healthy()
        log = tmp_path / "worker.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "worker", *services()["worker"]["command"]),
                cwd=tmp_path,
                env=given,
                stdout=output,
                stderr=output,
            )
        try:
            asked: Callable[[], bool | Awaitable[bool]] = healthy
            await until(asked, what="the worker's presence")
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(15):
                assert await process.wait() == 0, log.read_text()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert not await healthy()
    assert os.fspath(ROOT) not in log.read_text()
