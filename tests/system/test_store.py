"""The store: a backup of it, and a disk that is full."""
import json
import os
import signal
import sqlite3
import stat
import subprocess
import threading
import time

import pytest

from harness import ApiError, Store, UnixConnection
from machine import LIMIT, wait_for

STORE_FAILED = 7


# --- backup -------------------------------------------------------------------------

def test_backup_is_a_whole_store_that_works(msigd, dead, folder):
    m = msigd([dead])
    escrows = [m.open(label=f"number {i}", metadata={"k": "v" * 500}) for i in range(300)]
    copy = folder / "copy.db"
    said = m.ctl("-j", "backup", copy)
    assert said.returncode == 0, said.stderr
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with sqlite3.connect(copy) as db:
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert [r["escrow_id"] for r in Store(m, copy).rows("SELECT escrow_id FROM escrow ORDER BY seq")] == escrows
    assert sorted(p.name for p in folder.iterdir()) == ["copy.db", "m0"]
    # what it is for: another msigd goes on with it
    m.stop()
    other = msigd([dead], start=False)
    other.state.mkdir(mode=0o700)
    copy.rename(other.state / "msigd.db")
    (m.state / "key").rename(other.state / "key")
    other.start()
    assert other.get(escrows[-1])["label"] == "number 299"


def test_backup_replaces_no_file_and_leaves_none(msigd, dead, folder):
    m = msigd([dead])
    (folder / "there").write_text("precious")
    assert m.ctl("backup", folder / "there").returncode == 1
    assert (folder / "there").read_text() == "precious"
    assert m.ctl("backup", folder / "no" / "where").returncode == 1
    assert sorted(p.name for p in folder.iterdir()) == ["m0", "there"]
    assert sorted(p.name for p in m.state.iterdir()) == ["key", "msigd.db", "msigd.db-wal"]


# Reading a file without a name fails as long as FOLDER/broken is there; not for
# SQLite, which calls pread64.
BROKEN_READS = """
#define _GNU_SOURCE
#include <errno.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
static ssize_t look(int fd, void *to, size_t size, off_t offset)
{
	struct stat st;
	if (fstat(fd, &st) == 0 && st.st_nlink == 0 && access("FOLDER/broken", F_OK) == 0) {
		errno = EIO;
		return -1;
	}
	return syscall(SYS_pread64, fd, to, size, offset);
}
ssize_t pread(int fd, void *to, size_t size, off_t offset) { return look(fd, to, size, offset); }
ssize_t __pread_chk(int fd, void *to, size_t size, off_t offset, size_t room) { (void)room; return look(fd, to, size, offset); }
"""


def test_backup_that_cannot_be_read_gives_its_place_to_the_next(msigd, dead, folder):
    (folder / "broken.c").write_text(BROKEN_READS.replace("FOLDER", str(folder)))
    subprocess.run(["gcc", "-U_FORTIFY_SOURCE", "-shared", "-fPIC", "-o", folder / "broken.so", folder / "broken.c"], check=True)
    m = msigd([dead], wrap=["env", f"LD_PRELOAD={folder}/broken.so"])
    (folder / "broken").touch()
    for _ in range(5):  # one more than there are places
        with pytest.raises(ApiError) as refused:
            m.api("backup")
        assert refused.value.code == STORE_FAILED and "Input/output error" in refused.value.message
    (folder / "broken").unlink()
    assert m.api("backup")["size"] > 0


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
    yield Disk
    subprocess.run(["umount", "-l", place], check=True)


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
    m.expect("store_failed")
    before = m.open()
    opened, error = fill_and_be_refused(m, small_disk)
    assert error.code == STORE_FAILED and "nothing was changed" in error.message and "full" in error.message
    assert m.api("get_status")["escrows"]["NotStarted"] == opened + 1
    with pytest.raises(ApiError):
        m.api("open_escrow", label="x" * 200, metadata={str(i): "y" * 1000 for i in range(60)})
    assert m.ctl("open", "--label", "x" * 200, *[f"--meta={i}={'y' * 1000}" for i in range(60)]).returncode == 1
    assert m.get(before)["phase"] == "NotStarted"
    small_disk.empty()
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
    m.expect("store_failed")
    escrow = m.open()
    assert first.held.wait(LIMIT)
    fill_and_be_refused(m, small_disk)
    go_on.set()
    wait_for(lambda: "waits for the store" in m.get(escrow)["status"], "the escrow waits")
    small_disk.empty()
    assert m.ready(escrow)["attempt"] == 1


def test_reader_that_comes_in_a_turn_that_fails_gets_what_is_there(msigd, dead, small_disk):
    m = msigd([dead], **{"state-dir": small_disk.path})
    m.expect("store_failed")
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
    failures = len(m.logged("store_failed"))
    # both come in one turn, the one that cannot be written first
    m.process.send_signal(signal.SIGSTOP)
    writer.send(body[-1:])
    reader.request("GET", "/events?since=0")
    m.process.send_signal(signal.SIGCONT)
    first = json.loads(reader.getresponse().readline())
    assert len(m.logged("store_failed")) > failures
    assert first["type"] == "endpoint" or first["escrow_id"] == before
    for client in (writer, reader):
        client.close()
