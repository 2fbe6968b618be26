"""Fixtures of the agents' tests: a desk, and the built-in agents sharing one checker."""

import pytest

from worker.agents.builtin import builtin_agents
from worker.agents.builtin.grammar import GrammarChecker
from worker.agents.registry import Registry
from worker.settings import Settings

from .desk import Desk


@pytest.fixture
def desk() -> Desk:
    """Return an empty English project."""
    return Desk()


@pytest.fixture(scope="session")
def agents() -> Registry:
    """Return the built-in agents, with nothing configured."""
    return Registry(builtin_agents(Settings(_env_file=None)))


@pytest.fixture(scope="session")
def checker() -> GrammarChecker:
    """Return one grammar checker for the whole session: building a linter takes its time."""
    return GrammarChecker()
