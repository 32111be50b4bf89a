"""What the kernel says of processes and of the machine, and how processes are
started so that none outlives the bench."""
import ctypes
import os
import platform
import signal
import socket
import statistics
import subprocess
import time
from pathlib import Path

TICK = 1 / os.sysconf("SC_CLK_TCK")
CORES = len(os.sched_getaffinity(0))
PORTS = range(31000, 32000)  # below those that the kernel gives to outgoing connections
PORTS_IN_A_ROW = range(20000, 31000)
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None)


class BenchError(Exception):
    """What the bench could not do, in words for who runs it."""


def spawn(argv, folder, log, **environment):
    """A process in a session of its own (a Ctrl-C is the bench's to deal with)
    that dies with the bench, even when that is killed with -9."""
    with open(log, "ab") as out:
        return subprocess.Popen(argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                env={"HOME": str(folder), "PATH": os.environ["PATH"], **environment},
                                start_new_session=True,
                                preexec_fn=lambda: _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL))


def wait_for(predicate, what, limit=30, step=0.01):
    """The first true value of predicate()."""
    until = time.monotonic() + limit
    while not (value := predicate()):
        if time.monotonic() > until:
            raise BenchError(f"waited in vain: {what}")
        time.sleep(step)
    return value


def _is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports(count):
    """So many ports that nobody uses."""
    found = []
    for port in PORTS:
        if not _is_free(port):
            continue
        found.append(port)
        if len(found) == count:
            return found
    raise BenchError(f"no {count} free ports on 127.0.0.1 from {PORTS.start} on")


def port_range(count):
    """The first of so many ports in a row that nobody uses."""
    for base in range(PORTS_IN_A_ROW.start, PORTS_IN_A_ROW.stop - count, 500):
        if all(_is_free(port) for port in range(base, base + count)):
            return base
    raise BenchError(f"no {count} free ports in a row on 127.0.0.1 from {PORTS_IN_A_ROW.start} on")


# --- CPU time and memory ----------------------------------------------------------

def _stat(pid):
    """The fields of /proc/PID/stat from the third (state) on."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()


def cpu_seconds(pid):
    """Of all its threads; to 10 ms."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) * TICK


def main_thread_cpu_seconds(pid):
    """To the nanosecond, of a process with one thread."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def children(pid):
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command_line(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def private_kib(pid):
    """(dirty, clean + dirty) in KiB, or None: gone, or not ours to look at."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return None
    values = {line.split(":")[0]: int(line.split()[1]) for line in lines if line}
    if not values:
        return None
    return values["Private_Dirty"], values["Private_Clean"] + values["Private_Dirty"]


def busy_seconds():
    """CPU time that the whole machine has used, stolen time included."""
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) * TICK


# --- what it is -------------------------------------------------------------------

def cpu_model():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def first_line(*argv):
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except OSError as e:
        raise BenchError(f"{argv[0]}: {e.strerror}") from e
    return (done.stdout or done.stderr).splitlines()[0].strip()


# --- figures ------------------------------------------------------------------

def medians(runs):
    """Of runs with the same members, each member's."""
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def in_turn(what, runs, say, **ways):
    """Each way so often, in turn, for the machine is not the same all the time:
    {"runs": {way: [its results]}, way: their medians}. The first way warms up."""
    results = {way: [] for way in ways}
    say(f"{what}: warming up")
    next(iter(ways.values()))()
    for number in range(1, runs + 1):
        for way, measure in ways.items():
            say(f"{what}: run {number} of {runs}, {way}")
            results[way].append(measure())
    return {"runs": results, **{way: medians(found) for way, found in results.items()}}
