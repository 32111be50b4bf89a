"""A store that cannot be written or read: a disk that is full or read-only, damaged
pages, an older schema. Each is told with what helps, nothing is left half-written,
and msigd goes on by itself where it can."""
import json
import os
import signal
import sqlite3
import subprocess
import threading
import time
from pathlib import Path

import pytest

from harness import ApiError, UnixConnection, fake
from machine import LIMIT, wait_for
from test_calibrate import metric
from test_check import SOME_ID, add_ready, change_store
from test_recovery import hold, interruptions
from test_repair_safety import in_background

STORE_FAILED = 7
TROUBLE = ("store_failed", "store_not_checkpointed")   # in the log

# --- a full disk --------------------------------------------------------------------

@pytest.fixture
def small_disk(folder):
    """A file system of 2 MiB, and how to fill and empty it."""
    if os.geteuid() != 0:
        pytest.skip("mounts a file system")
    place = folder / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", place], check=True)
    filler = place / "filler"

    class Disk:
        path = place / "state"

        @staticmethod
        def fill():
            with open(filler, "wb", buffering=0) as f:
                for size in (65536, 4096, 1):
                    try:
                        while f.write(b"x" * size) == size:
                            pass
                    except OSError:
                        pass

        @staticmethod
        def empty():
            filler.unlink()

        @staticmethod
        def may_be_written(may):
            subprocess.run(["mount", "-o", "remount,rw" if may else "remount,ro", place], check=True)
    yield Disk
    subprocess.run(["umount", "-l", place], check=True)
    assert str(place) not in Path("/proc/self/mounts").read_text()


def told(m):
    """What get_status, get_info and msigctl say of a store that fails; None: nothing."""
    trouble = m.api("get_status")["store_trouble"]
    if trouble is None:
        return None
    assert trouble["since"] <= time.time() * 1000
    return trouble["error"]


def failures(m):
    return metric(m, "msigd_store_failures_total")


def fill_and_be_refused(m, disk):
    """Fills the disk and what the store had in reserve; the last error."""
    disk.fill()
    for number in range(20000):
        try:
            m.api("open_escrow", label="x" * 200, metadata={str(i): "y" * 1000 for i in range(60)})
        except ApiError as error:
            return number, error
        disk.empty()
        disk.fill()
    raise AssertionError("the store never failed")


def test_full_disk_refuses_and_goes_on_when_there_is_room(msigd, dead, small_disk):
    m = msigd([dead], **{"state-dir": small_disk.path})
    m.expect(*TROUBLE)
    before = m.open()
    opened, error = fill_and_be_refused(m, small_disk)
    assert error.code == STORE_FAILED and "nothing was changed" in error.message and "make room" in error.message
    said = m.logged("store_failed")
    assert said[0]["level"] == "error" and "make room" in said[0]["error"] and str(small_disk.path) in said[0]["store"]
    assert "make room" in told(m)
    assert m.api("get_status")["escrows"]["NotStarted"] == opened + 1
    with pytest.raises(ApiError):
        m.api("open_escrow", label="x" * 200, metadata={str(i): "y" * 1000 for i in range(60)})
    assert m.ctl("open", "--label", "x" * 200, *[f"--meta={i}={'y' * 1000}" for i in range(60)]).returncode == 1
    assert m.get(before)["phase"] == "NotStarted"
    small_disk.empty()
    wait_for(lambda: told(m) is None and m.logged("store_works_again"), "an end of it, though nobody writes")
    after = m.open()
    events = m.events()
    events.wait(type="escrow_opened", escrow_id=after)
    events.close()
    assert len([e for e in events.seen if e["type"] == "escrow_opened"]) == opened + 2
    m.stop()
    m.start()
    assert m.get(before)["phase"] == m.get(after)["phase"] == "NotStarted"
    assert m.api("get_status")["escrows"]["NotStarted"] == opened + 2


def test_escrow_under_way_waits_for_room(msigd, proxy, rpcs, small_disk):
    go_on = threading.Event()
    first = proxy(rpcs[0], lambda method, params, nth: go_on if method == "prepare_multisig" else None)
    m = msigd([first, *rpcs[1:]], **{"state-dir": small_disk.path})
    m.expect(*TROUBLE)
    escrow = m.open()
    assert first.held.wait(LIMIT)
    fill_and_be_refused(m, small_disk)
    go_on.set()
    wait_for(lambda: "waits for the store" in m.get(escrow)["status"], "the escrow waits")
    small_disk.empty()
    assert m.ready(escrow)["attempt"] == 1


