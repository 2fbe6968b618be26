"""Whether messages are taken from the queue, and how many were set aside."""

from __future__ import annotations

from worker.doctor.rules import Rule, broken
from worker.doctor.site import Site
from worker.doctor.words import counted, duration
from worker.findings import Examination

_MISSED = 2


async def queue(site: Site) -> Examination:
    """Look at the queue's length, at its oldest message, and at the quarantine."""
    sight, name = site.sight, site.settings.queue_name
    length = await sight.ask("ZCARD", name)
    waited = await _waited(site) if length else 0.0
    set_aside = await sight.ask("LLEN", f"{name}:quarantine")
    findings = []
    # A claim puts a message off by the lease: what stands here for longer was taken by nobody.
    if waited > max(site.limits.unclaimed, _MISSED * site.settings.lease):
        findings.append(
            broken(
                Rule.HINTS_WAIT,
                "queue",
                f"nobody has taken the oldest of {counted(length, 'message')} in the queue for "
                f"{duration(waited)}",
                "start a worker of this queue (COPYDESK_QUEUE_NAME); those that run find work by "
                "sweeps only",
            )
        )
    if set_aside:
        findings.append(
            broken(
                Rule.QUARANTINED,
                "queue",
                f"{counted(set_aside, 'message')} could not be read and were set aside",
                "look at them with `copydesk quarantine`, and mend the producer",
            )
        )
    facts = [f"{counted(length, 'message')}, {set_aside} in quarantine"]
    return Examination("queue", findings, {"queues": [name]}, facts)


async def _waited(site: Site) -> float:
    """Return for how long the first message has been due, by Redis's clock."""
    first = await site.sight.ask("ZRANGE", site.settings.queue_name, 0, 0, "WITHSCORES")
    seconds, microseconds = await site.sight.ask("TIME")
    now = int(seconds) + int(microseconds) / 1_000_000
    if not first:
        return 0.0
    return max(now - float(first[1]) / 1000, 0.0)
