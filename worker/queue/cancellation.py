"""A cancellation that was swallowed on its way up is found again.

In Python 3.11 `asyncio.wait_for` returns its result when a cancellation arrives as the work is just
done, and redis-py sends every command through it. A loop around Redis would then go on for ever,
and whoever cancelled it would wait as long. The request itself is still noted on the task.
"""

import asyncio


def check_cancelled() -> None:
    """Raise CancelledError where the current task has been asked to end; before every long wait."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
