"""Logical backups: a dump with a manifest beside it, and its way back into an empty database."""

from worker.backup.dump import back_up
from worker.backup.errors import BackupError, RestoreError
from worker.backup.manifest import Manifest, manifest_path
from worker.backup.restore import Restored, restore

__all__ = [
    "BackupError",
    "Manifest",
    "RestoreError",
    "Restored",
    "back_up",
    "manifest_path",
    "restore",
]
