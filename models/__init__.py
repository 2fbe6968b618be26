"""What the database is: tables, states, roles, policies, triggers and functions."""

from models.base import Base
from models.documents import DocumentVersion, Export
from models.executions import AgentExecution, ExecutionEvent
from models.projects import Project, User
from models.states import FINAL, Event, State
from models.workers import Worker

__all__ = [
    "FINAL",
    "AgentExecution",
    "Base",
    "DocumentVersion",
    "Event",
    "ExecutionEvent",
    "Export",
    "Project",
    "State",
    "User",
    "Worker",
]
