"""What isolation does not do: each sentence of the page of that name, shown to be true.

These attacks succeed. They are here so that nobody is surprised, and so that whoever closes one of
them finds the sentence to take away.
"""

import asyncio
import json
import sys
from uuid import uuid4

import asyncpg
import pytest
from arq.connections import create_pool

from models.roles import OWNER
from models.states import State
from tests.isolation.attack import Ground, intruder
from tests.isolation.conftest import Workplace, target
from tests.support.waiting import until
from tests.support.workers import running_worker
from worker.queue.connection import to_arq_settings
from worker.settings import secret


async def test_whoever_has_the_password_may_name_any_project(ground: Ground) -> None:
    """The binding is no login: with an id, the app role is in that project."""
    theirs = ground.theirs
    connection = await asyncpg.connect(ground.database.app)
    async with connection.transaction():
        await connection.fetch("SELECT enter_project($1)", theirs.project)
        rows = await connection.fetch("SELECT name FROM projects")
    await connection.close()
    assert [row["name"] for row in rows] == [theirs.canary]


async def test_how_much_there_is_in_all_projects_can_be_counted(ground: Ground) -> None:
    """By rows a filter removed, by the catalog's figures, and by the numbers of one's events."""
    async with ground.database.oracle() as oracle:
        await oracle.execute("ANALYZE")
        rows = await oracle.fetchval("SELECT count(*) FROM agent_executions")
    number = (
        "INSERT INTO execution_events (project_id, execution_id, event, attempt) "
        "VALUES ($1, $2, 'progress', 1) RETURNING id"
    )
    async with intruder(ground) as attempt:
        for setting in ("enable_indexscan", "enable_bitmapscan"):
            await attempt.rows("SELECT set_config($1, 'off', true)", setting)
        plan = await attempt.rows("EXPLAIN ANALYZE SELECT * FROM agent_executions")
        assert "Rows Removed by Filter" in str(plan)
        size = "SELECT reltuples::int FROM pg_class WHERE oid = 'agent_executions'::regclass"
        assert await attempt.value(size) == rows
        first = await attempt.value(number, ground.mine.project, ground.mine.running)
        async with intruder(ground.turned()) as elsewhere:
            side = ground.theirs
            for _ in range(3):
                await elsewhere.value(number, side.project, side.running)
        assert await attempt.value(number, ground.mine.project, ground.mine.running) == first + 4


async def test_a_search_takes_longer_where_others_have_a_value_often(ground: Ground) -> None:
    """Its pages and its time tell how often a value is elsewhere, once the index is read for it."""
    often = {"often": True}
    async with ground.database.oracle() as oracle:
        await oracle.execute(
            "INSERT INTO agent_executions (project_id, agent_type, correlation_id, requested_by, "
            "status, completed_at, output_data) SELECT p.id, 'filler', uuidv7(), $3, 'completed', "
            "now(), p.output::jsonb FROM (VALUES ($1::uuid, '{\"seldom\": 1}', 1500), "
            "($2, $4, 30000)) AS p (id, output, number), generate_series(1, p.number)",
            ground.mine.project,
            ground.theirs.project,
            ground.user,
            json.dumps(often),
        )
        await oracle.execute("VACUUM ANALYZE agent_executions")
    explain = (
        "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "
        "SELECT * FROM find_containing($1, 'agent_executions', $2::text::jsonb, 10)"
    )
    async with intruder(ground) as attempt:
        pages = []
        for value in (often, {"never": True}) * 2:
            plan = await attempt.value(explain, ground.mine.project, json.dumps(value))
            pages.append(json.loads(plan)[0]["Plan"]["Shared Hit Blocks"])
    await ground.database.ask("DELETE FROM agent_executions WHERE agent_type = 'filler'")
    assert pages[2] > pages[3]


async def test_a_value_written_into_a_statement_shows_to_the_same_role(ground: Ground) -> None:
    """In pg_stat_activity; copydesk sends values apart from statements, a service may not."""
    service = await asyncpg.connect(ground.database.app)
    word = f"word-{uuid4().hex}"
    await service.execute(f"SELECT '{word}'")
    async with intruder(ground) as attempt:
        rows = await attempt.rows("SELECT query FROM pg_stat_activity")
    await service.close()
    assert word in str(rows)


async def test_an_execution_whose_id_is_known_already_can_be_told_to_exist(
    ground: Ground,
) -> None:
    """The primary key is one for all projects: a row of one's own with that id is a duplicate."""
    plant = (
        "INSERT INTO agent_executions (id, project_id, agent_type, correlation_id, requested_by) "
        "VALUES ($1, $2, 'dormant', uuidv7(), $3) ON CONFLICT (id) DO NOTHING RETURNING 1"
    )
    async with intruder(ground) as attempt:
        rest = (ground.mine.project, ground.user)
        assert await attempt.rows(plant, ground.theirs.pending, *rest) == []
        assert len(await attempt.rows(plant, uuid4(), *rest)) == 1


