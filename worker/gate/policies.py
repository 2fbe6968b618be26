"""The policies of every table: one guard, one access, the exemptions that are listed, no other.

Permissive policies are joined by OR, so one too many opens a table; and a policy of any kind may
call a function that is shown rows before the guard hides them. So each policy has to be one that is
expected, in command, roles and both expressions, as PostgreSQL writes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from worker.findings import Finding
from worker.gate.expected import (
    ADMITTED,
    ADMITTED_ELSEWHERE,
    BOUND,
    BOUND_ELSEWHERE,
    EXEMPTIONS,
    scope_declared,
    scope_expressions,
)
from worker.gate.relations import Relation
from worker.gate.rules import Rule, broken
from worker.ledger import MovePool

PUBLIC = "PUBLIC"

_POLICIES = """
    SELECT p.polrelid AS relation, quote_ident(p.polname) AS name, p.polpermissive AS permissive,
           CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
               WHEN 'd' THEN 'DELETE' ELSE 'ALL' END AS command,
           ARRAY(SELECT coalesce(r.rolname::text, 'PUBLIC')
                 FROM unnest(p.polroles) AS held (oid) LEFT JOIN pg_roles r ON r.oid = held.oid
           ) AS roles,
           pg_get_expr(p.polqual, p.polrelid) AS using,
           pg_get_expr(p.polwithcheck, p.polrelid) AS check
    FROM pg_policy p WHERE p.polrelid = ANY ($1::oid[])
    ORDER BY p.polrelid, p.polname
"""


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy as a table has it."""

    name: str
    permissive: bool
    command: str
    roles: frozenset[str]
    using: str | None
    check: str | None


@dataclass(frozen=True, slots=True)
class Clause:
    """An expression of a policy: as one writes it, and as PostgreSQL may then show it."""

    written: str
    shown: Sequence[str]


@dataclass(frozen=True, slots=True)
class Expected:
    """A policy as a table must have it.

    Attributes:
        roles: whom it is for; of a restrictive policy, whom it must bind at least.
        spared: of a restrictive policy, whom it must not bind.
    """

    name: str
    permissive: bool
    command: str
    roles: frozenset[str]
    using: Clause
    check: Clause | None
    spared: frozenset[str] = frozenset()

    def differences(self, found: Policy) -> list[str]:
        """Return in what a policy is not the expected one."""
        said = []
        if found.permissive is not self.permissive:
            said.append("is permissive" if found.permissive else "is restrictive")
        if found.command != self.command:
            said.append(f"is for {found.command}, not {self.command}")
        if not self._fits(found.roles):
            said.append(f"is for {_listed(found.roles)}, not {_listed(self.roles)}")
        for word, shown, clause in (
            ("USING", found.using, self.using),
            ("WITH CHECK", found.check, self.check),
        ):
            if shown not in (clause.shown if clause else (None,)):
                said.append(f"has {word} {shown}" if shown else f"has no {word}")
        return said

    def _fits(self, roles: frozenset[str]) -> bool:
        if self.permissive:
            return roles == self.roles
        if PUBLIC in roles:
            return not self.spared
        return self.roles <= roles and roles.isdisjoint(self.spared)

    @property
    def definition(self) -> str:
        """What stands in CREATE POLICY behind the command, and in ALTER POLICY behind the table."""
        check = f" WITH CHECK ({self.check.written})" if self.check else ""
        return f"TO {_listed(self.roles)} USING ({self.using.written}){check}"

    def created(self, table: str) -> str:
        """Return the statement that makes it."""
        kind = "PERMISSIVE" if self.permissive else "RESTRICTIVE"
        return (
            f"CREATE POLICY {self.name} ON {table} AS {kind} FOR {self.command} {self.definition}"
        )


async def wrong_policies(pool: MovePool, relations: Sequence[Relation]) -> list[Finding]:
    """Return a finding for each policy that is missing, wrong, or one too many."""
    tables = [
        relation
        for relation in relations
        if relation.can_be_judged or (relation.is_table and not relation.is_project_owned)
    ]
    rows = await pool.call(_POLICIES, [relation.oid for relation in tables])
    found: Mapping[int, list[Policy]] = {
        oid: [
            Policy(
                row["name"],
                row["permissive"],
                row["command"],
                frozenset(row["roles"]),
                row["using"],
                row["check"],
            )
            for row in group
        ]
        for oid, group in groupby(rows, key=lambda row: int(row["relation"]))
    }
    return [
        finding
        for table in tables
        for finding in _compared(table, expected_policies(table), found.get(table.oid, []))
    ]


def expected_policies(table: Relation) -> list[Expected]:
    """Return the policies a table must have: none, where it belongs to no project."""
    if not table.is_project_owned:
        return []
    column = table.project_column
    scope = Clause(scope_declared(column), scope_expressions(column))
    exempt = [each for each in EXEMPTIONS if each.table == table.declared]
    return [
        Expected(
            name="project_guard",
            permissive=False,
            command="ALL",
            roles=BOUND if table.declared else BOUND_ELSEWHERE,
            using=scope,
            check=scope,
            spared=frozenset(each.role for each in exempt),
        ),
        Expected(
            name="project_access",
            permissive=True,
            command="ALL",
            roles=ADMITTED if table.declared else ADMITTED_ELSEWHERE,
            using=scope,
            check=scope,
        ),
        *(
            Expected(
                name=each.name,
                permissive=True,
                command=each.command,
                roles=frozenset({each.role}),
                using=Clause(each.using, (each.using,)),
                check=None if each.check is None else Clause(each.check, (each.check,)),
            )
            for each in exempt
        ),
    ]


def _compared(
    table: Relation, expected: list[Expected], found: Sequence[Policy]
) -> Iterator[Finding]:
    name = table.name
    left = list(found)
    unmet = []
    for each in expected:
        fitting = [policy for policy in left if not each.differences(policy)]
        # Of two that are right, the one with the expected name is meant.
        fitting.sort(key=lambda policy: policy.name != each.name)
        if fitting:
            left.remove(fitting[0])
        else:
            unmet.append(each)
    for each in unmet:
        near = next((policy for policy in left if _meant(each, policy)), None)
        if near:
            left.remove(near)
            yield broken(
                Rule.POLICY_WRONG,
                name,
                f"{name}: policy {near.name} {' and '.join(each.differences(near))}",
                _mended(name, each, near),
            )
            continue
        what = (
            f"policy that lets {_listed(each.roles)} in, for {each.command}"
            if each.permissive
            else "restrictive policy on app.project_id"
        )
        yield broken(Rule.POLICY_MISSING, name, f"{name}: has no {what}", each.created(name))
    for policy in left:
        kind = "permissive" if policy.permissive else "restrictive"
        yield broken(
            Rule.POLICY_EXCESS,
            name,
            f"{name}: the {kind} policy {policy.name} for {_listed(policy.roles)} is one too many",
            f"DROP POLICY {policy.name} ON {name}",
        )


def _meant(expected: Expected, policy: Policy) -> bool:
    """Whether a policy that is wrong stands where the expected one should."""
    if policy.name == expected.name:
        return True
    same_kind = policy.permissive is expected.permissive and policy.command == expected.command
    return same_kind and not policy.roles.isdisjoint(expected.roles)


def _mended(table: str, expected: Expected, policy: Policy) -> str:
    if policy.permissive is expected.permissive and policy.command == expected.command:
        return f"ALTER POLICY {policy.name} ON {table} {expected.definition}"
    return f"DROP POLICY {policy.name} ON {table}; {expected.created(table)}"


def _listed(roles: frozenset[str]) -> str:
    return ", ".join(sorted(roles))
