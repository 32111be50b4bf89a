"""Thousands of escrows on thousands of endpoints, which the stand-in for
wallet-rpc plays in one process (tests/stand_in): what msigd itself costs, a
worker executed for each escrow, every commit durable."""
import http.client
import json
import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import machine
from machine import CORES, BenchError, wait_for


class StandIn:
    """So many endpoints that keep their wallets in memory, unless options say where."""

    def __init__(self, program, folder, count, *options):
        self.base, self.count = machine.port_range(count + 1), count
        self.control = self.base + count
        self.process = machine.spawn([program, "--port-base", str(self.base), "--count", str(count), "--control-port", str(self.control),
                                      *options], folder, Path(folder) / "stand-in.log")
        wait_for(self._is_up, "the stand-in")

    def _is_up(self):
        if self.process.poll() is not None:
            raise BenchError("the stand-in has ended")
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.control)) == 0

    def order(self, method, **params):
        """One of tests/stand_in/control.c: its result."""
        connection = http.client.HTTPConnection("127.0.0.1", self.control, timeout=60)
        try:
            connection.request("POST", "/json_rpc", json.dumps({"method": method, "params": params}).encode())
            reply = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        if "error" in reply:
            raise BenchError(f"the stand-in, {method}: {reply['error']}")
        return reply["result"]

    def end(self):
        self.process.kill()
        self.process.wait()