def test_wallet_whose_new_name_was_not_stored_is_told_by_its_old_one(with_worker, small_disk, folder):
    fifo = folder / "go-on"
    os.mkfifo(fifo)
    m = with_worker(fake(f"renames {fifo}"), start=False, **{"state-dir": small_disk.path}).start()
    m.stop()
    add_ready(m)
    change_store(m, "UPDATE attempt SET verified_at = 1")
    m.start()
    m.expect(*TROUBLE, "wallet_not_repaired")
    m.wait_idle(3)
    told = in_background(m.api, "check", repair=True)
    wait_for(lambda: m.workers("repair"), "its worker")
    fill_and_be_refused(m, small_disk)
    fifo.write_text("go on")
    first, = wait_for(lambda: m.logged("wallet_not_repaired"), "what came of the first")[:1]
    assert "could not be stored" in first["reason"] and first["wallet"] == f"{SOME_ID}-1-buyer"
    small_disk.empty()
    for number in (2, 3):
        fifo.write_text("go on")
        wait_for(lambda number=number: len(m.logged("wallet_not_repaired")) == number, "what came of the others")
    told()


def test_time_that_passes_while_the_disk_is_full_is_no_failure(msigd, stood, proxy, small_disk):
    go_on, rule = hold("prepare_multisig")
    first = proxy(stood[0], rule)
    m = msigd([first, *stood[1:]], setup_timeout="8s", max_attempts=1, **{"state-dir": small_disk.path})
    m.expect(*TROUBLE)
    escrow = m.open()
    assert first.held.wait(LIMIT)
    fill_and_be_refused(m, small_disk)
    go_on.set()
    wait_for(lambda: "waits for the store" in m.get(escrow)["status"], "the escrow waits")
    wait_for(lambda: not m.workers(f"setup {escrow}"), "its worker's time is over")
    small_disk.empty()
    assert m.ready(escrow)["attempt"] == 1
    (cause, reason), = interruptions(m, escrow)
    assert cause == "interrupted" and "while the store could not be written" in reason


def test_reader_that_comes_in_a_turn_that_fails_gets_what_is_there(msigd, dead, small_disk):
    m = msigd([dead], **{"state-dir": small_disk.path})
    m.expect(*TROUBLE)
    before = m.open()
    fill_and_be_refused(m, small_disk)
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "open_escrow", "params": {
        "label": "x" * 200, "metadata": {str(i): "y" * 1000 for i in range(60)}}}).encode()
    writer, reader = UnixConnection(m.socket, timeout=20), UnixConnection(m.socket, timeout=20)
    writer.putrequest("POST", "/json_rpc")
    writer.putheader("Content-Length", str(len(body)))
    writer.endheaders(body[:-1])
    reader.connect()
    m.api("get_info")
    time.sleep(0.5)
    before_it = failures(m)
    # both come in one turn, the one that cannot be written first
    m.process.send_signal(signal.SIGSTOP)
    writer.send(body[-1:])
    reader.request("GET", "/events?since=0")
    m.process.send_signal(signal.SIGCONT)
    first = json.loads(reader.getresponse().readline())
    assert failures(m) > before_it
    assert first["type"] == "endpoint" or first["escrow_id"] == before
    for client in (writer, reader):
        client.close()


def test_full_disk_is_told_by_msigctl(msigd, dead, small_disk):
    m = msigd([dead], **{"state-dir": small_disk.path})
    m.expect(*TROUBLE)
    fill_and_be_refused(m, small_disk)
    for command in ("status", "info"):
        said = m.ctl(command).stdout
        assert "make room on the file system of the store" in said, said
    small_disk.empty()
    wait_for(lambda: told(m) is None, "an end of it")
    for command in ("status", "info"):
        assert "make room" not in m.ctl(command).stdout


def test_full_disk_at_the_first_start_leaves_nothing(msigd, dead, small_disk):
    m = msigd([dead], start=False, **{"state-dir": small_disk.path})
    small_disk.path.mkdir(mode=0o700)
    small_disk.fill()
    assert "No space left on device" in m.refused()
    assert [p for p in small_disk.path.iterdir() if p.stat().st_size > 0] == []
    small_disk.empty()
    m.start()
    m.open()


def test_full_disk_when_the_schema_is_brought_up(msigd, dead, small_disk):
    m = msigd([dead], **{"state-dir": small_disk.path})
    escrow = m.open()
    m.stop()
    make_older(m, 1)
    small_disk.fill()
    said = m.refused()
    assert "schema 1 to 2" in said and "make room" in said, said
    assert schema(m) == 1
    small_disk.empty()
    m.start()
    assert m.get(escrow)["phase"] == "NotStarted" and m.api("get_info")["store"]["schema"] == 3


def test_full_disk_stops_and_starts_again(msigd, dead, small_disk):
    m = msigd([dead], **{"state-dir": small_disk.path})
    m.expect(*TROUBLE)
    before = m.open()
    fill_and_be_refused(m, small_disk)
    m.stop()
    m.start()   # what there is, can be read
    assert m.get(before)["phase"] == "NotStarted"
    small_disk.empty()
    assert m.get(m.open())["phase"] == "NotStarted"


# --- what cannot be written -----------------------------------------------------------

def test_file_system_that_can_only_be_read(msigd, dead, small_disk):
    m = msigd([dead], **{"state-dir": small_disk.path})
    escrow = m.open()
    m.stop()
    before = files(small_disk.path)
    small_disk.may_be_written(False)
    said = m.refused()
    assert str(small_disk.path) in said and "Read-only file system" in said, said
    assert files(small_disk.path) == before
    small_disk.may_be_written(True)
    assert m.start().get(escrow)["phase"] == "NotStarted"


