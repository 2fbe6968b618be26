"""Ways round a policy: views, functions, triggers, rules, publications."""
# ruff: noqa: S608 - these statements are constants

from tests.isolation.gate.breakage import breaks
from worker.gate import Rule

_TRIGGER = (
    "CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;"
)
_LEAK = "CREATE FUNCTION everything() RETURNS SETOF exports LANGUAGE sql"

ROUTES = {
    "view": breaks(
        "CREATE VIEW everything AS SELECT * FROM exports",
        "everything: is a view that reads as its owner, postgres, not as whoever asks",
        Rule.VIEW_AS_OWNER,
    ),
    "view on nothing of ours": breaks(
        "CREATE VIEW one AS SELECT 1 AS one", "one: is a view", Rule.VIEW_AS_OWNER
    ),
    "view that is only a security barrier": breaks(
        "CREATE VIEW everything WITH (security_barrier) AS SELECT * FROM exports",
        "everything: is a view",
        Rule.VIEW_AS_OWNER,
    ),
    "view with security_invoker off": breaks(
        "CREATE VIEW everything WITH (security_invoker = off) AS SELECT * FROM exports",
        "everything: is a view",
        Rule.VIEW_AS_OWNER,
    ),
    "view in another schema, open to the app role": breaks(
        "CREATE SCHEMA attic; CREATE VIEW attic.everything AS SELECT * FROM public.exports;"
        "GRANT SELECT ON attic.everything TO copydesk_app",
        "attic.everything: is a view",
        Rule.VIEW_AS_OWNER,
    ),
    "materialized view": breaks(
        "CREATE MATERIALIZED VIEW everything AS SELECT * FROM exports",
        "everything: is a materialized view, a copy of rows that no policy protects",
        Rule.VIEW_MATERIALIZED,
    ),
    "materialized view in another schema, open to everybody": breaks(
        "CREATE SCHEMA attic; CREATE MATERIALIZED VIEW attic.totals AS SELECT 1 FROM exports;"
        "GRANT SELECT ON attic.totals TO PUBLIC",
        "attic.totals: is a materialized view",
        Rule.VIEW_MATERIALIZED,
    ),
    "definer function without a search path": breaks(
        f"{_LEAK} SECURITY DEFINER RETURN (SELECT e FROM exports e)",
        "function everything(): is SECURITY DEFINER without a fixed search_path;"
        " copydesk_app, copydesk_dispatch, copydesk_maintenance, copydesk_search, copydesk_backup"
        " may call it",
        Rule.FUNCTION_AS_OWNER,
    ),
    "definer function of the owner without a search path": breaks(
        f"{_LEAK} SECURITY DEFINER RETURN (SELECT e FROM exports e);"
        "ALTER FUNCTION everything() OWNER TO copydesk_owner",
        "function everything(): is SECURITY DEFINER without a fixed search_path",
        Rule.FUNCTION_AS_OWNER,
    ),
    "definer function of a superuser": breaks(
        f"{_LEAK} SECURITY DEFINER SET search_path = public RETURN (SELECT e FROM exports e)",
        "function everything(): runs as postgres, whom no policy binds",
        Rule.FUNCTION_AS_OWNER,
    ),
    "definer function of the role that searches": breaks(
        f"{_LEAK} SECURITY DEFINER SET search_path = public RETURN (SELECT e FROM exports e);"
        "ALTER FUNCTION everything() OWNER TO copydesk_search",
        "function everything(): runs as copydesk_search, who sees rows of every project",
        Rule.FUNCTION_AS_OWNER,
        Rule.ROLE_OWNS,
    ),
    "definer function of a member of the dispatch role, for the maintenance role": breaks(
        "CREATE ROLE gate_member IN ROLE copydesk_dispatch;"
        f"{_LEAK} SECURITY DEFINER SET search_path = public RETURN (SELECT e FROM exports e);"
        "ALTER FUNCTION everything() OWNER TO gate_member;"
        "REVOKE EXECUTE ON FUNCTION everything() FROM PUBLIC;"
        "GRANT EXECUTE ON FUNCTION everything() TO copydesk_maintenance",
        "function everything(): runs as gate_member, who sees rows of every project, and is not"
        " listed; copydesk_maintenance may call it",
        Rule.FUNCTION_AS_OWNER,
        undo="DROP OWNED BY gate_member CASCADE; DROP ROLE gate_member",
    ),
    "definer procedure": breaks(
        "CREATE PROCEDURE cleanse() LANGUAGE sql SECURITY DEFINER AS 'DELETE FROM exports'",
        "function cleanse(): is SECURITY DEFINER",
        Rule.FUNCTION_AS_OWNER,
    ),
    "definer function in another schema": breaks(
        "CREATE SCHEMA attic; GRANT USAGE ON SCHEMA attic TO copydesk_dispatch;"
        "CREATE FUNCTION attic.count_all(note text) RETURNS bigint LANGUAGE sql SECURITY DEFINER"
        " RETURN (SELECT count(*) FROM public.exports)",
        "function attic.count_all(note text): is SECURITY DEFINER without a fixed search_path;"
        " copydesk_dispatch may call it",
        Rule.FUNCTION_AS_OWNER,
    ),
    "move made a definer": breaks(
        "ALTER FUNCTION enter_project(uuid) SECURITY DEFINER;"
        "ALTER FUNCTION enter_project(uuid) RESET search_path",
        "function enter_project(p_project_id uuid): is SECURITY DEFINER",
        Rule.FUNCTION_AS_OWNER,
    ),
    "move of a superuser made a definer": breaks(
        "ALTER FUNCTION find_expired(integer) OWNER TO postgres;"
        "ALTER FUNCTION find_expired(integer) SECURITY DEFINER",
        "function find_expired(p_limit integer): runs as postgres",
        Rule.FUNCTION_AS_OWNER,
    ),
    "function in an untrusted language": breaks(
        "CREATE LANGUAGE anything HANDLER plpgsql_call_handler;"
        "CREATE FUNCTION whatever(text) RETURNS text LANGUAGE anything AS 'BEGIN RETURN 1; END'",
        "function whatever(text): is in an untrusted language; copydesk_app, copydesk_dispatch,",
        Rule.FUNCTION_UNTRUSTED,
    ),
    "move that binds a project of its own": breaks(
        "ALTER FUNCTION find_due SET app.project_id = '0198c0de-0000-7000-8000-0000000000aa'",
        "sets app.project_id for itself",
        Rule.SCOPE_DEFAULT,
    ),
    "leakproof function": breaks(
        "CREATE FUNCTION tell(note text) RETURNS boolean LANGUAGE plpgsql LEAKPROOF COST 0.001"
        " AS $$ BEGIN RAISE NOTICE '%', note; RETURN true; END $$",
        "function tell(note text): is marked LEAKPROOF",
        Rule.FUNCTION_LEAKPROOF,
    ),
    "operator of an index made leakproof": breaks(
        "ALTER FUNCTION jsonb_contains(jsonb, jsonb) LEAKPROOF",
        "function pg_catalog.jsonb_contains(jsonb, jsonb): is marked LEAKPROOF",
        Rule.FUNCTION_LEAKPROOF,
    ),
    "trigger that is shown every row": breaks(
        f"{_TRIGGER} CREATE TRIGGER watch AFTER INSERT ON document_versions"
        " FOR EACH ROW EXECUTE FUNCTION watch()",
        "document_versions: the trigger watch is not declared",
        Rule.TRIGGER_UNLISTED,
    ),
    "trigger on a table that belongs to no project": breaks(
        f"{_TRIGGER} CREATE TRIGGER watch BEFORE INSERT ON users"
        " FOR EACH ROW EXECUTE FUNCTION watch()",
        "users: the trigger watch is not declared",
        Rule.TRIGGER_UNLISTED,
    ),
    "definer trigger on a view": breaks(
        f"{_TRIGGER} ALTER FUNCTION watch() SECURITY DEFINER;"
        "REVOKE EXECUTE ON FUNCTION watch() FROM PUBLIC;"
        "CREATE VIEW mine WITH (security_invoker) AS SELECT * FROM exports;"
        "CREATE TRIGGER watch INSTEAD OF INSERT ON mine FOR EACH ROW EXECUTE FUNCTION watch()",
        "mine: the trigger watch calls a SECURITY DEFINER function",
        Rule.TRIGGER_UNLISTED,
    ),
    "declared trigger made a definer": breaks(
        "ALTER FUNCTION touch_project() SECURITY DEFINER",
        "projects: the trigger touch_project calls a SECURITY DEFINER function",
        Rule.TRIGGER_UNLISTED,
    ),
    "rule that copies what is written": breaks(
        "CREATE RULE copy AS ON INSERT TO exports DO ALSO SELECT NEW.file_path",
        "exports: the rule copy acts as the table's owner on what others write",
        Rule.RULE_UNLISTED,
    ),
    "rule on a table that belongs to no project": breaks(
        "CREATE RULE hide AS ON DELETE TO workers DO INSTEAD NOTHING",
        "workers: the rule hide",
        Rule.RULE_UNLISTED,
    ),
    "publication of a table": breaks(
        "CREATE PUBLICATION copy FOR TABLE exports",
        "exports: the publication copy sends rows of every project to its subscribers",
        Rule.PUBLICATION,
    ),
    "publication of everything": breaks(
        "CREATE PUBLICATION copy FOR ALL TABLES",
        "document_versions: the publication copy",
        Rule.PUBLICATION,
    ),
    "publication of a schema": breaks(
        "CREATE PUBLICATION copy FOR TABLES IN SCHEMA public",
        "agent_executions: the publication copy",
        Rule.PUBLICATION,
    ),
    "trigger on logins": breaks(
        "CREATE FUNCTION greet() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';"
        "CREATE EVENT TRIGGER greet ON login EXECUTE FUNCTION greet()",
        "event trigger greet: runs in every new session",
        Rule.LOGIN_TRIGGER,
    ),
    "trigger on logins that binds a project": breaks(
        "CREATE FUNCTION bind() RETURNS event_trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM set_config('app.project_id', uuidv7()::text, false); END $$;"
        "CREATE EVENT TRIGGER bind ON login EXECUTE FUNCTION bind()",
        "app.project_id has a default on new connections of copydesk_app",
        Rule.SCOPE_DEFAULT,
        Rule.LOGIN_TRIGGER,
    ),
}
