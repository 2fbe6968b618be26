"""Metrics: what a worker says of itself to whoever runs the fleet, and what it never says."""

import asyncio
import re
import socket
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from models.states import State
from tests.docs.pages import read, rows
from tests.support.databases import DatabaseUrls
from tests.support.desk import Desk
from tests.support.waiting import until
from tests.support.workers import running_worker
from tests.worker.test_outages import NO_REDIS, outage
from worker.client import Client
from worker.errors import StartupRefusedError
from worker.process import assembled
from worker.settings import Settings

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def port() -> int:
    """A port that is free."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


@pytest.fixture
def metered(settings: Settings, port: int) -> Settings:
    """The settings of a worker that serves its metrics."""
    return settings.model_copy(update={"metrics_port": port})


async def said(settings: Settings) -> str:
    """Return the worker's metrics as it serves them."""

    def get() -> str:
        url = f"http://127.0.0.1:{settings.metrics_port}/metrics"
        with urlopen(url, timeout=10) as answer:
            return str(answer.read().decode())

    return await asyncio.to_thread(get)


async def samples(settings: Settings) -> Samples:
    """Return the worker's metrics by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(await said(settings))
        for sample in family.samples
    }


def of(found: Samples, name: str, **labels: str) -> float | None:
    """Return one value."""
    return found.get((name, frozenset(labels.items())))


async def test_claims_and_endings_are_counted(metered: Settings, desk: Desk) -> None:
    """By what told of them, by agent and by how they ended; a histogram counts every attempt."""
    async with running_worker(metered):
        await desk.run("echo")
        await desk.run("flaky", {"failures": 1})
        await desk.run("pointless")
        await until(lambda: _attempts(metered, 4))
        found = await samples(metered)
    assert of(found, "copydesk_attempts_total", agent="echo", ending="completed") == 1
    assert of(found, "copydesk_attempts_total", agent="flaky", ending="pending") == 1
    assert of(found, "copydesk_attempts_total", agent="flaky", ending="completed") == 1
    assert of(found, "copydesk_attempts_total", agent="pointless", ending="cancelled") == 1
    by_hint = of(found, "copydesk_executions_claimed_total", source="hint") or 0
    by_sweep = of(found, "copydesk_executions_claimed_total", source="sweep") or 0
    assert by_hint + by_sweep == 4
    assert of(found, "copydesk_attempt_seconds_count", agent="flaky") == 2
    assert of(found, "copydesk_attempt_seconds_bucket", agent="flaky", le="+Inf") == 2
    assert of(found, "copydesk_execution_wait_seconds_count") == 4


async def _attempts(settings: Settings, number: int) -> bool:
    found = await samples(settings)
    return number == sum(v for (name, _), v in found.items() if name == "copydesk_attempts_total")


async def test_what_no_hint_has_brought_is_counted_as_found_by_sweep(
    metered: Settings, desk: Desk
) -> None:
    """A fleet whose hints do not arrive shows it."""
    async with running_worker(metered.model_copy(update={"redis_url": NO_REDIS})):
        await desk.run("echo")
        found = await samples(metered)
    assert of(found, "copydesk_executions_claimed_total", source="sweep") == 1
    assert of(found, "copydesk_executions_claimed_total", source="hint") is None


async def test_a_refused_write_is_counted(
    metered: Settings, desk: Desk, database: DatabaseUrls
) -> None:
    """As an attempt that ended `refused`: its lease was another's by then."""
    async with running_worker(metered.model_copy(update={"heartbeat": 1000, "lease": 3000})):
        execution = await desk.enqueue("gated", desk.gate())
        await desk.begun()
        await database.ask("UPDATE agent_executions SET worker = 'another'")
        desk.open_gate()
        await desk.until_event(execution, "write_rejected")
        await until(lambda: _attempts(metered, 1))
        found = await samples(metered)
    assert of(found, "copydesk_attempts_total", agent="gated", ending="refused") == 1


