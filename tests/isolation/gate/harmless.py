"""What an administrator may do beside copydesk without opening a project to anybody."""

_ONE = "CREATE FUNCTION one() RETURNS integer LANGUAGE sql"

HARMLESS = {
    "table out of reach": (
        "CREATE SCHEMA attic; CREATE TABLE attic.exports AS SELECT * FROM exports"
    ),
    "schema in reach with nothing that is": (
        "CREATE SCHEMA attic; GRANT USAGE ON SCHEMA attic TO PUBLIC;"
        "CREATE TABLE attic.notes (note text); CREATE VIEW attic.all AS SELECT * FROM exports"
    ),
    "view that reads as whoever asks": (
        "CREATE VIEW mine WITH (security_invoker) AS SELECT * FROM exports;"
        "GRANT SELECT ON mine TO copydesk_app"
    ),
    "function that runs as its caller": f"{_ONE} RETURN 1",
    "definer function that nobody may call": (
        f"{_ONE} SECURITY DEFINER RETURN 1; REVOKE EXECUTE ON FUNCTION one() FROM PUBLIC"
    ),
    "definer function of the owner with a search path": (
        f"{_ONE} SECURITY DEFINER SET search_path = public RETURN 1;"
        "ALTER FUNCTION one() OWNER TO copydesk_owner"
    ),
    "extensions": "CREATE EXTENSION hstore; CREATE EXTENSION pg_buffercache",
    "publication of what belongs to no project": "CREATE PUBLICATION people FOR TABLE users",
    "default privileges that close": (
        "ALTER DEFAULT PRIVILEGES FOR ROLE copydesk_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC"
    ),
    "setting that changes no meaning": (
        "ALTER DATABASE {name} SET default_transaction_read_only = on"
    ),
    "index that is not unique": "CREATE INDEX by_path ON exports (file_path)",
    "unique index with the project in it": (
        "CREATE UNIQUE INDEX one_path ON exports (file_path, project_id) WHERE status = 'pending'"
    ),
    "sequence that nobody may use": "CREATE SEQUENCE numbers",
    "default privileges of a role that makes nothing": (
        "ALTER DEFAULT PRIVILEGES FOR ROLE copydesk_app GRANT SELECT ON TABLES TO PUBLIC"
    ),
    "large object of somebody else's": "SELECT lo_create(4711)",
}
