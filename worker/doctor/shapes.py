"""The shape of a statement: what it does and to what, without anything that may be a value.

pg_stat_statements puts `$1` where a value stood, but not everywhere: comments and utility
statements come as they were sent, and whoever writes values as names keeps them.
"""

import re

_LONGEST = 70

# In the order in which they can hold each other: what begins first ends first.
_VALUES = re.compile(
    r"""
      --[^\n]*                                      # a comment to the end of its line
    | /\*.*?(?:\*/|\Z)                              # a comment
    | \$(?P<tag>[A-Za-z_]\w*)?\$.*?(?:\$(?P=tag)\$|\Z)
    | (?:\b[EeBbXxNnUu]&?)?'(?:[^'\\]|''|\\.)*(?:'|\Z)
    | "(?:[^"]|"")*(?:"|\Z)
    | (?<![\w$])[-+]?\d[\w.]*                       # a number, or what begins like one
    """,
    re.VERBOSE | re.DOTALL,
)
_READS_OR_WRITES = re.compile(
    r"\s*\(*\s*(SELECT|INSERT|UPDATE|DELETE|MERGE|WITH|VALUES)\b", re.IGNORECASE
)
_COMMENT = ("--", "/*")


def shape(statement: str) -> str | None:
    """Return a statement's shape on one line; None for a utility statement, which has none."""
    bare = _VALUES.sub(_blank, statement)
    if not _READS_OR_WRITES.match(bare):
        return None
    line = " ".join(bare.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 4].rstrip()} ..."


def _blank(found: re.Match[str]) -> str:
    return " " if found[0].startswith(_COMMENT) else "?"
