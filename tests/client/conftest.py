"""Workers with the agents that misbehave, and a desk to enqueue from."""

from pathlib import Path
from uuid import UUID

import pytest

from tests.conftest import make_settings
from tests.support.databases import DatabaseUrls
from tests.support.desk import AGENTS, Desk
from worker.client import Client
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


@pytest.fixture
def desk(client: Client, database: DatabaseUrls, project: UUID, user: UUID, tmp_path: Path) -> Desk:
    """The desk of the test's own project."""
    return Desk(client, database, project, user, tmp_path)
