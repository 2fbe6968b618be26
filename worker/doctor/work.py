"""Whether work goes on: leases that nobody sweeps, executions that nobody takes, dead letters.

Across projects, so what is seen is what the dispatch role sees: counts, times, ids and agents.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from worker.doctor.rules import Rule, broken
from worker.doctor.site import Site
from worker.doctor.words import counted, duration
from worker.findings import Examination, Finding
from worker.ledger.backlog import BOUND, Backlog, Waiting

# Presence, which holds nothing of a project. A worker that was killed leaves its row behind.
_WORKERS = """
    SELECT agent_types, concurrency, running FROM workers
    WHERE seen_at > clock_timestamp() - $1::interval
"""
# What a plain INSERT has put there may be anything.
_NAME = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
_MISSED = 3
_SWEEPS = 5
_SOONEST = 30


@dataclass(frozen=True, slots=True)
class LivingWorker:
    """A worker that was heard of lately."""

    agent_types: Sequence[str]
    concurrency: int
    running: int


async def read_workers(site: Site) -> list[LivingWorker]:
    """Return the workers that have said "I am here" within three heartbeats."""
    lately = timedelta(seconds=max(_MISSED * site.settings.heartbeat, _SOONEST))
    return [LivingWorker(**dict(row)) for row in await site.app.call(_WORKERS, lately)]


async def work(site: Site) -> Examination:
    """Look for executions that are stuck, and count those that failed."""
    workers = await read_workers(site)
    backlog = Backlog(site.dispatch)
    settings, limits = site.settings, site.limits
    # Every worker's sweep takes up what is abandoned; several have passed it by.
    swept = timedelta(seconds=max(settings.lease, _SWEEPS * settings.sweep))
    abandoned = await backlog.abandoned(swept)
    due = await backlog.due(timedelta(seconds=limits.unclaimed))
    failed = await backlog.failed()
    findings = []
    if abandoned is not None:
        findings.append(judge_abandoned(abandoned, workers))
    findings += judge_due(due, workers, late=limits.late)
    if failed:
        findings.append(
            broken(
                Rule.DEAD_LETTERS,
                "executions",
                f"{counted(failed, 'execution', bound=BOUND)} of all projects failed for good, "
                "those that were asked for again among them",
                "look at them with `copydesk failed --project ID`, and `copydesk retry` or prune",
            )
        )
    slots = sum(worker.concurrency for worker in workers)
    taken = sum(worker.running for worker in workers)
    facts = [counted(len(workers), "worker"), f"{taken} of {slots} slots taken"]
    agents = sorted({name for worker in workers for name in worker.agent_types})
    return Examination("work", findings, {"agents": agents}, facts)


def judge_abandoned(abandoned: Waiting, workers: Sequence[LivingWorker]) -> Finding:
    """Return the finding about leases that no sweep takes up."""
    remedy = (
        "look in the workers' log for `sweep` and `rescued`: PostgreSQL may refuse them"
        if workers
        else "start a worker: `copydesk worker`"
    )
    sentence = (
        f"{counted(abandoned.number, 'execution', bound=BOUND)} running under a lease that ran "
        f"out {duration(abandoned.seconds)} ago at most, and no sweep takes them up"
        f"{_ids(abandoned)}"
    )
    return broken(Rule.LEASE_ABANDONED, "executions", sentence, remedy)


def judge_due(
    due: Sequence[Waiting], workers: Sequence[LivingWorker], *, late: float
) -> Iterator[Finding]:
    """Yield what is due and not taken, by agent."""
    for waiting in due:
        agent = (
            f"agent {waiting.agent_type if _NAME.fullmatch(waiting.agent_type) else '(no name)'}"
        )
        able = [worker for worker in workers if waiting.agent_type in worker.agent_types]
        number = counted(waiting.number, "execution", bound=BOUND)
        since = f"due for up to {duration(waiting.seconds)}{_ids(waiting)}"
        if not able:
            whom = "no worker is here" if not workers else "no worker here has that agent"
            remedy = (
                "start a worker: `copydesk worker`"
                if not workers
                else "start a worker that has the agent: `copydesk agents` lists what one would "
                "run, COPYDESK_AGENTS adds to it; or cancel them"
            )
            sentence = f"{number} of the {agent} {since}: {whom}"
            yield broken(Rule.WORK_UNCLAIMED, agent, sentence, remedy)
        elif waiting.seconds > late:
            slots = sum(worker.concurrency for worker in able)
            sentence = (
                f"{number} of the {agent} {since}, though {counted(len(able), 'worker')} with "
                f"{counted(slots, 'slot')} could take them"
            )
            remedy = "start more workers, or raise COPYDESK_CONCURRENCY"
            yield broken(Rule.WORK_LATE, agent, sentence, remedy)


def _ids(waiting: Waiting) -> str:
    return f" ({', '.join(waiting.ids)}{', ...' if waiting.number > len(waiting.ids) else ''})"
