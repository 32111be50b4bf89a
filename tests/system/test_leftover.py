"""Workers of an msigd that is gone: they end with it, and one that does not is
ended before its escrow and its endpoints are touched."""
import fcntl
import os
import signal
import subprocess

import pytest

from harness import fake
from machine import LIMIT, alive, wait_for
from test_recovery import hold


def kill_alone(m, pid):
    """Only msigd; that worker stays."""
    m.process.kill()
    m.process.wait()
    assert alive(pid)


def test_worker_that_goes_on_when_its_msigd_is_gone_starts_no_call(msigd, rpcs, proxy):
    go_on, rule = hold("get_attribute")
    watched = proxy(rpcs[0], rule)
    m = msigd([watched, *rpcs[1:]])
    escrow = m.open()
    assert watched.held.wait(LIMIT)
    pid, = m.workers(f"setup {escrow}")
    os.kill(pid, signal.SIGSTOP)
    answered = watched.answered
    go_on.set()
    wait_for(lambda: watched.answered > answered, "the answer, before the end of msigd")
    kill_alone(m, pid)
    calls = len(watched.calls)
    os.kill(pid, signal.SIGCONT)
    wait_for(lambda: not alive(pid), "its end")
    assert len(watched.calls) == calls
    m.start()
    wait_for(lambda: m.workers(f"setup {escrow}"), "another worker")
    assert not m.logged("escrow_locked")


# --- with a worker that only holds its lock --------------------------------------------

@pytest.fixture
def left(with_worker):
    """An msigd that was killed, its escrow, and the worker that it left."""
    m = with_worker(fake("outlives msigd"))
    escrow = m.open()
    pid, = wait_for(lambda: m.workers(f"setup {escrow}"), "its worker")
    lock = m.locks / f"escrow-{escrow}.lock"
    wait_for(lambda: lock.exists() and f"pid {pid}, setup" in lock.read_text(), "its lock")
    kill_alone(m, pid)
    yield m, escrow, pid, lock
    if alive(pid):
        os.kill(pid, signal.SIGKILL)


def test_worker_that_an_earlier_msigd_left_is_killed_before_another_is_started(left):
    m, escrow, pid, _ = left
    m.start()
    assert m.get(escrow)["status"] == f"waits for worker {pid} of an earlier msigd"
    assert m.logged("escrow_locked")[0]["level"] == "warn"
    wait_for(lambda: len(m.logged("worker_started", escrow=escrow)) == 2, "another worker")
    assert not alive(pid) and [line["pid"] for line in m.logged("worker_leftover_killed")] == [pid]
    events = [line["event"] for line in m.log_lines()]
    assert events.index("worker_leftover_killed") < len(events) - 1 - events[::-1].index("worker_started")
    assert m.get(escrow)["attempt"] == 1
    m.stop()


def test_lock_that_somebody_else_holds_is_told_and_waited_for(left):
    """Another program holds the lock, in the name of the worker: nothing is killed."""
    m, escrow, pid, lock = left
    m.expect("escrow_locked")
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not alive(pid), "its end")
    with open(lock, "r+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        held.write(b"pid %d, setup of escrow X\n" % os.getpid())
        held.flush()
        m.start()
        said = m.get(escrow)["status"]
        assert lock.name in said and f"pid {os.getpid()}, setup" in said and "end it" in said
        line, = m.logged("escrow_locked")
        assert line["level"] == "error" and line["remedy"] == "end that process"
        m.wait_idle(3)
        assert not m.workers("setup") and not m.logged("worker_leftover_killed")
        held.truncate(0)
    wait_for(lambda: m.workers(f"setup {escrow}"), "its worker")
    wait_for(lambda: len(m.logged("worker_started", escrow=escrow)) == 2, "a word of it")  # none was started in vain
    assert not m.logged("worker_died")
    m.stop()


def test_drain_does_not_wait_for_a_lock_that_somebody_else_holds(left):
    m, escrow, pid, lock = left
    m.expect("escrow_locked")
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not alive(pid), "its end")
    with open(lock, "r+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        m.start()
        assert m.logged("escrow_locked")
        m.wait_idle(3)
        assert m.ctl("stop", "--drain").returncode == 0
        m.ended()
    m.start()
    wait_for(lambda: m.workers(f"setup {escrow}"), "its worker")
    assert m.get(escrow)["attempt"] == 1
    m.stop()


HOLDS = """import ctypes, fcntl, os, sys
ctypes.CDLL(None).prctl(15, b"msigd-worker")
lock = open(sys.argv[1], "a+b")
fcntl.flock(lock, fcntl.LOCK_EX)
lock.write(b"pid %d, tend\\n" % os.getpid())
lock.flush()
print("held", flush=True)
sys.stdin.read()
"""


def test_worker_that_holds_an_endpoint_only_is_killed_when_that_is_looked_at(with_worker):
    m = with_worker(fake("finds it busy"), start=False)
    m.locks.mkdir(parents=True)
    held = subprocess.Popen(["/usr/bin/python3", "-c", HOLDS, m.locks / "endpoint-http:%2F%2F127.0.0.1:2.lock"],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert held.stdout.readline() == b"held\n"
        m.start()
        assert held.wait(LIMIT) == -signal.SIGKILL
        line, = wait_for(lambda: m.logged("worker_leftover_killed"), "a word of it")
        assert line["pid"] == held.pid and line["holder"] == f"pid {held.pid}, tend"
    finally:
        held.kill()
        held.wait()
        held.stdin.close()
        held.stdout.close()
