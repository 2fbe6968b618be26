"""Triggers of the tables, as SQL; what they call is in `models.functions`."""

TRIGGERS = (
    """
    CREATE TRIGGER refuse_language_change BEFORE UPDATE ON projects
    FOR EACH ROW WHEN (OLD.language IS DISTINCT FROM NEW.language)
    EXECUTE FUNCTION refuse_language_change()
    """,
    """
    CREATE TRIGGER touch_project BEFORE UPDATE ON projects
    FOR EACH ROW EXECUTE FUNCTION touch_project()
    """,
    """
    CREATE TRIGGER refuse_illegal_move BEFORE UPDATE ON agent_executions
    FOR EACH ROW WHEN (
        NEW.attempt < OLD.attempt
        OR (OLD.status IN ('completed', 'failed', 'cancelled')
            AND NEW.status IS DISTINCT FROM OLD.status)
    )
    EXECUTE FUNCTION refuse_illegal_move()
    """,
)