async def test_others_can_be_held_up(ground: Ground) -> None:
    """By a lock on a document's name, by ending another's statement."""
    other = await asyncpg.connect(ground.database.app)
    async with intruder(ground) as attempt:
        await attempt.rows("SELECT pg_advisory_xact_lock(7)")
        assert not await other.fetchval("SELECT pg_try_advisory_xact_lock(7)")
        sleeping = asyncio.create_task(other.fetch("SELECT pg_sleep(60)"))
        process = other.get_server_pid()

        async def asleep() -> bool:
            waits = "SELECT wait_event FROM pg_stat_activity WHERE pid = $1"
            return bool(await attempt.value(waits, process) == "PgSleep")

        await until(asleep, what="the other sleeps")
        assert await attempt.value("SELECT pg_cancel_backend($1)", process)
        with pytest.raises(asyncpg.QueryCanceledError):
            await sleeping
    await other.close()


async def test_what_code_leaves_on_a_session_by_itself_waits_for_the_next(ground: Ground) -> None:
    """A cursor WITH HOLD keeps its rows after the transaction, whoever comes on the connection."""
    connection = await asyncpg.connect(ground.database.app)
    async with connection.transaction():
        await connection.fetch("SELECT enter_project($1)", ground.theirs.project)
        await connection.execute("DECLARE kept CURSOR WITH HOLD FOR SELECT name FROM projects")
    async with connection.transaction():
        await connection.fetch("SELECT enter_project($1)", ground.mine.project)
        rows = await connection.fetch("FETCH ALL FROM kept")
    await connection.close()
    assert [row["name"] for row in rows] == [ground.theirs.canary]


async def test_large_objects_belong_to_no_project(ground: Ground) -> None:
    """The running roles can make them; copydesk makes none."""
    async with intruder(ground) as attempt:
        made = await attempt.value("SELECT lo_from_bytea(0, 'harmless')")
        await attempt.rows("SELECT set_config('app.project_id', '', true)")
        assert await attempt.value("SELECT lo_get($1)", made) == b"harmless"
    assert await ground.database.ask("SELECT FROM pg_largeobject_metadata") == []


async def test_users_and_workers_belong_to_no_project(ground: Ground) -> None:
    """Without a binding: read, added to, and of workers changed."""
    async with intruder(ground, bound=False) as attempt:
        assert len(await attempt.rows("SELECT email FROM users WHERE id = $1", ground.user)) == 1
        await attempt.rows("UPDATE workers SET running = 0")
        await attempt.rows("DELETE FROM workers")


async def test_the_owner_can_take_off_what_it_put_on(ground: Ground) -> None:
    """It declares the policies; so no running process connects as it."""
    async with intruder(ground, OWNER) as attempt:
        await attempt.rows("ALTER TABLE projects NO FORCE ROW LEVEL SECURITY")
        rows = await attempt.rows("SELECT name FROM projects")
        attempt.heard.clear()
    assert ground.theirs.canary in {row["name"] for row in rows}


async def test_whoever_writes_to_redis_may_ask_for_work_in_any_project(
    workplace: Workplace, ground: Ground
) -> None:
    """Whose id they know; it is recorded and run there like any producer's."""
    arq = await create_pool(to_arq_settings(secret(workplace.settings.redis_url)))
    async with running_worker(workplace.settings):
        job = await arq.enqueue_job(
            "run_agent",
            project_id=str(ground.theirs.project),
            agent_type="echo",
            requested_by=str(ground.user),
        )
        assert job is not None
        result = await job.result(timeout=15, poll_delay=0.01)
    await arq.aclose()
    [row] = await ground.database.ask(
        "SELECT project_id, status FROM agent_executions WHERE id = $1::text::uuid",
        result["execution_id"],
    )
    assert (row["project_id"], row["status"]) == (ground.theirs.project, State.COMPLETED)


async def test_ids_of_arqs_messages_and_their_results_are_one_namespace(
    workplace: Workplace, ground: Ground
) -> None:
    """The second producer of an id is refused by arq, and would read the first one's result."""
    arq = await create_pool(to_arq_settings(secret(workplace.settings.redis_url)))
    async with running_worker(workplace.settings):
        jobs = []
        for side in (ground.theirs, ground.mine):
            jobs.append(
                await arq.enqueue_job(
                    "run_agent",
                    _job_id="order-7",
                    project_id=str(side.project),
                    agent_type="echo",
                    requested_by=str(ground.user),
                    input={"value": side.canary},
                )
            )
            assert jobs[0] is not None
            result = await jobs[0].result(timeout=15, poll_delay=0.01)
            assert result["output"] == {"value": ground.theirs.canary}
    await arq.aclose()
    assert jobs[1] is None


@pytest.mark.skipif(sys.platform != "linux", reason="another system keeps it elsewhere")
async def test_an_agents_process_runs_as_its_workers_user(
    workplace: Workplace, ground: Ground
) -> None:
    """It was given no URL, and may read what that user may: the worker's own environment."""
    async with running_worker(workplace.settings):
        report = await workplace.mine.run(
            "burglar",
            target(ground),
        )
    assert "PATH" in (report.output or {})["names"]


async def test_an_agent_inside_the_worker_has_all_the_worker_has(
    workplace: Workplace, ground: Ground
) -> None:
    """Python keeps nothing from code in the same process: the contract is for the well-meant."""
    async with running_worker(workplace.settings):
        report = await workplace.mine.run(
            "insider",
            target(ground),
        )
    assert report.output == {"content": f"# {ground.theirs.canary}"}
