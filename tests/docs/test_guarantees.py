"""Every promise names a test that shows it, and that test exists."""

import ast
import re

from tests.docs.pages import DOCS, ROOT, links, read

PAGE = "guarantees.md"
_EVIDENCE = re.compile(r"\[`(test_\w+)`\]\(([^)#]+)\)")


def _tests_of(path: str) -> set[str]:
    tree = ast.parse((DOCS / path).resolve().read_text("utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, functions)}


def test_every_test_that_is_named_exists() -> None:
    """A promise whose test was renamed or removed is found out."""
    named = _EVIDENCE.findall(read(PAGE))
    assert named
    missing = [(name, path) for name, path in named if name not in _tests_of(path)]
    assert not missing


def test_every_promise_has_a_test() -> None:
    """Each row of the promises ends in the names of tests, and all links to tests name one."""
    promises = read(PAGE).partition("## What is not promised")[0]
    rows = [line for line in promises.splitlines() if line.startswith("| ") and "|---" not in line]
    bare = [row for row in rows if not _EVIDENCE.search(row) and not row.startswith("| promise")]
    assert not bare
    to_tests = [link for link in links(DOCS / PAGE) if "/tests/" in link]
    assert to_tests
    assert all((DOCS / link).resolve().is_relative_to(ROOT / "tests") for link in to_tests)
