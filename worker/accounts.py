"""Users and projects: what has to exist before anything can be enqueued."""

from uuid import UUID

from sqlalchemy import text

from worker.database import Database
from worker.requests import NewProject, NewUser


async def ensure_user(database: Database, *, email: str, name: str) -> UUID:
    """Return the user with this email address, created with `name` where there is none.

    Raises:
        InputInvalidError: the address or the name breaks a rule.
    """
    user = NewUser.checked({"email": email, "name": name})
    async with database.unscoped() as connection:
        await connection.execute(
            text(
                "INSERT INTO users (email, name) VALUES (:email, :name) "
                "ON CONFLICT (email) DO NOTHING"
            ),
            {"email": user.email, "name": user.name},
        )
        found = await connection.execute(
            text("SELECT id FROM users WHERE email = :email"), {"email": user.email}
        )
        return UUID(str(found.scalar_one()))


async def create_project(
    database: Database, *, name: str, created_by: UUID | str, language: str = "en"
) -> UUID:
    """Create a project and return its id; its language (such as `en` or `de-AT`) stays for good.

    Raises:
        InputInvalidError: the name, the user or the language breaks a rule.
        NotFoundError: there is no such user.
    """
    project = NewProject.checked({"name": name, "created_by": created_by, "language": language})
    async with database.unscoped() as connection:
        created = await connection.execute(
            text("SELECT create_project(:name, :created_by, :language)"),
            project.model_dump(),
        )
        return UUID(str(created.scalar_one()))
