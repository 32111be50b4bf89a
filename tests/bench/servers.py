"""The wallet-rpcs and the msigd that the bench starts and ends."""
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import machine
import raw_setup
from machine import BenchError, wait_for


class WalletRpcs:
    """Offline testnet wallet-rpcs with one folder of wallets."""

    def __init__(self, folder, count, **environment):
        self.folder = Path(folder)
        self.wallets = self.folder / "wallets"
        self.wallets.mkdir(parents=True)
        self.ports = machine.free_ports(count)
        self.processes = []
        self.environment = environment

    def start(self):
        for port in self.ports:
            argv = ["monero-wallet-rpc", "--testnet", "--offline", "--rpc-bind-port", str(port), "--rpc-ssl", "disabled",
                    "--daemon-ssl", "disabled", "--disable-rpc-login", "--non-interactive", "--wallet-dir", str(self.wallets),
                    "--shared-ringdb-dir", str(self.folder / "ringdb"), "--log-file", str(self.folder / f"rpc-{port}.log")]
            self.processes.append(machine.spawn(argv, self.folder, self.folder / f"out-{port}", **self.environment))
        for port, process in zip(self.ports, self.processes):
            wait_for(lambda port=port, process=process: self._is_up(port, process), f"monero-wallet-rpc on port {port}")

    def _is_up(self, port, process):
        if process.poll() is not None:
            raise BenchError(f"monero-wallet-rpc did not start: {(self.folder / f'out-{port}').read_text()[-500:]}")
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0

    def cpu_seconds_each(self, count):
        """Of the first so many."""
        return [machine.cpu_seconds(p.pid) for p in self.processes[:count]]

    def cpu_seconds(self, count):
        return sum(self.cpu_seconds_each(count))

    def end(self):
        for p in self.processes:
            p.kill()
        for p in self.processes:
            p.wait()


