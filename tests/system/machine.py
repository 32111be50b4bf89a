"""What the tests use of the machine: waiting, ports, processes."""
import ctypes
import os
import random
import socket
import threading
import time
from pathlib import Path

LIMIT = 300  # seconds: after these something hangs; never a measure


def wait_for(predicate, what, limit=LIMIT, step=0.02):
    """The first true value of predicate()."""
    end = time.monotonic() + limit
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain: {what}")
        time.sleep(step)


def together(*functions):
    """Runs them at the same time; their results in order."""
    results, errors = [None] * len(functions), []

    def run(place, function):
        try:
            results[place] = function()
        except BaseException as error:  # pylint: disable=broad-except
            errors.append(error)

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


# --- ports and processes -------------------------------------------------------

def _is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


# Below those of the demo, and those that the kernel gives to outgoing connections.
PORTS = (20000, 28000)
_given_ports = set()


def take_ports(part, parts):
    """Of all ports only this part from now on: the others are for those who run at
    the same time, for a port that was free may be somebody's when it is used."""
    global PORTS  # pylint: disable=global-statement
    first, end = PORTS
    PORTS = (first + (end - first) * part // parts, first + (end - first) * (part + 1) // parts)


def free_ports(count=1):
    """The first of so many ports in a row that nobody uses, and that were not
    given lately."""
    while True:
        if 2 * len(_given_ports) > PORTS[1] - PORTS[0]:
            _given_ports.clear()
        base = random.randrange(PORTS[0], PORTS[1] - count)
        wanted = set(range(base, base + count))
        if not wanted & _given_ports and all(map(_is_free, wanted)):
            _given_ports.update(wanted)
            return base


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def processes(*folders):
    """{pid: description} of those whose program, folder or arguments lie in one of these."""
    prefixes = [f"{f}/" for f in folders]
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if int(pid) == os.getpid():
            continue
        try:
            cmdline = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        places = [cmdline]
        for link in ("exe", "cwd"):
            try:
                places.append(os.readlink(f"/proc/{pid}/{link}"))
            except OSError:
                pass
        if state != "Z" and any(prefix in f"{place}/" for prefix in prefixes for place in places):
            found[int(pid)] = cmdline.strip() or places[-1]
    return found


def descendants(pid):
    """{pid: command line} of all children of a process, and theirs."""
    parents, found = {}, {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            parents[int(entry)] = int(Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            pass
    todo = [pid]
    while todo:
        parent = todo.pop()
        for child in [c for c, p in parents.items() if p == parent]:
            try:
                found[child] = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            todo.append(child)
    return found


def become_subreaper():
    """Whoever loses its parent becomes our child, prctl(2), and so is known to be ours."""
    PR_SET_CHILD_SUBREAPER = 36
    assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
