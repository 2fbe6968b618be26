"""The isolation gate: whether a live database keeps projects apart.

It reads the catalog as the running roles see it, probes what can be probed, and changes nothing; no
row is read and no table scanned. What is not expected is a finding (`expected.py` says what is), so
that what nobody thought of goes red rather than unseen.
"""

from collections.abc import Mapping

from worker.findings import Examination, Finding
from worker.gate.elsewhere import privileges_elsewhere
from worker.gate.expected import ABSENT
from worker.gate.functions import wrong_functions
from worker.gate.keys import wrong_keys
from worker.gate.policies import wrong_policies
from worker.gate.privileges import wrong_privileges
from worker.gate.probe import readable_past_policies
from worker.gate.relations import Relation, missing, read_relations, unprotected
from worker.gate.roles import (
    Connected,
    read_absent,
    read_connected,
    wrong_members,
    wrong_others,
    wrong_role,
    wrong_servers,
)
from worker.gate.routes import ways_round
from worker.gate.rules import Rule
from worker.gate.settings import wrong_settings
from worker.ledger import MovePool

__all__ = ["Rule", "examine_isolation"]


async def examine_isolation(pools: Mapping[str, MovePool]) -> Examination:
    """Return everything that keeps a database from isolating projects.

    Args:
        pools: connections of each running role, by the role that is expected there. Roles as which
            no worker connects (`expected.ABSENT`) are judged by the catalog alone.

    Raises:
        DatabaseUnavailableError: PostgreSQL does not answer.
    """
    roles = [await read_connected(pool, expected) for expected, pool in pools.items()]
    findings = wrong_servers(roles)
    if findings:
        return _examination(roles, [], findings)
    pool = pools[roles[0].expected]
    absent = [role for name in ABSENT for role in await read_absent(pool, name)]
    everyone = [*roles, *absent]
    for role in everyone:
        findings += wrong_role(role)
    findings += await wrong_others(pool, everyone)
    findings += await wrong_members(pool)
    findings += await wrong_settings(pool, roles, absent)
    judged = [role for role in everyone if role.can_be_judged]
    relations = await read_relations(pool, [role.oid for role in judged])
    gone = missing(relations)
    findings += gone
    if not any(relation.declared for relation in relations):
        return _examination(everyone, [], findings)
    findings += unprotected(relations)
    findings += await wrong_policies(pool, relations)
    findings += await wrong_keys(pool, relations)
    findings += await wrong_privileges(pool, judged, relations)
    findings += await privileges_elsewhere(pool, judged, relations)
    findings += await wrong_functions(pool, judged)
    findings += await ways_round(pool, relations)
    owned = [relation for relation in relations if relation.is_project_owned]
    for role in judged:
        if role in absent:
            continue  # only who connects can try
        findings += await readable_past_policies(pools[role.expected], role, owned)
    return _examination(everyone, relations, findings)


def _examination(
    roles: list[Connected], relations: list[Relation], findings: list[Finding]
) -> Examination:
    tables = [relation for relation in relations if relation.is_table]
    owned = [table for table in tables if table.is_project_owned]
    return Examination(
        "isolation",
        findings,
        {
            "roles": [role.name for role in roles],
            "project_owned_tables": [table.name for table in owned],
            "other_tables": [table.name for table in tables if table not in owned],
            "rules": [rule.value for rule in Rule],
        },
    )
