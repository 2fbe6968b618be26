"""What operators do to whole projects: delete, prune, export, import; and keep indexes in shape.

Each part takes what it needs in its constructor; `worker.maintenance.opening` makes them of
settings. Rows are touched as `copydesk_maintenance`, in transactions that are short and bound to
one project each, so that workers go on beside them.
"""
