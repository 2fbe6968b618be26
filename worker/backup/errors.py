"""What goes wrong with a backup or its restoration, in words an administrator can act on."""

from worker.errors import CopydeskError


class BackupError(CopydeskError):
    """A backup cannot be made here, or broke off; nothing was left at its place."""

    code = "backup_failed"


class RestoreError(CopydeskError):
    """A backup is not restored, or what was restored is not what the manifest says."""

    code = "restore_failed"
