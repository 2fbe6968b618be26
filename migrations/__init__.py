"""Migrations of the schema: a file each below versions/, numbered, run by Alembic."""

from importlib.resources import files


def latest() -> str:
    """Return the revision this code works with: that of the last file.

    A worker asks at its start, and need not load Alembic for it: 10 MB.
    """
    versions = files(__package__).joinpath("versions")
    return max(
        file.name.removesuffix(".py") for file in versions.iterdir() if file.name[:4].isdecimal()
    )
