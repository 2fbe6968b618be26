"""A file is one idea, read whole: 300 lines of code at most, 400 of tests."""

from tests.architecture.source import ROOT, sources

CODE, TESTS = 300, 400


def lengths(paths: list[str], most: int) -> dict[str, int]:
    """Return the files that are longer than `most` lines, with their length."""
    counted = {path: len((ROOT / path).read_text("utf-8").splitlines()) for path in paths}
    return {path: lines for path, lines in counted.items() if lines > most}


def test_code_is_read_whole() -> None:
    """Python and SQL; generated migrations are nobody's reading."""
    python = [source.name for source in sources("worker", "models", "migrations")]
    functions = [f"models/functions/{p.name}" for p in (ROOT / "models/functions").glob("*.sql")]
    scripts = [p.relative_to(ROOT).as_posix() for p in (ROOT / "worker").rglob("*.lua")]

    assert functions
    assert lengths(python + functions + scripts, CODE) == {}


def test_tests_are_read_whole() -> None:
    """What cannot be read cannot be believed."""
    assert lengths([source.name for source in sources("tests")], TESTS) == {}
