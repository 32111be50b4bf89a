"""`check`: what it finds, the process that looks at the database, and the
verification of ready escrows, whose outcome it tells."""
import os
import re
import signal
import sqlite3
import threading
import time
import uuid
from pathlib import Path

import pytest

from harness import ROLES, ApiError, fake, section
from machine import LIMIT, alive, descendants, processes, wait_for

STOPPING = 8
SOME_ID = "123e4567-e89b-42d3-a456-426614174000"


def change_store(m, *statements):
    """Writes to the store of an msigd that does not run."""
    assert not m.running()
    with sqlite3.connect(m.state / "msigd.db") as db:
        for statement in statements:
            db.execute(statement)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def add_ready(m, escrow=SOME_ID):
    """Writes down an escrow that is ready, on w1, w2, w3."""
    change_store(
        m, "INSERT INTO escrow (escrow_id, label, metadata, external, trace, network, created_at, attempt)"
        f" VALUES ('{escrow}', '', '{{}}', 0, 0, 'testnet', 1, 1)",
        "INSERT INTO attempt (escrow_id, attempt, phase, round, revision, failures, started_at, address, finalized_at)"
        f" VALUES ('{escrow}', 1, 'Ready', 0, 9, 0, 1, '9{escrow}', 1)",
        *["INSERT INTO participant (escrow_id, attempt, role, kind, endpoint, wallet, stamp, password) VALUES"
          f" ('{escrow}', 1, '{role}', 'managed', 'w{n}', '{escrow}-1-{role}', 'x', x'00')" for n, role in enumerate(ROLES, 1)])


def ready_on_dead(msigd, dead):
    """An msigd with an escrow that is ready, on an endpoint where nobody answers."""
    m = msigd([dead], start=False).start()
    m.stop()
    add_ready(m)
    change_store(m, "UPDATE participant SET endpoint = 'dead'")
    return m.start()


def id_from(first):
    """A new id that begins with this digit: ready ones are verified in the order of ids."""
    return first + str(uuid.uuid4())[1:]


def problems(m):
    return m.api("check")["problems"]


# --- the database -------------------------------------------------------------------

def test_escrow_that_cannot_be_taken_up_is_told_with_what_helps(msigd, dead):
    m = msigd([dead])
    m.expect("escrow_unreadable")
    escrow = m.open()
    m.stop()
    change_store(m, "DELETE FROM participant WHERE role = 'buyer'")
    m.start()
    said, = m.logged("escrow_unreadable", escrow=escrow)
    assert "three participants" in said["error"] and "from a backup" in said["remedy"]


def test_counts_are_said_as_one_says_them(msigd, dead):
    m = msigd([dead])
    assert m.ctl("check").stdout == "checked 0 escrows, 0 wallets, 0 sealed, 1 lock: all is well\n"
    m.open()
    m.open()
    assert m.ctl("check").stdout.startswith("checked 2 escrows, 0 wallets")


def test_damage_in_the_database_is_found(msigd, dead):
    m = msigd([dead])
    escrow = m.open()
    m.stop()
    change_store(m)
    path = m.state / "msigd.db"
    with sqlite3.connect(path) as db:
        page, = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'event_escrow'").fetchone()
        size, = db.execute("PRAGMA page_size").fetchone()
    db.close()
    data = bytearray(path.read_bytes())
    place = data.index(escrow.encode(), (page - 1) * size, page * size)
    data[place] = ord("x")
    path.write_bytes(data)
    m.start()
    found = [p["what"] for p in problems(m)]
    assert [what for what in found if "the database is damaged" in what and "event_escrow" in what], found


def test_the_passwords_of_spares_open_only_where_they_belong(msigd, rpcs):
    m = msigd(rpcs, spares="true")
    wait_for(lambda: len(m.endpoints("primed")) == 3, "three spare wallets")
    assert m.ctl("check").stdout.endswith("checked 0 escrows, 0 wallets, 3 sealed, 3 locks: all is well\n")
    wallet = m.endpoint("w1")["spare"]
    m.stop()
    change_store(m, "UPDATE spare SET password = (SELECT password FROM spare WHERE endpoint = 'w2') WHERE endpoint = 'w1'")
    m.keys["spares"] = "false"  # or it would be looked at, and thrown away
    m.configure(rpcs)
    m.start()
    found, = problems(m)
    assert found["what"] == f"spare wallet {wallet}: the sealed password cannot be opened" and "key-file" in found["remedy"]
    assert m.ctl("check").returncode == 1


