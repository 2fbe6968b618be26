"""Every table, registered: whoever needs all of them imports `Base` from here."""

from models import documents, executions, projects, workers
from models.base import Base

__all__ = ["Base", "documents", "executions", "projects", "workers"]
