"""A backup of the store."""
import sqlite3
import stat
import subprocess
import threading

import pytest

from harness import ApiError, Store
from machine import LIMIT

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


def test_backup_taken_while_busy_starts_and_goes_on(msigd, rpcs, proxy, folder):
    """Of an escrow whose exchange is under way. All else of that msigd is lost."""
    go_on = threading.Event()
    first = proxy(rpcs[0], lambda method, params, nth: go_on if (method, nth) == ("exchange_multisig_keys", 1) else None)
    m = msigd([first, *rpcs[1:]])
    escrow, waiting = m.open(), m.open(label="waits for endpoints")
    assert first.held.wait(LIMIT)
    copy = folder / "copy.db"
    assert m.ctl("backup", copy).returncode == 0
    m.kill()
    go_on.set()
    other = msigd(rpcs, start=False, name="other")
    other.state.mkdir(mode=0o700, parents=True)
    copy.rename(other.state / "msigd.db")
    (m.state / "key").rename(other.state / "key")
    other.start()
    found = other.ready(escrow)
    assert found["attempt"] == 1 and found["multisig_state"]["phase"] == "Ready"
    other.ready(waiting)
