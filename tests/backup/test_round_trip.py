"""Back up under load, destroy, restore, compare, go on: nothing that was in the backup is lost."""

import json
import re
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

from models.states import State
from tests.backup.conftest import SlowDump, StartCommand, contents
from tests.processes.conftest import StartWorker
from tests.support.databases import DatabaseUrls
from tests.support.desk import Desk
from tests.support.invariants import check, not_final
from tests.support.waiting import until
from worker.client import Client
from worker.settings import Settings

_LATEST = "SELECT max(version) AS version FROM document_versions WHERE document_type = 'notes'"
_LAST_EVENT = "SELECT max(id) AS id FROM execution_events"


async def test_what_was_backed_up_under_load_is_restored_exactly_and_work_goes_on(
    start_worker: StartWorker,
    start_command: StartCommand,
    slow_dump: SlowDump,
    desk: Desk,
    settings: Settings,
    new_database: DatabaseUrls,
    tmp_path: Path,
) -> None:
    """The dump, its counts and the restored tables are one moment; later writes are not in it."""
    file = tmp_path / "under-load.dump"
    path = f"{slow_dump.directory}:/usr/bin:/bin"
    async with start_worker() as worker:
        for _ in range(5):
            await desk.run("echo", {"document_type": "notes"})
        running = await desk.enqueue("gated", desk.gate())
        await desk.begun()
        waiting = await desk.enqueue("echo", not_before=datetime.now(UTC) + timedelta(seconds=5))
        async with start_command("backup", str(file), "--json", PATH=path) as command:
            asked = await until(lambda: slow_dump.asked, within=30)
            [snapshot] = re.findall(r"--snapshot=(\S+)", asked)
            before = await contents(desk.database, snapshot=snapshot)
            later = [await desk.enqueue("echo", {"document_type": "notes"}) for _ in range(20)]
            await desk.finals(later)
            slow_dump.let_go()
            code, out, said = await command.ended()
        assert code == 0, said
        assert await contents(desk.database) != before
        worker.send(signal.SIGKILL)
        await worker.ended()

    await desk.client.close()
    admin = desk.database
    await new_database.ask(f"DROP DATABASE {admin.name} WITH (FORCE)")
    there = {
        "COPYDESK_OWNER_URL": new_database.admin,
        "COPYDESK_DATABASE_URL": new_database.app,
        "COPYDESK_DISPATCH_URL": new_database.dispatch,
    }
    async with start_command("restore", str(file), **there) as command:
        code, _, said = await command.ended()
    assert code == 0, said
    assert "every table has the rows it had" in said
    assert "the database is what the models say" in said
    assert "isolation holds" in said
    assert await contents(new_database) == before
    rows = json.loads(out)["rows"]
    assert rows == {
        table: (await new_database.ask(f"SELECT count(*) AS n FROM {table}"))[0]["n"]  # noqa: S608
        for table in rows
    }

    [latest], [last_event] = await new_database.ask(_LATEST), await new_database.ask(_LAST_EVENT)
    moved = settings.model_copy(
        update={
            name: type(settings.database_url)(url)  # type: ignore[misc]
            for name, url in (
                ("database_url", new_database.app),
                ("dispatch_url", new_database.dispatch),
            )
        }
    )
    desk.open_gate()
    async with Client(moved) as client, start_worker(**moved.model_dump()):
        again = Desk(client, new_database, desk.project, desk.user, tmp_path)
        held = await again.final(running)
        assert (held.status, held.attempt) == (State.COMPLETED, 2)
        assert (await again.final(waiting)).status == State.COMPLETED
        await again.run("echo", {"document_type": "notes"})
    assert await not_final(new_database) == []
    await check(new_database)
    # The held one and the last one wrote one version each.
    assert (await new_database.ask(_LATEST))[0]["version"] == latest["version"] + 2
    [first_new] = await new_database.ask(
        "SELECT min(id) AS id FROM execution_events WHERE id > $1", last_event["id"]
    )
    assert first_new["id"] > last_event["id"]
