"""Settings of a doctor that sees all of the server, and of one that has only the running roles."""

import pytest

from tests.support.databases import DatabaseUrls
from worker.settings import Settings, read_settings


@pytest.fixture
def seeing(settings: Settings, database: DatabaseUrls) -> Settings:
    """As the superuser beside the running roles."""
    return read_settings(
        **{**settings.model_dump(exclude_unset=True), "monitor_url": database.admin}
    )
