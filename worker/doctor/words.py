"""How sizes, durations and counts are told: short, never more exactly than was measured."""

_STEP = 1024
_UNITS = ("kB", "MB", "GB", "TB")
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def size(count: float) -> str:
    """Return a number of bytes for people."""
    value, name = float(count), "bytes"
    for unit in _UNITS:
        if value < _STEP:
            break
        value, name = value / _STEP, unit
    return f"{value:.0f} {name}"


def duration(seconds: float) -> str:
    """Return a duration for people."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for step, name in ((_DAY, "days"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= 2 * step:
            return f"{seconds / step:.0f} {name}"
    return f"{seconds:.0f} s"


def share(value: float) -> str:
    """Return a share of one as a percentage."""
    return f"{value * 100:.0f} %"


def counted(number: int, noun: str, *, bound: int | None = None) -> str:
    """Return "1 row", "2 rows", or, where nobody counted beyond a bound, "1,000 or more rows"."""
    if bound is not None and number > bound:
        return f"{bound:,} or more {noun}s"
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
