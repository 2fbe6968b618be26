"""Readings: what people and services ask the database, each statement with a name and a purpose."""

from worker.readings.documents import list_documents, read_document, read_latest
from worker.readings.failed import list_failed
from worker.readings.reports import (
    AttemptReport,
    DeadLetter,
    DocumentReport,
    EventReport,
    ExecutionReport,
    ExportReport,
    StatusReport,
    VersionReport,
)
from worker.readings.status import read_execution, read_status

__all__ = [
    "AttemptReport",
    "DeadLetter",
    "DocumentReport",
    "EventReport",
    "ExecutionReport",
    "ExportReport",
    "StatusReport",
    "VersionReport",
    "list_documents",
    "list_failed",
    "read_document",
    "read_execution",
    "read_latest",
    "read_status",
]
