"""The rules of the gate by their codes, which are an interface: docs/reference/findings.md.

Every rule is an error but those in `_WARNINGS`: they open no project's rows to the running roles by
themselves, and stopping every worker for them would do more harm.
"""

from enum import StrEnum

from worker.findings import Finding, Severity


class Rule(StrEnum):
    """Which rule a finding is about."""

    SERVER_VERSION = "server_version"
    DATABASES_DIFFER = "databases_differ"

    ROLE_WRONG = "role_wrong"
    ROLE_ATTRIBUTE = "role_attribute"
    ROLE_MEMBER = "role_member"
    ROLE_OWNS = "role_owns"
    ROLE_CREATES = "role_creates"
    SCOPE_DEFAULT = "scope_default"
    SETTING_UNSAFE = "setting_unsafe"

    TABLE_MISSING = "table_missing"
    TABLE_UNLISTED = "table_unlisted"
    TABLE_FOREIGN = "table_foreign"
    TABLE_OWNER = "table_owner"
    TABLE_PARENT = "table_parent"
    RLS_DISABLED = "rls_disabled"
    RLS_NOT_FORCED = "rls_not_forced"
    PROJECT_COLUMN = "project_column"
    PROJECT_COLUMN_DEFAULT = "project_column_default"
    PROJECT_KEY = "project_key"

    POLICY_MISSING = "policy_missing"
    POLICY_WRONG = "policy_wrong"
    POLICY_EXCESS = "policy_excess"

    UNIQUE_WITHOUT_PROJECT = "unique_without_project"
    FOREIGN_KEY_WITHOUT_PROJECT = "foreign_key_without_project"
    KEY_MISSING = "key_missing"
    KEY_NOT_ENFORCED = "key_not_enforced"

    PRIVILEGE_EXCESS = "privilege_excess"
    PRIVILEGE_MISSING = "privilege_missing"
    PRIVILEGE_GRANTABLE = "privilege_grantable"
    PRIVILEGE_PUBLIC = "privilege_public"
    PRIVILEGE_DEFAULT = "privilege_default"
    PRIVILEGE_ELSEWHERE = "privilege_elsewhere"

    VIEW_AS_OWNER = "view_as_owner"
    VIEW_MATERIALIZED = "view_materialized"
    FUNCTION_AS_OWNER = "function_as_owner"
    FUNCTION_LEAKPROOF = "function_leakproof"
    FUNCTION_UNTRUSTED = "function_untrusted"
    TRIGGER_UNLISTED = "trigger_unlisted"
    RULE_UNLISTED = "rule_unlisted"
    PUBLICATION = "publication"
    LOGIN_TRIGGER = "login_trigger"
    LARGE_OBJECT = "large_object"

    READ_PAST_RLS = "read_past_rls"


_WARNINGS = frozenset({Rule.PUBLICATION, Rule.LOGIN_TRIGGER, Rule.LARGE_OBJECT})


def broken(rule: Rule, subject: str, sentence: str, remedy: str) -> Finding:
    """Return the finding that a rule is broken."""
    severity = Severity.WARNING if rule in _WARNINGS else Severity.ERROR
    return Finding(rule.value, severity, subject, sentence, remedy)
