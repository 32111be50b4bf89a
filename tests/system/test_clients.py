"""More clients than there are descriptors for: msigd stays quiet, and answers
again once there is room."""
import os
import resource
import socket
import time

from harness import UnixConnection
from machine import together, wait_for
from test_api import memory_kb


def descriptors(m):
    return [int(fd) for fd in os.listdir(f"/proc/{m.process.pid}/fd")]


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def connect(m, count):
    """Clients that say nothing."""
    clients = []
    for _ in range(count):
        clients.append(socket.socket(socket.AF_UNIX))
        clients[-1].connect(str(m.socket))
    return clients


def stays_quiet(m, seconds=2):
    cpu, lines = cpu_seconds(m.process.pid), len(m.log_lines())
    time.sleep(seconds)
    assert cpu_seconds(m.process.pid) - cpu < seconds / 4
    assert len(m.log_lines()) - lines < 50


def is_there(m):
    assert m.api("get_info")["pid"] == m.process.pid
    return m


def test_without_descriptors_it_waits_quietly_for_them(msigd, dead):
    m = msigd([dead])
    _, hard = resource.prlimit(m.process.pid, resource.RLIMIT_NOFILE)
    m.expect("worker_died")  # there is none for its socket either
    # just those that it has
    resource.prlimit(m.process.pid, resource.RLIMIT_NOFILE, (max(descriptors(m)) + 1, hard))
    clients = connect(m, 50)
    wait_for(lambda: m.logged("clients_wait", reason="Too many open files"), "its word about it")
    stays_quiet(m)
    resource.prlimit(m.process.pid, resource.RLIMIT_NOFILE, (hard, hard))
    is_there(m)
    for client in clients:
        client.close()
    assert len(m.logged("clients_wait")) == 1


def test_clients_leave_descriptors_to_others(msigd, dead):
    m = msigd([dead], wrap=["prlimit", "--nofile=128:128"])
    clients = connect(m, 200)
    wait_for(lambda: m.logged("clients_wait"), "its word about it")
    assert len(descriptors(m)) < 128 / 4 + 40
    stays_quiet(m)
    # workers find theirs: the endpoint is still looked at
    seen = len(m.logged("worker_started"))
    wait_for(lambda: len(m.logged("worker_started")) > seen, "another worker")
    # who waits is served when there is room
    waiting = UnixConnection(m.socket)
    waiting.request("GET", "/metrics")
    for client in clients:
        client.close()
    assert waiting.getresponse().status == 200
    waiting.close()
    is_there(m)


def test_more_clients_than_places_are_all_served(msigd, dead):
    m = msigd([dead], wrap=["prlimit", "--nofile=128:128"])
    together(*[lambda: is_there(m)] * 200)
    together(*[lambda: is_there(m)] * 200)


def test_readers_of_events_leave_places_to_others(msigd, dead):
    m = msigd([dead], wrap=["prlimit", "--nofile=128:128"])
    readers = [m.events() for _ in range(16)]
    status, _, body = m.http("GET", "/events")
    assert status == 503 and b"too many readers" in body
    is_there(m)
    readers.pop().close()
    wait_for(lambda: m.http("GET", "/events?since=x")[0] == 400, "a place")
    for reader in readers:
        reader.close()


def test_readers_of_events_that_go_leave_nothing(msigd, dead):
    m = msigd([dead])

    def come_and_go(count):
        for _ in range(count):
            connection = UnixConnection(m.socket)
            connection.request("GET", "/events")
            assert connection.getresponse().status == 200
            connection.close()
        is_there(m)
    come_and_go(1000)
    before = memory_kb(m.process.pid)
    come_and_go(3000)
    assert memory_kb(m.process.pid) - before < 1000
