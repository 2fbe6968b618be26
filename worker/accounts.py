"""Users and projects: what has to exist before anything can be enqueued."""

from uuid import UUID

from sqlalchemy import text

from worker.database import Database
from worker.errors import InputInvalidError

_LONGEST_LANGUAGE = 10


async def ensure_user(database: Database, *, email: str, name: str) -> UUID:
    """Return the user with this email address, created with `name` where there is none."""
    if "@" not in email or not email.isprintable():
        raise InputInvalidError("email: must be an email address")
    async with database.unscoped() as connection:
        await connection.execute(
            text(
                "INSERT INTO users (email, name) VALUES (:email, :name) "
                "ON CONFLICT (email) DO NOTHING"
            ),
            {"email": email, "name": name},
        )
        found = await connection.execute(
            text("SELECT id FROM users WHERE email = :email"), {"email": email}
        )
        return UUID(str(found.scalar_one()))


async def create_project(
    database: Database, *, name: str, created_by: UUID, language: str = "en"
) -> UUID:
    """Create a project and return its id; its language (such as `en` or `de-AT`) stays for good.

    Raises:
        NotFoundError: there is no such user.
        InputInvalidError: the name or the language breaks a rule.
    """
    if not name.strip() or len(name) > 255:  # noqa: PLR2004 - the column's width
        raise InputInvalidError("name: must have 1 to 255 characters")
    if not language.replace("-", "").isalnum() or len(language) > _LONGEST_LANGUAGE:
        raise InputInvalidError("language: must be a language tag such as en or de-AT")
    async with database.unscoped() as connection:
        created = await connection.execute(
            text("SELECT create_project(:name, :created_by, :language)"),
            {"name": name, "created_by": created_by, "language": language},
        )
        return UUID(str(created.scalar_one()))
