"""How the busy tables are stored and vacuumed. The figures are in docs/operations/maintenance.md.

PostgreSQL's own limits grow with a table: it would vacuum one of ten million rows after two million
changes. These grow ten times more slowly, so that each vacuum is short and there is little to do.
In the order of their names, as migrations set them.
"""

UPDATED = {
    "autovacuum_analyze_scale_factor": "0.02",
    "autovacuum_vacuum_insert_scale_factor": "0.02",
    # Every execution leaves at least two dead rows behind.
    "autovacuum_vacuum_scale_factor": "0.02",
    # Room on each page for what an execution becomes: a lease renewal stays on its page (HOT), and
    # touches no index.
    "fillfactor": "60",
}

ONLY_ADDED = {
    "autovacuum_analyze_scale_factor": "0.02",
    # Pages that stay as they are get known as such, and frozen, in small portions.
    "autovacuum_vacuum_insert_scale_factor": "0.02",
    # A prune deletes many rows at once, and seldom a fifth of the table.
    "autovacuum_vacuum_scale_factor": "0.05",
}