def read_events(folder, query, limit=120):
    """The events of the msigd in a folder, as they come; each at the latest so
    many seconds after the one before."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(limit)
        s.connect(f"{folder}/run/msigd.sock")
        s.sendall(f"GET /events?{query} HTTP/1.1\r\nHost: msigd\r\n\r\n".encode())
        try:
            for line in s.makefile("r", encoding="utf-8"):
                if line.startswith("{"):    # not the headers, nor the sizes of the chunks
                    yield json.loads(line)
        except TimeoutError as e:
            raise BenchError(f"waited in vain: an event of msigd in {limit} s") from e
    raise BenchError("the events of msigd have come to an end")


class Msigd:
    """A fresh one, with the first so many wallet-rpcs as given endpoints. Other
    keywords are keys of its configuration."""

    def __init__(self, stage, rpcs, count, spares=False, session_max=0, instrumentation=False):
        self.folder = Path(tempfile.mkdtemp(prefix="m", dir=rpcs.folder))
        # in memory, as /run/lock is
        self.locks = tempfile.mkdtemp(prefix="msigd-bench-lock.", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
        self.ctl = [f"{stage}/bin/msigctl", "-j", "-s", f"{self.folder}/run/msigd.sock"]
        conf = self.folder / "msigd.conf"
        self.spares = spares
        conf.write_text(f"network = testnet\nspares = {str(spares).lower()}\nsession-max = {session_max}\n"
                        f"instrumentation = {str(instrumentation).lower()}\n" + f'state-dir = "{self.folder}/state"\nrun-dir = "{self.folder}/run"\nlock-dir = "{self.locks}"\n'
                        + "".join(f'endpoint "e{port}" {{\n\turl = http://127.0.0.1:{port}\n\twallet-dir = "{rpcs.wallets}"\n}}\n'
                                  for port in rpcs.ports[:count]), encoding="utf-8")
        self.process = machine.spawn([f"{stage}/sbin/msigd", "-d", "-f", str(conf)], self.folder, self.folder / "log")
        self.count = count

    def wait_until_free(self):
        """Its endpoints are idle, or with spares primed, and nothing is at work."""
        try:
            wait_for(self._is_free, f"{self.count} free endpoints of msigd", limit=120, step=0.1)
        except BenchError as e:
            seen = subprocess.run(self.ctl[:1] + self.ctl[2:] + ["endpoints"], capture_output=True, text=True, check=False)
            raise BenchError(f"{e}\n{seen.stdout}{seen.stderr}{self.said()}") from e

    def _is_free(self):
        if self.process.poll() is not None:
            raise BenchError("msigd ended:\n" + self.said())
        done = subprocess.run(self.ctl + ["endpoints"], capture_output=True, text=True, check=False)
        return done.returncode == 0 and [e["state"] for e in json.loads(done.stdout)] == ["primed" if self.spares else "idle"] * self.count \
            and not machine.children(self.process.pid)

    def said(self):
        log = self.folder / "log"
        return log.read_text(errors="replace")[-2000:] if log.exists() else ""

    def cpu_seconds(self):
        """(of msigd itself, of its setup workers that have ended)"""
        own = machine.main_thread_cpu_seconds(self.process.pid)
        return own, self._metrics()['msigd_worker_cpu_seconds_total{job="setup"}']

    def open(self, count=1, meanwhile=None):
        """Escrows opened at the same time, each by a `msigctl open --wait` of its
        own. Returns (seconds until the last has its address, [escrow]).
        meanwhile(): called over and over, for what is not timed."""
        began = time.monotonic()
        running = [subprocess.Popen(self.ctl + ["open", "--wait", "--timeout", "120s"], stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, text=True, start_new_session=True) for _ in range(count)]
        try:
            while meanwhile is not None and running[0].poll() is None:
                meanwhile()
                time.sleep(0.02)
            outputs = [p.communicate() for p in running]
            wall = time.monotonic() - began
        finally:
            for p in running:
                p.kill()
                p.wait()
        for p, (_, error) in zip(running, outputs):
            if p.returncode != 0:
                raise BenchError(f"msigctl open --wait: {error.strip()}\n{self.said()}")
        return wall, [json.loads(output) for output, _ in outputs]

    def post_raw(self, request):
        """(seconds, answer) of a request, without msigctl."""
        body = json.dumps(request).encode()
        began = time.monotonic()
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(120)
            s.connect(f"{self.folder}/run/msigd.sock")
            s.sendall(b"POST /json_rpc HTTP/1.1\r\nHost: msigd\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            data = b"".join(iter(lambda: s.recv(1 << 16), b""))
        return time.monotonic() - began, json.loads(data.split(b"\r\n\r\n", 1)[1])

    def post(self, method, **params):
        """(seconds, result) of a call."""
        took, reply = self.post_raw({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        if "error" in reply:
            raise BenchError(f"{method}: {reply['error']}")
        return took, reply["result"]

    def wait_until_setups_are_gone(self):
        """CPU seconds (of msigd, of its workers) once the workers of its escrows
        were reaped. What is tended or verified after that does not count."""
        wait_for(lambda: not any(" setup " in machine.command_line(pid) for pid in machine.children(self.process.pid)),
                 "the end of msigd's workers", step=0.002)
        return self.cpu_seconds()

    def events(self, escrow_id):
        return read_events(self.folder, f"since=0&escrow={escrow_id}")

    def critical_path(self, escrow_id):
        """Seconds in the slowest main calls, from the step events."""
        main_s = {role: {} for role in raw_setup.ROLES}
        for event in self.events(escrow_id):
            if event["type"] == "step":
                main_s[event["role"]][event["round"]] = event["duration_ms"] / 1000
            elif event.get("phase") == "Ready":
                break
        return raw_setup.critical_path(list(main_s.values()))

    def open_many(self, count):
        """The ids of so many, opened with one request."""
        body = [{"jsonrpc": "2.0", "id": n, "method": "open_escrow", "params": {}} for n in range(count)]
        return [reply["result"]["escrow_id"] for reply in self.post_raw(body)[1]]

    def wait_until_ready(self, ids):
        def ended():
            escrows = self.post("get_status")[1]["escrows"]
            if escrows["Failed"]:
                raise BenchError(f"{escrows['Failed']} escrows failed:\n{self.said()}")
            return escrows["Ready"] >= len(ids)
        wait_for(ended, f"{len(ids)} escrows", limit=1200, step=0.1)

    def lock_holds(self):
        """Seconds that endpoints were held, in all."""
        return self._metrics()['msigd_lock_hold_seconds_sum{kind="endpoint"}']

    def _metrics(self):
        done = subprocess.run(self.ctl[:1] + self.ctl[2:] + ["metrics"], capture_output=True, text=True, check=True)
        lines = (line.rsplit(" ", 1) for line in done.stdout.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in lines}

    def lock_waits(self):
        """{kind: [locks taken, ms waited for them in all, tries that found them busy]} since its start"""
        values = self._metrics()
        return {kind: [int(values[f'msigd_lock_wait_seconds_count{{kind="{kind}"}}']),
                       values[f'msigd_lock_wait_seconds_sum{{kind="{kind}"}}'] * 1000,
                       int(values[f'msigd_lock_busy_tries_total{{kind="{kind}"}}'])] for kind in ("escrow", "endpoint")}

    def end(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self.locks, ignore_errors=True)
