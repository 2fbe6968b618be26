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


def disagreement(found: str | None, expected: str) -> str | None:
    """Return what is to be done about a schema of another revision; None where it is the same.

    Args:
        found: the database's revision, None where it has none.
        expected: the revision the code at hand works with.
    """
    if found == expected:
        return None
    said = f"the schema is at revision {found or 'none'}, this copydesk works with {expected}: "
    if found is None or found < expected:  # they begin with their number
        return f"{said}run `copydesk db upgrade`"
    back = f"with that one run `copydesk db downgrade {expected}`"
    return f"{said}install the copydesk that has {found}, or {back}"
