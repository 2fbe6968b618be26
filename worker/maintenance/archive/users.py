"""The users of an archive in another database: known by their email address, or created."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from models.projects import User


@dataclass(frozen=True, slots=True)
class ArchivedUser:
    """A user as an archive tells of one; without an id it is somebody named by an email alone."""

    id: UUID | None
    email: str
    name: str


@dataclass(frozen=True)
class Resolved:
    """Which id each email address has here, and how many users were created for it."""

    ids: dict[str, UUID]
    created: int


async def resolve(session: AsyncSession, users: Sequence[ArchivedUser]) -> Resolved:
    """Find users by email; create those that are not there, with their ids where these are free.

    The name of a known user stays as it is here.
    """
    created = 0
    ids: dict[str, UUID] = {}
    for user in users:
        found = await session.scalar(select(User.id).where(User.email == user.email))
        if found is None:
            found = await _created(session, user)
            created += 1
        ids[user.email] = UUID(str(found))
    return Resolved(ids, created)


async def _created(session: AsyncSession, user: ArchivedUser) -> UUID:
    given = {"email": user.email, "name": user.name}
    if user.id is not None:
        # Somebody else may have the id here, or just now the address.
        statement = insert(User).values(id=user.id, **given).on_conflict_do_nothing()
        found = await session.scalar(statement.returning(User.id))
        if found is not None:
            return UUID(str(found))
    statement = insert(User).values(**given).on_conflict_do_nothing()
    await session.execute(statement)
    known = await session.execute(select(User.id).where(User.email == user.email))
    return UUID(str(known.scalar_one()))
