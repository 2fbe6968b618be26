"""Races: what two do at once, brought about by holding locks, not by luck."""

from tests.ledger.conftest import desk

__all__ = ["desk"]
