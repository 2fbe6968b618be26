-- What only a superuser may do, once for each server: the roles with their passwords and time limits,
-- the one that nobody logs in as, the database's owner, and the extension that counts statements.
-- Everything else is done by `copydesk db upgrade` as copydesk_owner, which reports what is missing.
--
-- Run by psql in the database of copydesk, again whenever a password changes:
--
--     psql --no-psqlrc -v ON_ERROR_STOP=1 -f roles.sql
--
-- with the passwords in the environment. They stand in no log, nor in pg_stat_statements.

\set owner_password ''
\set app_password ''
\set dispatch_password ''
\set maintenance_password ''
\set backup_password ''
\getenv owner_password COPYDESK_OWNER_PASSWORD
\getenv app_password COPYDESK_APP_PASSWORD
\getenv dispatch_password COPYDESK_DISPATCH_PASSWORD
\getenv maintenance_password COPYDESK_MAINTENANCE_PASSWORD
\getenv backup_password COPYDESK_BACKUP_PASSWORD

SET log_statement = none;
SET log_min_duration_statement = -1;
SET log_min_error_statement = panic;
SET pg_stat_statements.track_utility = off;
SET password_encryption = 'scram-sha-256';

-- They stand in URLs, so a character that means something there would break them in silence.
SELECT count(*) = 5 AS usable
FROM (
    SELECT DISTINCT password
    FROM unnest(ARRAY[
        :'owner_password', :'app_password', :'dispatch_password', :'maintenance_password',
        :'backup_password'
    ]) AS password
    WHERE password ~ '^[A-Za-z0-9._~-]{16,}$'
) AS usable_passwords \gset
\if :usable
\else
DO $$ BEGIN
    RAISE 'COPYDESK_OWNER_PASSWORD, COPYDESK_APP_PASSWORD, COPYDESK_DISPATCH_PASSWORD, COPYDESK_MAINTENANCE_PASSWORD and COPYDESK_BACKUP_PASSWORD must be five different passwords of 16 or more letters, digits and . _ ~ - each; openssl rand -hex 24 makes one';
END $$;
\endif

BEGIN;

SELECT format(
    'CREATE ROLE %I LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION', role
)
FROM unnest(ARRAY[
    'copydesk_owner', 'copydesk_app', 'copydesk_dispatch', 'copydesk_maintenance', 'copydesk_backup'
]) AS role
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role)
\gexec

-- It owns one function, which the owner has to be able to hand over to it.
SELECT 'CREATE ROLE copydesk_search NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION'
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'copydesk_search')
\gexec
GRANT copydesk_search TO copydesk_owner WITH INHERIT FALSE, SET TRUE, ADMIN FALSE;

ALTER ROLE copydesk_owner PASSWORD :'owner_password';
ALTER ROLE copydesk_app PASSWORD :'app_password';
ALTER ROLE copydesk_dispatch PASSWORD :'dispatch_password';
ALTER ROLE copydesk_maintenance PASSWORD :'maintenance_password';
ALTER ROLE copydesk_backup PASSWORD :'backup_password';

-- What the server knows of itself: sessions, statistics, settings.
GRANT pg_monitor TO copydesk_maintenance;

-- A process that hangs inside a transaction must not hold its locks for ever, and no plan may read
-- the tables of all projects from end to end.
ALTER ROLE copydesk_app SET statement_timeout = '30s';
ALTER ROLE copydesk_app SET lock_timeout = '10s';
ALTER ROLE copydesk_app SET idle_in_transaction_session_timeout = '30s';
ALTER ROLE copydesk_app SET enable_seqscan = off;
ALTER ROLE copydesk_dispatch SET statement_timeout = '30s';
ALTER ROLE copydesk_dispatch SET lock_timeout = '10s';
ALTER ROLE copydesk_dispatch SET idle_in_transaction_session_timeout = '30s';
ALTER ROLE copydesk_dispatch SET enable_seqscan = off;
ALTER ROLE copydesk_maintenance SET statement_timeout = '5min';
ALTER ROLE copydesk_maintenance SET lock_timeout = '5s';
ALTER ROLE copydesk_maintenance SET idle_in_transaction_session_timeout = '60s';

-- Policies would hide every row from a dump. It reads, and takes as long as it takes.
ALTER ROLE copydesk_backup BYPASSRLS;
ALTER ROLE copydesk_backup SET default_transaction_read_only = 'on';
ALTER ROLE copydesk_backup SET statement_timeout = '0';
ALTER ROLE copydesk_backup SET idle_in_transaction_session_timeout = '0';

ALTER DATABASE :"DBNAME" OWNER TO copydesk_owner;

CREATE EXTENSION IF NOT EXISTS pg_stat_statements;

COMMIT;
