"""Names: what stands in the database and in the models keeps the rules, and the rules bite."""

import pytest

from tests.migrations.names import EXCEPTIONS, Named, catalog, declared, misnamed
from tests.support.databases import DatabaseUrls

KINDS = {
    *("table", "column", "index", "unique", "check", "foreign key", "primary key"),
    *("trigger", "policy", "function", "parameter", "sequence"),
}


async def test_everything_in_a_migrated_database_keeps_the_rules(database: DatabaseUrls) -> None:
    """Tables, columns, constraints, indexes, functions and what they take, triggers, policies."""
    named = await catalog(database)
    assert {each.kind for each in named} == KINDS
    assert misnamed(named) == []


async def test_everything_in_the_models_keeps_the_rules(database: DatabaseUrls) -> None:
    """As it is declared, before any migration; the database has all of it, under the same names."""
    assert misnamed(declared()) == []
    in_the_models, live = (
        {(each.kind, each.table, each.name) for each in things}
        for things in (declared(), await catalog(database))
    )
    assert in_the_models <= live


def test_no_exception_outlives_its_reason() -> None:
    """A column that is gone is taken off the list."""
    columns = {("column", each.name) for each in declared() if each.kind == "column"}
    assert set(EXCEPTIONS) <= columns


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("CREATE TABLE review (id uuid)", "table review: is not a plural"),
        ('CREATE TABLE "Reviews" (id uuid)', "table Reviews: is not lowercase snake_case"),
        ('ALTER TABLE users ADD "phoneNumber" text', "users.phoneNumber: is not lowercase snake"),
        ("ALTER TABLE users ADD a__b text", "column users.a__b: is not lowercase snake_case"),
        ("ALTER TABLE users ADD team uuid", "users.team: is uuid and does not end with _id"),
        (
            "ALTER TABLE users ADD team_id text",
            "ends with _id and is text, not uuid",
        ),
        ("ALTER TABLE users ADD seen timestamptz", "zone and does not end with _at"),
        ("ALTER TABLE users ADD seen_at timestamp", "ends with _at and is timestamp without time"),
        ("ALTER TABLE users ADD born date", "users.born: is date and does not end with _date"),
        ("ALTER TABLE users ADD born_date text", "ends with _date and is text, not date"),
        ("CREATE INDEX ix_users_name ON users (name)", "index users.ix_users_name: does not begin"),
        ("CREATE UNIQUE INDEX users_name ON users (name)", "does not begin with idx_"),
        (
            "ALTER TABLE users ADD UNIQUE (name)",
            "does not begin with unique_",
        ),
        (
            "ALTER TABLE users ADD CHECK (name <> '')",
            "name_check: does not begin with check_",
        ),
        (
            "ALTER TABLE users ADD FOREIGN KEY (id) REFERENCES users",
            "users_id_fkey: does not begin with fk_",
        ),
        (
            "CREATE TABLE reviews (id uuid PRIMARY KEY)",
            "primary key reviews.reviews_pkey: does not begin with pk_",
        ),
        ('CREATE POLICY "Mine" ON users USING (true)', "policy users.Mine: is not lowercase"),
        (
            'CREATE TRIGGER "Touch" BEFORE DELETE ON users EXECUTE FUNCTION touch_project()',
            "trigger users.Touch: is not lowercase",
        ),
        ('CREATE FUNCTION "doIt"() RETURNS int RETURN 1', "function doIt: is not lowercase"),
        ('CREATE FUNCTION go("theId" int) RETURNS int RETURN 1', "parameter go.theId: is not"),
        ('CREATE SEQUENCE "Numbers"', "sequence Numbers: is not lowercase"),
        ("CREATE VIEW report AS SELECT 1 AS one", "table report: is not a plural"),
    ],
)
async def test_a_bad_name_would_be_seen(database: DatabaseUrls, statement: str, fault: str) -> None:
    """Whatever it is the name of."""
    await database.ask(statement)
    assert fault in "\n".join(misnamed(await catalog(database)))


def test_an_exception_is_for_one_column_and_no_other() -> None:
    """`created_by` is a user; a column that merely sounds like it is not."""
    assert misnamed([Named("column", "created_by", "x", "uuid")]) == []
    assert misnamed([Named("column", "made_by", "x", "uuid")]) != []
