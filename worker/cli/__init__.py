"""The command line: it translates and calls, and decides nothing."""

from worker.cli.app import main

__all__ = ["main"]
