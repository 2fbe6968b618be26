"""The model of an execution's life: Spin finds nothing in it, and everything without its guards."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECK = Path(__file__).parents[2] / "docs/model/check"
MISSING = [tool for tool in ("spin", "cc") if shutil.which(tool) is None]


@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
def test_the_model_holds_and_would_miss_each_guarantee() -> None:
    """Every run of the check comes out as meant: safe, always ending, and broken where broken."""
    done = subprocess.run(
        [sys.executable, str(CHECK)], check=False, capture_output=True, text=True, timeout=600
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("holds") >= 6
    assert done.stdout.count("found broken") >= 11


def test_an_unknown_variant_is_refused_by_name() -> None:
    """A slip of the pen is answered with what there is."""
    done = subprocess.run(
        [sys.executable, str(CHECK), "--show", "NO_SUCH"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 2
    assert "NO_FENCE" in done.stderr
