"""The state machine, run on the functions as they are, and on functions broken on purpose."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from models.states import Event, State
from tests.machine.machine import Lives
from tests.machine.world import World
from tests.support.databases import DatabaseUrls

# Whoever has the time looks further, and elsewhere each time: MACHINE_EXAMPLES=2000 pytest ...
EXAMPLES = os.environ.get("MACHINE_EXAMPLES")
SEARCH = settings(
    max_examples=int(EXAMPLES or 80),
    stateful_step_count=50,
    derandomize=EXAMPLES is None,
    database=None,
    deadline=None,
    print_blob=True,
)
# A fault is to be seen, not to be made small.
GLANCE = settings(SEARCH, phases=[Phase.generate])


@pytest.fixture
def world(database: DatabaseUrls) -> Iterator[World]:
    """Return the moves on the test's own database."""
    world = World(database)
    yield world
    world.close()


def machine(world: World) -> type[Lives]:
    """Return the machine on a world."""
    return type("LivesHere", (Lives,), {"world": world})


def test_no_order_of_moves_breaks_a_rule(world: World) -> None:
    """Whatever is done, and however late: the tables stay sound, and are what was expected."""
    run_state_machine_as_test(machine(world), settings=SEARCH)

    # It went far enough to mean something: everything that can happen has happened.
    states = world.run(world.superuser.fetch("SELECT DISTINCT status FROM agent_executions"))
    events = world.run(world.superuser.fetch("SELECT DISTINCT event FROM execution_events"))
    assert {row["status"] for row in states} == set(State)
    assert {row["event"] for row in events} == set(Event)


# What each half of the fence says, and what it says when it is missing.
HALVES = {"AND r.attempt = e.attempt": "", "THEN e.worker = p_worker": "THEN true"}


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize(
    "function", ["complete_executions", "fail_executions", "release_executions", "cancel_attempts"]
)
def test_a_missing_half_of_the_fence_is_found(world: World, function: str, half: str) -> None:
    """A move that no longer looks at the attempt, or at the worker, does not pass."""
    [row] = world.run(
        world.superuser.fetch(
            "SELECT pg_get_functiondef(oid) AS source FROM pg_proc WHERE proname = $1", function
        )
    )
    assert half in row["source"]
    world.run(world.superuser.execute(row["source"].replace(half, HALVES[half])))

    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine(world), settings=GLANCE)
