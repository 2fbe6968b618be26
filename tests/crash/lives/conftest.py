"""Workers that die, freeze or are replaced, with a lease so long that nothing may wait for it."""

from pathlib import Path

import pytest

from tests.conftest import make_settings
from tests.processes.conftest import start_worker
from tests.support.databases import DatabaseUrls
from tests.support.desk import AGENTS
from worker.settings import Settings

__all__ = ["start_worker"]


@pytest.fixture
def settings(database: DatabaseUrls, redis_url: str, tmp_path: Path) -> Settings:
    """A lease of five minutes: whatever is quick, it was not the lease."""
    return make_settings(
        database,
        redis_url,
        exports_directory=tmp_path / "exports",
        agents=AGENTS,
        worker_name="desk-0",
        lease=300,
    )