async def test_an_abandoned_execution_that_was_taken_up_is_counted(
    metered: Settings, desk: Desk, database: DatabaseUrls
) -> None:
    """By the status it has afterwards."""
    execution = await desk.enqueue("echo")
    await database.ask(
        "UPDATE agent_executions SET status = 'running', attempt = 1, worker = 'lost', "
        "lease_expires_at = now() - interval '1 second'"
    )
    async with running_worker(metered):
        assert (await desk.final(execution)).status == State.COMPLETED
        found = await samples(metered)
    assert of(found, "copydesk_executions_rescued_total", status="pending") == 1


async def test_a_leaked_agent_is_counted_for_good_and_while_it_runs(
    metered: Settings, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One counter never goes back; the other tells what still takes memory and time."""
    monkeypatch.setattr("worker.attempt._GIVE_UP_AFTER", 0.1)
    async with running_worker(metered):
        execution = await desk.enqueue("hasty_stubborn", desk.gate())
        await desk.final(execution)
        found = await samples(metered)
        assert of(found, "copydesk_agents_leaked_total", agent="hasty_stubborn") == 1
        assert of(found, "copydesk_agents_leaked_running") == 1
        desk.open_gate()

        async def let_go() -> bool:
            return of(await samples(metered), "copydesk_agents_leaked_running") == 0

        await until(let_go)


async def test_the_age_of_the_leases_is_told(
    metered: Settings, database: DatabaseUrls, desk: Desk
) -> None:
    """It grows while PostgreSQL does not answer, before any lease is lost."""
    beat = metered.heartbeat
    async with running_worker(metered):
        execution = await desk.enqueue("gated", desk.gate())
        await desk.begun()
        async with outage(database):

            async def old() -> bool:
                age = of(await samples(metered), "copydesk_lease_renewal_age_seconds")
                return age is not None and age > 3 * beat

            await until(old)

        async def young() -> bool:
            age = of(await samples(metered), "copydesk_lease_renewal_age_seconds")
            return age is not None and age < 2 * beat

        await until(young)
        desk.open_gate()
        await desk.final(execution)


async def test_no_metric_says_anything_of_a_project(
    metered: Settings, desk: Desk, client: Client
) -> None:
    """Neither ids nor names nor contents: metrics are read by whoever runs the fleet."""
    async with running_worker(metered):
        recorded = await client.enqueue(
            desk.project,
            "echo",
            {"value": "canary", "document_type": "canary_document"},
            requested_by=desk.user,
            idempotency_key="canary-key",
        )
        await desk.final(recorded.execution_id)
        text = await said(metered)
    assert "echo" in text
    for secret in (
        *("canary", str(desk.project), str(desk.user)),
        *(str(recorded.execution_id), str(recorded.correlation_id)),
    ):
        assert secret not in text


async def test_a_port_that_is_taken_is_refused_with_the_remedy(metered: Settings) -> None:
    """Two workers of one host need two ports, or none."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", metered.metrics_port))
        taken.listen()
        with pytest.raises(StartupRefusedError, match="a port of its own"):
            async with assembled(metered):
                pass


async def test_the_port_is_free_again_when_the_worker_has_ended(metered: Settings) -> None:
    """The next worker of the host can have it."""
    for _ in range(2):
        async with running_worker(metered):
            assert "copydesk_slots 8.0" in await said(metered)


async def test_the_page_names_every_metric_and_no_other(metered: Settings) -> None:
    """Names of metrics are an interface."""
    async with running_worker(metered):
        text = await said(metered)
    families = {family.name: family for family in text_string_to_metric_families(text)}
    names = {
        f"{name}_total" if family.type == "counter" else name
        for name, family in families.items()
        if name.startswith("copydesk_")
    }
    written = {cells[0].strip("`") for cells in rows(read("operations/metrics.md"))}
    assert {name for name in written if re.fullmatch("copydesk_[a-z_]+", name)} == names
