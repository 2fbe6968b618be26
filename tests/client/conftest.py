"""Workers with the agents that misbehave."""

from pathlib import Path

import pytest

from tests.conftest import make_settings
from tests.support.databases import DatabaseUrls
from tests.support.desk import AGENTS
from worker.settings import Settings


@pytest.fixture
def settings(database: DatabaseUrls, redis_url: str, tmp_path: Path) -> Settings:
    """Short times, small limits, and the agents that misbehave."""
    return make_settings(
        database,
        redis_url,
        exports_directory=tmp_path / "exports",
        agents=AGENTS,
        output_limit=1_000_000,
        document_limit=1_000_000,
    )
