"""Links that are half open: they carry nothing, and nobody says so."""

from functools import partial

import pytest

from models.states import State
from tests.conftest import make_settings
from tests.support.black_hole import BlackHole
from tests.support.databases import DatabaseUrls
from tests.support.desk import AGENTS, Desk
from tests.support.workers import running_worker
from worker import process
from worker.ledger import MovePool


async def test_half_open_links_to_postgresql_are_given_up_and_replaced(
    desk: Desk, database: DatabaseUrls, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F26: a call that is never answered ends with its time limit, and gives its place back."""
    monkeypatch.setattr(process, "MovePool", partial(MovePool, timeout=0.5))
    async with BlackHole(database) as hole:
        cut = make_settings(
            hole.database, redis_url, agents=AGENTS, lease=30, heartbeat=0.2, pool_size=1
        )
        async with running_worker(cut):
            for turn in range(2):
                gate = f"gate-{turn}"
                execution = await desk.enqueue("gated", desk.gate(gate))
                await desk.begun(gate)
                hole.freeze()
                desk.open_gate(gate)
                report = await desk.final(execution, within=20)
                assert (report.status, report.attempt) == (State.COMPLETED, 1)
                assert [version.version for version in report.versions] == [turn + 1]
            probe = await desk.run("echo", {"value": 1})
    assert probe.status == State.COMPLETED
