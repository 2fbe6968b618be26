"""The doctor: read-only checks of what a copydesk stands on, each finding with its remedy.

A check (`checks.py`) reads, and hands what it read to judgements: functions of values, without I/O,
that yield findings by `rules.py` and `limits.py`. What cannot be read is said, never passed over.
Nothing is loaded here but names: the checks compare with the models, which takes SQLAlchemy.
"""

from enum import StrEnum


class CheckName(StrEnum):
    """The checks, in the order in which they run."""

    ISOLATION = "isolation"
    SCHEMA = "schema"
    SETTINGS = "settings"
    CONNECTIONS = "connections"
    TRANSACTIONS = "transactions"
    TABLES = "tables"
    INDEXES = "indexes"
    STATEMENTS = "statements"
    WORK = "work"
    CLOCK = "clock"
    REDIS = "redis"
    QUEUE = "queue"
