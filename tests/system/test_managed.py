"""wallet-rpcs that msigd starts itself: what hinders them, and what they may
not hinder. Scripts stand in for monero-wallet-rpc."""
import os
import resource
import subprocess
import time
from pathlib import Path

import pytest

from harness import WORKER, fake
from machine import free_ports, wait_for

LISTENS = """#!/usr/bin/python3 -S
import re, socket, sys, time
port = int(re.search(r"rpc-bind-port=(\\d+)", open(sys.argv[2]).read()).group(1))
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("127.0.0.1", port))
"""
ACCEPTS = LISTENS + "server.listen(5)\nwhile True:\n    server.accept()[0].close()\n"
# its queue is full: a connect waits for a minute and more
NEVER_ACCEPTS = LISTENS + """server.listen(0)
full = [socket.socket() for _ in range(4)]
for client in full:
    client.setblocking(False)
    client.connect_ex(("127.0.0.1", port))
time.sleep(1000)
"""
# Its memory is given back before its port is.
LARGE = """import socket, sys, time
memory = bytearray(400 << 20)
memory[::4096] = b"x" * len(memory[::4096])
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listens", flush=True)
time.sleep(1000)
"""


@pytest.fixture
def with_program(msigd, folder):
    def make(text, port, **options):
        program = folder / "program"
        program.write_text(text)
        program.chmod(0o755)
        return msigd(managed={"program": program, "count": 1, "port-base": port}, **options)
    return make


def start_time(pid):
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]


def test_one_that_was_left_is_ended_before_its_port_is_needed(with_program, folder):
    port = free_ports()
    old = subprocess.Popen(["/usr/bin/python3", "-c", LARGE, str(port)], stdout=subprocess.PIPE, cwd=folder)
    assert old.stdout.readline() == b"listens\n"
    run = folder / "m0" / "run"
    run.mkdir(parents=True)
    (run / "managed-1.pid").write_text(f"{old.pid} {start_time(old.pid)}\n")
    (run / "managed-1.pid").chmod(0o600)
    try:
        m = with_program(ACCEPTS, port)
        wait_for(lambda: m.logged("managed_started"), "its start")
        assert m.logged("managed_leftover_killed", pid=old.pid)
        assert not m.logged("managed_not_started")
    finally:
        old.kill()
        old.wait()
        old.stdout.close()


def test_one_that_does_not_accept_holds_up_nobody(with_program):
    m = with_program(NEVER_ACCEPTS, free_ports())
    wait_for(lambda: m.logged("endpoint", endpoint="managed-1", state="probing"), "the look at it")
    end = time.monotonic() + 3
    while time.monotonic() < end:
        asked = time.monotonic()
        m.api("get_info")
        assert time.monotonic() - asked < 30  # a connect that is waited for takes a minute and more
        time.sleep(0.05)


def test_want_of_descriptors_is_not_taken_for_a_port_in_use(with_program):
    m = with_program(ACCEPTS, free_ports())
    m.expect("managed_died", "worker_died")
    line = wait_for(lambda: m.logged("managed_started"), "its start")[0]
    _, hard = resource.prlimit(m.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(m.process.pid, resource.RLIMIT_NOFILE, (3, hard))
    os.kill(line["pid"], 9)
    found = wait_for(lambda: m.logged("managed_not_started"), "its word about it")[0]
    resource.prlimit(m.process.pid, resource.RLIMIT_NOFILE, (hard, hard))
    assert "Too many open files" in found["reason"]
    wait_for(lambda: len(m.logged("managed_started")) == 2, "its start")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a fake worker over the installed one")
def test_one_that_gives_no_answer_is_started_afresh(with_program, folder):
    worker = folder / "worker"
    worker.write_text(fake("finds it silent"))
    worker.chmod(0o755)
    m = with_program(ACCEPTS, free_ports(), wrap=["unshare", "-m", "sh", "-c", f'mount --bind {worker} {WORKER} && exec "$@"', "sh"])
    first = wait_for(lambda: m.logged("managed_started"), "its start")[0]["pid"]
    line = wait_for(lambda: m.logged("managed_restarted"), "its end")[0]
    assert "no answer, two times in a row" in line["reason"]
    before = m.log_lines()[:[said["event"] for said in m.log_lines()].index("managed_restarted")]
    silent = [said for said in before if said["event"] == "endpoint" and said.get("reason") == "no answer"]
    assert len([said for said in silent if said["state"] == "down"]) == 2  # a busy one gives none either
    wait_for(lambda: len(m.logged("managed_started")) == 2, "its start")
    assert m.logged("managed_started")[1]["pid"] != first
