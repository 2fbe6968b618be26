"""Which rules these tests speak of."""

import re
from pathlib import Path


def rules_in_tests() -> set[str]:
    """Return the names of rules that stand in the tests of this folder."""
    here = Path(__file__).parent
    texts = [file.read_text("utf-8") for file in sorted(here.glob("test_*.py"))]
    return set(re.findall(r"\bRule\.([A-Z_]+)", "\n".join(texts)))