def as_nobody(m):
    """It runs as another user, whose its folders are."""
    subprocess.run(["chown", "-R", "nobody:nogroup", m.folder], check=True)
    m.wrap = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    return m


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
@pytest.mark.parametrize("what", ["the file", "the WAL", "the folder"])
def test_what_may_not_be_written(msigd, dead, what):
    m = msigd([dead])
    escrow = m.open()
    m.kill()
    as_nobody(m)
    path = {"the file": m.state / "msigd.db", "the WAL": m.state / "msigd.db-wal", "the folder": m.state}[what]
    before, mode = files(m.state), path.stat().st_mode & 0o7777
    path.chmod(mode & ~0o222)
    said = m.refused()
    assert str(m.state) in said and "ermission" in said, said
    path.chmod(mode)
    assert files(m.state) == before
    assert m.start().get(escrow)["phase"] == "NotStarted"


# --- what cannot be read ----------------------------------------------------------------

def files(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


def damage(path, pages):
    with open(path, "r+b") as f:
        for page in pages:
            f.seek((page - 1) * 4096)
            f.write(b"\xa5" * 4096)


def root_page(path, name):
    with sqlite3.connect(path) as db:
        return db.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (name,)).fetchone()[0]


@pytest.mark.parametrize("table", ["sqlite_schema", "attempt_phase", "message", "event"])
def test_damaged_page_is_refused_at_the_start(msigd, dead, folder, table):
    m = msigd([dead])
    escrow = m.open()
    copy = folder / "copy.db"
    assert m.ctl("backup", copy).returncode == 0
    m.stop()
    store = m.state / "msigd.db"
    # of the first page only what is behind the header: without that it is no database
    page = 1 if table == "sqlite_schema" else root_page(store, table)
    with open(store, "r+b") as f:
        f.seek((page - 1) * 4096 + (100 if page == 1 else 0))
        f.write(b"\xa5" * 3000)
    before = store.read_bytes()
    said = m.refused()
    assert str(store) in said and "damaged" in said and "restore it from a backup" in said, said
    assert store.read_bytes() == before
    store.unlink()
    copy.rename(store)
    assert m.start().get(escrow)["phase"] == "NotStarted"


def test_damage_found_while_it_runs_is_told_until_the_end(msigd, dead):
    m = msigd([dead])
    m.expect(*TROUBLE)
    for _ in range(2):
        m.post([{"jsonrpc": "2.0", "id": i, "method": "open_escrow", "params": {"metadata": {"k": "v" * 900}}} for i in range(1000)])
    m.stop()   # all of it goes from the WAL into the file
    store = m.state / "msigd.db"
    pages = store.stat().st_size // 4096
    m.start()
    damage(store, range(pages // 4, pages))
    wait_for(lambda: fails_to_list(m), "a page that is read from the disk")
    assert "damaged" in told(m) and "restore it from a backup" in m.logged("store_failed")[0]["error"]
    m.process.kill()
    m.process.wait()
    assert "damaged" in m.refused()


def fails_to_list(m):
    after = {}
    try:
        while page := m.api("list_escrows", limit=100, **after)["escrows"]:
            after = {"after": page[-1]["escrow_id"]}
    except ApiError as error:
        assert error.code == STORE_FAILED and "damaged" in error.message, error
        return True
    return False


# --- another schema -----------------------------------------------------------------------

def make_older(m, version):
    with sqlite3.connect(m.state / "msigd.db") as db:
        if version < 3:
            db.execute("DROP TABLE attic")
            db.execute("ALTER TABLE participant DROP COLUMN home")
            db.execute("ALTER TABLE participant DROP COLUMN keys_sha256")
        if version < 2:
            db.execute("DROP TABLE spare")
        db.execute(f"PRAGMA user_version = {version}")
    db.close()


def schema(m):
    """Of the file; SQLite itself would want to write beside it."""
    return int.from_bytes((m.state / "msigd.db").read_bytes()[60:64], "big")


@pytest.mark.parametrize("version", [1, 2])
def test_older_schema_is_brought_up(msigd, dead, version):
    m = msigd([dead])
    escrow, cancelled = m.open(), m.open()
    m.api("cancel_escrow", escrow_id=cancelled)
    m.stop()
    make_older(m, version)
    m.start()
    assert m.get(escrow)["phase"] == "NotStarted" and m.get(cancelled)["phase"] == "Failed"
    assert m.api("get_info")["store"]["schema"] == 3 and m.api("check")["ok"]


def test_newer_schema_is_refused_and_left_alone(msigd, dead):
    m = msigd([dead])
    m.stop()
    with sqlite3.connect(m.state / "msigd.db") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    before = files(m.state)
    said = m.refused()
    assert "schema 99" in said and "use the msigd that made it, or a newer one" in said
    assert {n: b for n, b in files(m.state).items() if n == "msigd.db"} == {"msigd.db": before["msigd.db"]}
