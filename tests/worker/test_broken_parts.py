"""Parts of the worker: a bug in one ends it loudly, and the sweep alone keeps slots busy."""

import pytest
from pydantic import SecretStr

from tests.support.desk import Desk
from tests.support.workers import running_worker
from worker.errors import CopydeskError
from worker.ledger import Dispatch
from worker.process import assembled
from worker.settings import Settings


async def test_a_part_that_fails_ends_the_worker_with_an_error(
    settings: Settings, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No half-dead worker: it says which part failed, and does not end as if all were well."""

    async def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Dispatch, "find_expired", fail)
    async with assembled(settings) as service:
        with pytest.raises(CopydeskError, match="sweep") as failed:
            await service.run()
    assert failed.value.code == "worker_failed"
    assert await desk.database.ask("SELECT 1 FROM workers") == []


async def test_without_redis_a_full_worker_takes_the_next_as_soon_as_a_slot_is_free(
    settings: Settings, desk: Desk
) -> None:
    """Sweeps alone are not limited to the slots of one pass: ten times as many run in one burst."""
    nowhere = SecretStr("redis://:nobody@127.0.0.1:1/0")
    slow_sweep = settings.model_copy(update={"concurrency": 2, "sweep": 2.5, "redis_url": nowhere})
    executions = [await desk.enqueue("echo", {}) for _ in range(20)]
    async with running_worker(slow_sweep):
        reports = await desk.finals(executions)
    spread = max(r.started_at for r in reports) - min(r.started_at for r in reports)
    assert {report.status for report in reports} == {"completed"}
    assert spread.total_seconds() < 2.5 * len(executions) / slow_sweep.concurrency / 2
