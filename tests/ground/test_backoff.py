"""Backoff: exponential, capped, and spread so that a fleet does not come back in one moment."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from worker.backoff import Backoff


def test_delays_grow_by_the_factor_up_to_the_cap() -> None:
    """Without spread: 1, 2, 4, 8, 10, 10 seconds."""
    backoff = Backoff(first=timedelta(seconds=1), factor=2, cap=timedelta(seconds=10), jitter=0)
    assert [backoff.delay(n).total_seconds() for n in range(1, 7)] == [1, 2, 4, 8, 10, 10]


def test_jitter_spreads_to_both_sides() -> None:
    """A quarter of four seconds is three to five."""
    backoff = Backoff(first=timedelta(seconds=4), jitter=0.25)
    places = [backoff.delay(1, spread=spread).total_seconds() for spread in (0, 0.5, 1)]
    assert places == [3, 4, 5]


@given(
    failures=st.integers(-5, 10**9),
    factor=st.floats(1, 10),
    jitter=st.floats(0, 1),
    first=st.timedeltas(timedelta(microseconds=1), timedelta(days=1)),
)
def test_a_delay_is_never_negative_and_never_above_the_cap_and_its_jitter(
    failures: int, factor: float, jitter: float, first: timedelta
) -> None:
    """However often something failed."""
    cap = timedelta(hours=1)
    delay = Backoff(first=first, factor=factor, cap=cap, jitter=jitter).delay(failures)
    assert timedelta(0) <= delay <= cap * (1 + jitter) + timedelta(microseconds=1)


@pytest.mark.parametrize(
    "options",
    [{"first": timedelta(0)}, {"factor": 0.5}, {"factor": 11}, {"jitter": 2}, {"jitter": -1}],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, float]) -> None:
    """A busy loop is not a backoff."""
    with pytest.raises(ValidationError):
        Backoff.model_validate(options)
