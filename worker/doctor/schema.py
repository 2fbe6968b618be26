"""Whether the schema is of the revision this copydesk works with."""

from __future__ import annotations

import migrations
from worker.doctor.rules import Rule, broken
from worker.doctor.site import Site
from worker.findings import Examination

_HERE = "SELECT to_regclass('alembic_version') IS NOT NULL AS here"
_REVISION = "SELECT version_num FROM alembic_version"


async def schema(site: Site) -> Examination:
    """Compare the revision of the database with that of the code."""
    expected = migrations.latest()
    [row] = await site.app.call(_HERE)
    rows = await site.app.call(_REVISION) if row["here"] else []
    found = rows[0]["version_num"] if rows else None
    findings = []
    if said := migrations.disagreement(found, expected):
        rule = Rule.SCHEMA_DIFFERS if found else Rule.SCHEMA_MISSING
        sentence, _, remedy = said.partition(": ")
        findings.append(broken(rule, "schema", sentence, remedy))
    return Examination("schema", findings, {}, [f"revision {found or 'none'}"])
