"""Readings: what people and services ask the database, each statement with a name and a purpose."""

from worker.readings.documents import list_documents, read_document
from worker.readings.failed import list_failed
from worker.readings.search import find_executions, find_text, find_versions
from worker.readings.statistics import read_statistics
from worker.readings.status import read_execution, read_status
from worker.reports import (
    AgentStatistics,
    AttemptReport,
    DeadLetter,
    DocumentReport,
    DocumentStatistics,
    EventReport,
    ExecutionReport,
    ExportReport,
    FoundExecution,
    FoundText,
    FoundVersion,
    StatisticsReport,
    StatusReport,
    VersionReport,
)

__all__ = [
    "AgentStatistics",
    "AttemptReport",
    "DeadLetter",
    "DocumentReport",
    "DocumentStatistics",
    "EventReport",
    "ExecutionReport",
    "ExportReport",
    "FoundExecution",
    "FoundText",
    "FoundVersion",
    "StatisticsReport",
    "StatusReport",
    "VersionReport",
    "find_executions",
    "find_text",
    "find_versions",
    "list_documents",
    "list_failed",
    "read_document",
    "read_execution",
    "read_statistics",
    "read_status",
]