@pytest.fixture
def held_check(msigd, dead):
    """An msigd whose check is held up in the look at the database; the pid of
    the process that looks, and what the caller was told in the end."""
    m = msigd([dead], start=False).start()
    m.stop()
    change_store(m, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000) INSERT INTO event"
                 " (escrow_id, at, type, data) SELECT NULL, 1, 'filler', hex(randomblob(400)) FROM n")
    m.start()
    told = []

    def ask():
        try:
            told.append(m.api("check"))
        except (ApiError, OSError) as error:
            told.append(error)
    threads = []

    def begin():
        threads.append(threading.Thread(target=ask))
        threads[-1].start()

    def looks():
        if told:  # it was over before it was seen
            told.clear()
            begin()
        for pid, command in descendants(m.process.pid).items():
            if "--check-copy" in command:  # not between fork and exec
                os.kill(pid, signal.SIGSTOP)
                return pid
        return None
    begin()
    pid = wait_for(looks, "a process that looks at the database", limit=60, step=0)
    wait_for(lambda: Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T", "it is held")
    yield m, pid, told
    if m.running():
        m.stop()
    for thread in threads:
        thread.join(LIMIT)


def test_process_that_looks_at_the_database_has_the_copy_and_no_more(held_check):
    m, pid, told = held_check
    status = Path(f"/proc/{pid}/status").read_text()
    files = {fd: os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    assert {files[fd] for fd in "012"} == {"/dev/null"}, files
    # it may have been held while its libraries were being loaded
    others = {path for fd, path in files.items() if fd not in "0123" and not path.startswith(("/usr/lib/", "/lib/", "/etc/ld.so."))}
    assert not others, files
    assert "(deleted)" in files["3"]
    assert re.search(r"^SigCgt:\s*0+$", status, re.M) and re.search(r"^SigBlk:\s*0+$", status, re.M), status
    assert Path(f"/proc/{pid}/environ").read_bytes() == b""
    assert os.getsid(pid) == pid
    # the copy has no name while it is looked at
    assert sorted(p.name for p in m.state.iterdir()) == ["key", "msigd.db", "msigd.db-wal"]
    with pytest.raises(ApiError, match="under way"):
        m.api("check")
    os.kill(pid, signal.SIGCONT)
    assert wait_for(lambda: told, "the answer")[0]["ok"] is True


def test_kill_9_during_check_leaves_nothing_and_does_not_hinder_the_next_start(held_check):
    m, pid, _ = held_check
    m.process.kill()
    m.process.wait()
    m.start()
    assert not alive(pid) or pid not in processes(m.folder, m.stage)
    assert sorted(p.name for p in m.state.iterdir()) == ["key", "msigd.db", "msigd.db-wal"]
    assert m.api("check")["ok"] is True


def test_stop_ends_a_check(held_check):
    m, pid, told = held_check
    m.stop()
    assert not alive(pid)
    assert wait_for(lambda: told, "the answer")[0].code == STOPPING


def test_death_of_the_process_that_looks_is_told(held_check):
    m, pid, told = held_check
    os.kill(pid, signal.SIGKILL)
    answer = wait_for(lambda: told, "the answer")[0]
    assert [p["what"] for p in answer["problems"]] == ["the database was not looked at: was killed by signal 9 (Killed)"]
    assert m.api("check")["ok"] is True


def test_hidden_mode_does_nothing_to_a_file_that_has_a_name(msigd, dead, folder):
    m = msigd([dead])
    (folder / "precious").write_text("precious")
    with open(folder / "precious", "r+b") as f:
        pid = os.posix_spawn(m.stage / "sbin/msigd", ["msigd", "--check-copy"], {},
                             file_actions=[(os.POSIX_SPAWN_DUP2, f.fileno(), 3)])
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    assert (folder / "precious").read_text() == "precious"


def test_copies_that_were_left_are_removed_at_the_next_start(msigd, dead):
    m = msigd([dead], start=False).start()
    m.stop()
    (m.state / "msigd.db-copy-abc123").write_bytes(b"left by a SIGKILL")
    (m.state / "msigd.db-copy-kept").write_bytes(b"somebody's own")
    m.start()
    assert sorted(p.name for p in m.state.iterdir()) == ["key", "msigd.db", "msigd.db-copy-kept", "msigd.db-wal"]


# --- verification -------------------------------------------------------------------

def stopped(with_worker, mode):  # pylint: disable=redefined-outer-name
    """An msigd with that fake worker, started once and stopped."""
    m = with_worker(fake(mode))
    m.stop()
    add_ready(m)
    return m


def test_verification_of_all_three_counts(with_worker):  # pylint: disable=redefined-outer-name
    m = stopped(with_worker, "checks buyer vendor arbiter")
    m.start()
    assert wait_for(lambda: m.get(SOME_ID)["verified_at"], "its verification")
    wait_for(lambda: m.logged("escrow_verified", escrow=SOME_ID), "the log line")


def test_verification_of_two_counts_for_nothing(with_worker):  # pylint: disable=redefined-outer-name
    m = stopped(with_worker, "checks buyer vendor")
    m.start()
    wait_for(lambda: m.logged("verification_postponed") or m.logged("escrow_verified"), "an outcome")
    assert m.get(SOME_ID)["verified_at"] is None and not m.logged("escrow_verified")


FAILURES = {
    "at once": ["CREATE TRIGGER t BEFORE UPDATE OF verified_at ON attempt BEGIN SELECT RAISE(ABORT, 'no'); END"],
    "at the commit": ["CREATE TABLE nowhere (id TEXT REFERENCES escrow (escrow_id) DEFERRABLE INITIALLY DEFERRED)",
                      "CREATE TRIGGER t AFTER UPDATE OF verified_at ON attempt BEGIN INSERT INTO nowhere VALUES ('x'); END"],
}


@pytest.mark.parametrize("when", FAILURES)
def test_verification_that_is_not_written_down_is_not_told(when, with_worker):  # pylint: disable=redefined-outer-name
    m = stopped(with_worker, "checks buyer vendor arbiter")
    m.expect("store_failed")
    change_store(m, *FAILURES[when])
    m.start()
    wait_for(lambda: m.logged("verification_postponed") or m.logged("escrow_verified"), "an outcome")
    assert m.get(SOME_ID)["verified_at"] is None and not m.logged("escrow_verified")


def test_wallets_that_are_not_good_are_told_until_they_are(msigd, rpcs):
    # their files are not ours to write, so that they cannot be repaired
    m = msigd([section(f"w{n}", one, wallet_dir="") for n, one in enumerate(rpcs, 1)])
    m.expect("escrow_not_verified", "wallet_not_repaired")
    escrow = m.open(escrow_id=id_from("f"))
    found = m.ready(escrow)
    assert found["not_verified"] is None
    path = rpcs[0].wallets / f"{found['participants'][2]['wallet']}.keys"
    m.stop()
    change_store(m, "UPDATE attempt SET verified_at = NULL")  # they may have been looked at already
    path.rename(f"{path}.away")
    looks = len(m.logged("worker_started", job="check", escrow=escrow))
    m.start()
    found = wait_for(lambda: (e := m.get(escrow))["not_verified"] and e, "the outcome of the verification")
    reason = found["not_verified"]["reason"]
    assert reason and reason in found["status"] and "could not be opened" in found["status"]
    assert found["verified_at"] is None and found["not_verified"]["at"] > found["finalized_at"]
    wait_for(lambda: m.logged("repair_ended"), "the end of its repair, in vain")
    path.with_name(f"{path.name}.away").rename(path)
    m.idle_again()
    problem, = problems(m)
    assert problem["escrow_id"] == escrow and reason in problem["what"] and "restart msigd" in problem["remedy"]
    assert re.search("verified +no", m.ctl("status", escrow).stdout)
    # another escrow's verification does not try this one again
    other = m.open(escrow_id=id_from("0"))
    m.ready(other)
    wait_for(lambda: m.get(other)["verified_at"], "another's verification", limit=40)
    time.sleep(3)
    assert len(m.logged("worker_started", job="check", escrow=escrow)) == looks + 1
    m.stop()
    m.start()
    assert m.get(escrow)["not_verified"] == found["not_verified"]
    found = wait_for(lambda: (e := m.get(escrow))["verified_at"] and e, "its verification")
    assert found["not_verified"] is None and "good" in found["status"]
    assert m.ctl("check").returncode == 0


def test_one_that_is_ready_after_a_younger_one_was_verified_is_verified_too(msigd, rpcs):
    m = msigd([section(f"w{n}", rpc, wallet_dir="/nonexistent") for n, rpc in enumerate(rpcs, 1)], max_attempts=1)
    first = m.open(escrow_id=id_from("0"))
    m.failed(first)
    m.configure(rpcs)
    m.api("reload")
    m.wait_idle(3)
    younger = m.open(escrow_id=id_from("f"))
    m.ready(younger)
    wait_for(lambda: m.get(younger)["verified_at"], "the verification of the younger one", limit=40)
    m.api("retry_escrow", escrow_id=first)
    m.ready(first)
    wait_for(lambda: m.get(first)["verified_at"], "the verification of the first", limit=40)
