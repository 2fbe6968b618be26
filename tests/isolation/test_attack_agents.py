"""Agents: code that names another project wherever it can; the claim has decided already."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from models.states import State
from tests.isolation.attack import Ground
from tests.isolation.attacking_agents import FORGERIES
from tests.isolation.conftest import Workplace, target
from tests.support.workers import running_worker
from worker.errors import OutputInvalidError
from worker.exports import ExportStore
from worker.logs import configure_logging, execution_log

pytestmark = pytest.mark.usefixtures("untouched")


@pytest.fixture
def own_logging() -> Iterator[None]:
    """Put the process's logging back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def below(directory: Path) -> set[str]:
    """Return every path below a directory."""
    return {path.relative_to(directory).as_posix() for path in directory.rglob("*")}


async def test_an_agent_that_rewrites_its_own_facts_changes_nothing(
    workplace: Workplace, ground: Ground
) -> None:
    """Hopes to read, report and write where its changed context says; it stays where it is."""
    async with running_worker(workplace.settings):
        report = await workplace.mine.run("pretender", target(ground))
    assert report.status == State.COMPLETED
    output = report.output or {}
    for answer in output["found"].values():
        assert answer.startswith("document_not_found: ")
    assert set(output["latest"]) >= {"article", ground.mine.document_type}
    assert ground.theirs.document_type not in output["latest"]
    [version] = report.versions
    assert (version.document_type, version.version) == ("pretence", 1)
    rows = await ground.database.ask(
        "SELECT project_id FROM document_versions WHERE document_type = 'pretence'"
    )
    assert {row["project_id"] for row in rows} == {ground.mine.project}


async def test_what_an_agent_asks_for_elsewhere_is_answered_like_what_nobody_has(
    workplace: Workplace, ground: Ground
) -> None:
    """Hopes that a document of theirs is missing in other words than one that never was."""
    said = []
    async with running_worker(workplace.settings):
        for name in (ground.theirs.document_type, "nobodys_plan"):
            report = await workplace.mine.run("review", {"document_type": name})
            message = (report.error_message or "").replace(name, "NAME")
            said.append((report.status, report.error_code, message))
    assert said[0] == said[1]
    assert said[0][1] == "document_not_found"


@pytest.mark.parametrize("how", FORGERIES)
async def test_a_process_that_forges_a_message_is_not_believed(
    how: str, workplace: Workplace, ground: Ground
) -> None:
    """Hopes that the wire to the worker takes a project; a word too many ends the attempt."""
    async with running_worker(workplace.settings):
        report = await workplace.mine.run("forger", target(ground, how))
    assert report.status == State.FAILED
    assert report.error_code in {"agent_process_died", "output_invalid"}
    assert (report.versions, report.exports) == ([], [])


async def test_a_process_is_given_no_way_to_the_servers(
    workplace: Workplace, ground: Ground
) -> None:
    """Hopes for a URL among arguments, environment and objects, or an open connection."""
    async with running_worker(workplace.settings):
        report = await workplace.mine.run("rummager", target(ground))
    output = report.output or {}
    assert output["sockets"].count("AF_UNIX") == len(output["sockets"])
    assert "AF_INET" not in output["sockets"]
    for url in (ground.database.app, ground.database.dispatch, "redis://", "COPYDESK_DATABASE"):
        assert url not in output["given"]


async def test_a_file_does_not_climb_into_another_projects_directory(
    workplace: Workplace, ground: Ground
) -> None:
    """Hopes that a file's ending holds a path, past the contract's own check."""
    directory = workplace.settings.exports_directory
    assert directory is not None
    async with running_worker(workplace.settings):
        report = await workplace.mine.run("climber", target(ground))
    assert (report.status, report.error_code) == (State.FAILED, "output_invalid")
    assert below(directory) <= {str(ground.mine.project)}


@pytest.mark.parametrize("name", ["../x.zip", "a/../../x.zip", "/tmp/x.zip", "a/b.zip"])
async def test_the_store_of_files_takes_plain_names_only(
    name: str, ground: Ground, tmp_path: Path
) -> None:
    """Hopes for any way out of the project's own directory."""
    store = ExportStore(tmp_path / "exports")
    with pytest.raises(OutputInvalidError):
        await store.store(ground.mine.project, name, b"x")
    assert below(tmp_path) == set()


@pytest.mark.usefixtures("own_logging")
async def test_a_line_of_the_log_belongs_to_the_attempt_it_was_logged_in(
    workplace: Workplace, ground: Ground
) -> None:
    """Hopes to write lines in the name of another project; what it names is marked as its word."""
    stream = io.StringIO()
    configure_logging(workplace.settings, stream)
    async with running_worker(workplace.settings):
        report = await workplace.mine.run("pretender", target(ground))
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    [said] = [line for line in lines if line["event"] == "said"]
    assert said["project_id"] == str(ground.mine.project)
    assert said["execution_id"] == str(report.execution_id)
    assert said["given_project_id"] == str(ground.theirs.project)
    assert {line.get("project_id") for line in lines} <= {str(ground.mine.project), None}


@pytest.mark.usefixtures("own_logging")
def test_every_id_of_a_line_is_the_attempts_own(workplace: Workplace) -> None:
    """Hopes for one id among those of a line that can be said differently."""
    ids = dict.fromkeys(
        ("project_id", "execution_id", "attempt", "agent", "correlation_id", "worker"), "mine"
    )
    stream = io.StringIO()
    configure_logging(workplace.settings, stream)

    async def attempt() -> None:
        log = execution_log(**ids)
        log.info("said", **dict.fromkeys(ids, "theirs"))
        logging.getLogger("any").warning("said", extra=dict.fromkeys(ids, "theirs"))

    asyncio.run(attempt())
    for line in stream.getvalue().splitlines():
        found = json.loads(line)
        assert {name: found[name] for name in ids} == ids