class Crowd:
    """An msigd on the endpoints of a stand-in, spoken to without msigctl."""

    def __init__(self, stage, folder, stand_in, locks=None, wallets="", instrumentation=False, **environment):
        self.folder = Path(tempfile.mkdtemp(prefix="crowd", dir=folder))
        self.shares_locks = locks is not None
        self.locks = locks or tempfile.mkdtemp(prefix="msigd-bench-lock.", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
        self.count = stand_in.count
        conf = self.folder / "msigd.conf"
        conf.write_text(
            f'network = testnet\nstate-dir = "{self.folder}/state"\nrun-dir = "{self.folder}/run"\nlock-dir = "{self.locks}"\n'
            f"log-level = warn\nspares = false\nsession-max = 0\ninstrumentation = {str(instrumentation).lower()}\n"
            + "".join(f'endpoint "e{n}" {{\n\turl = http://127.0.0.1:{stand_in.base + n}\n\twallet-dir = "{wallets}"\n}}\n'
                      for n in range(self.count)), encoding="utf-8")
        self.argv, self.environment = [f"{stage}/sbin/msigd", "-d", "-f", str(conf)], environment
        self.start()
        wait_for(self._is_idle, f"{self.count} idle endpoints", limit=300, step=0.2)

    def start(self):
        self.process = machine.spawn(self.argv, self.folder, self.folder / "log", **self.environment)

    def kill(self):
        """kill -9; waits until its workers have ended too."""
        left = machine.children(self.process.pid)
        self.process.kill()
        self.process.wait()
        wait_for(lambda: not any(map(machine.command_line, left)), "the end of the workers of an msigd that was killed")

    def _is_idle(self):
        if self.process.poll() is not None:
            raise BenchError("msigd ended: " + (self.folder / "log").read_text()[-1000:])
        try:
            return self.api("get_status")["endpoints"]["idle"] == self.count
        except OSError:
            return False

    def post(self, request):
        body = json.dumps(request).encode()
        return json.loads(self._http(b"POST /json_rpc HTTP/1.1\r\nHost: msigd\r\nConnection: close\r\n"
                                     b"Content-Length: %d\r\n\r\n%s" % (len(body), body)))

    def metrics(self):
        text = self._http(b"GET /metrics HTTP/1.1\r\nHost: msigd\r\nConnection: close\r\n\r\n").decode()
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))}

    def _http(self, request):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(600)
            s.connect(f"{self.folder}/run/msigd.sock")
            s.sendall(request)
            return b"".join(iter(lambda: s.recv(1 << 20), b"")).split(b"\r\n\r\n", 1)[1]

    def api(self, method, **params):
        reply = self.post({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        if "error" in reply:
            raise BenchError(f"{method}: {reply['error']}")
        return reply["result"]

    def open(self, count):
        for begin in range(0, count, 1000):
            self.post([{"jsonrpc": "2.0", "id": n, "method": "open_escrow", "params": {}} for n in range(min(1000, count - begin))])

    def ended(self):
        escrows = self.api("get_status")["escrows"]
        if escrows["Failed"]:
            raise BenchError(f"{escrows['Failed']} escrows failed: " + (self.folder / "log").read_text()[-1000:])
        return escrows["Ready"]

    def cpu(self):
        """Seconds of msigd, and of the workers that have ended."""
        own = machine.main_thread_cpu_seconds(self.process.pid)
        return own, self.metrics()['msigd_worker_cpu_seconds_total{job="setup"}']

    def run(self, count):
        """Opens so many and waits until they are Ready."""
        before, ready, began = self.cpu(), self.ended(), time.monotonic()
        self.open(count)
        wait_for(lambda: self.ended() >= ready + count, f"{count} escrows", limit=1200, step=0.05)
        wall = time.monotonic() - began
        wait_for(lambda: self.api("get_status")["workers"] == 0, "the end of the workers")
        after = self.cpu()
        return {"escrows": count, "wall_s": wall, "per_s": count / wall,
                "msigd_cpu_ms": (after[0] - before[0]) * 1000 / count, "workers_cpu_ms": (after[1] - before[1]) * 1000 / count,
                "private_kib": machine.private_kib(self.process.pid)}

    def end(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        if not self.shares_locks:
            shutil.rmtree(self.locks, ignore_errors=True)


def throughput(stage, program, folder, escrows, endpoints, pairs=0, **environment):
    """So many escrows on one store. Then pairs of a hundred: on a new store, and
    on that one; in turn, for the machine itself is not the same all the time."""
    stand_in = StandIn(program, folder, endpoints)
    try:
        crowd = Crowd(stage, folder, stand_in, **environment)
        try:
            most = crowd.run(escrows)
            return {"most": most, "pairs": hundreds(stage, folder, stand_in, crowd, pairs) if pairs else []}
        finally:
            crowd.end()
    finally:
        stand_in.end()


def hundreds(stage, folder, stand_in, crowd, pairs):
    young = Crowd(stage, folder, stand_in, locks=crowd.locks)
    try:
        return [[young.run(100), crowd.run(100)] for _ in range(pairs)]
    finally:
        young.end()


def answers_meanwhile(stage, program, folder, escrows, changing_ms):
    """How long get_escrow takes while so many workers are at work, ms."""
    stand_in = StandIn(program, folder, escrows * 3, "--delay", f"changing={changing_ms}")
    try:
        crowd = Crowd(stage, folder, stand_in)
        try:
            crowd.open(escrows)
            escrow = crowd.api("list_escrows", limit=1)["escrows"][0]["escrow_id"]
            took, most_workers, ready = [], 0, 0
            while ready < escrows:
                began = time.monotonic()
                crowd.api("get_escrow", escrow_id=escrow)
                took.append((time.monotonic() - began) * 1000)
                if len(took) % 20 == 0:
                    status = crowd.api("get_status")
                    most_workers, ready = max(most_workers, status["workers"]), status["escrows"]["Ready"] + status["escrows"]["Failed"]
                time.sleep(0.01)
            crowd.ended()
        finally:
            crowd.end()
    finally:
        stand_in.end()
    took.sort()
    return {"escrows": escrows, "workers_at_once": most_workers, "answers": len(took), "median_ms": statistics.median(took),
            "p99_ms": took[int(len(took) * 0.99)], "most_ms": took[-1]}


def make_slow_fsync(folder, ms):
    """The environment that makes each fsync of an msigd so much slower."""
    library = f"{folder}/slow_fsync.so"
    subprocess.run([os.environ.get("CC", "cc"), "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-D_GNU_SOURCE", "-o", library,
                    str(Path(__file__).with_name("slow_fsync.c"))], check=True)
    return {"LD_PRELOAD": library, "BENCH_FSYNC_MS": str(ms)}


def measure(stage, program, folder, say, escrows=10000, endpoints=3000, workers=1000):
    say(f"stand-in: {escrows} escrows on {endpoints} endpoints")
    report = {"cores": CORES, "endpoints": endpoints, "quick": throughput(stage, program, folder, escrows, endpoints, pairs=5)}
    say(f"stand-in: {escrows // 5} escrows, 8 ms more for each fsync")
    report["slow_fsync"] = throughput(stage, program, folder, escrows // 5, endpoints, **make_slow_fsync(folder, 8))
    say(f"stand-in: status while {workers} workers are at work")
    report["status"] = answers_meanwhile(stage, program, folder, workers, 3000)
    return report
