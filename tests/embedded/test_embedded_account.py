"""Who runs PostgreSQL for root, and which one capability that user is given."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from worker.embedded.account import CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, needed_capability
from worker.embedded.errors import EmbeddedServerError

EVERYTHING = (1 << 41) - 1
WITHOUT_READ_SEARCH = EVERYTHING & ~(1 << CAP_DAC_READ_SEARCH)  # what containers have


@pytest.fixture
def place() -> Iterator[Path]:
    """Make a directory open to everybody, with a program and a data file."""
    path = Path(tempfile.mkdtemp(dir="/tmp"))
    path.chmod(0o755)
    (path / "home").mkdir(mode=0o755)
    (path / "program").touch()
    (path / "program").chmod(0o755)
    (path / "data").touch()
    (path / "data").chmod(0o644)
    yield path
    shutil.rmtree(path)


def needed(place: Path, permitted: int) -> str:
    """Ask what a server with all its files in `place` needs."""
    return needed_capability(place / "home", place / "program", place / "data", permitted)


def test_nothing_is_given_where_everything_is_open(place: Path) -> None:
    """An ordinary user's ordinary rights are enough when no directory is closed."""
    assert needed(place, EVERYTHING) == "-"


def test_a_closed_directory_takes_the_weakest_capability_there_is(place: Path) -> None:
    """Reading past permissions, or overriding them where the former is not to be had."""
    (place / "home").chmod(0o700)
    assert needed(place, EVERYTHING) == str(CAP_DAC_READ_SEARCH)
    assert needed(place, WITHOUT_READ_SEARCH) == str(CAP_DAC_OVERRIDE)


def test_a_closed_data_file_can_be_read_with_the_weakest_capability(place: Path) -> None:
    """An installation with a strict umask has data files that only root can read."""
    (place / "data").chmod(0o600)
    assert needed(place, EVERYTHING) == str(CAP_DAC_READ_SEARCH)


def test_a_closed_program_can_only_be_run_by_overriding(place: Path) -> None:
    """Running a file is more than reading it."""
    (place / "program").chmod(0o700)
    assert needed(place, EVERYTHING) == str(CAP_DAC_OVERRIDE)


def test_the_closed_directory_is_named_when_there_is_no_way_in(place: Path) -> None:
    """The error names the directory and the remedy."""
    place.chmod(0o700)
    with pytest.raises(EmbeddedServerError, match=rf"^{place} is closed .* chmod o\+rx {place}$"):
        needed(place, 0)
