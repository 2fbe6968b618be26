"""The servers of compose.yaml, and copydesk as the image has it, once for all tests here."""

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.dockerfile import copied, copy_context
from tests.deploy.site import Site, running_site


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """A PostgreSQL prepared by roles.sql, not migrated."""
    with running_site() as site:
        yield site


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built of what the Dockerfile copies into its build and of nothing else."""
    directory = tmp_path_factory.mktemp("build")
    copy_context(directory / "source", copied(stage="build"))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
    # Without isolation the build needs no network: setuptools is a dependency of copydesk.
    command += ["--no-deps", "--no-build-isolation", "--wheel-dir", str(directory), "."]
    done = subprocess.run(
        command, cwd=directory / "source", check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    [wheel] = directory.glob("copydesk-*.whl")
    return wheel


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel unpacked, to be found before the checkout."""
    directory = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(directory)
    return directory
