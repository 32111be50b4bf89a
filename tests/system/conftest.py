"""Fixtures, and what must hold after every test: no process, file or lock is
left, and no log has an error that the test did not expect."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

import harness
from harness import Msigd
from machine import become_subreaper, descendants, free_ports, processes, take_ports, wait_for
from stand_ins import StandIn, Stood
from wallet_rpcs import Proxy, WalletRpc, start_wallet_rpcs

# Places that are the machine's, not the tests'.
ELSEWHERE = [Path(p).expanduser() for p in ("/run/msigd", "/var/lib/msigd", "/run/lock/msigd", "~/.bitmonero", "~/.shared-ringdb")]

SIDE_BY_SIDE = 8    # ranges of ports, for workers of pytest -n


def stages():
    return [s for s in (harness.STAGE, harness.STAGE_SANITIZED) if s]


def installed():
    """All files of the stages: tests use them and change nothing."""
    return {(str(p), p.lstat().st_mtime_ns) for s in stages() for p in s.rglob("*") if "__pycache__" not in str(p)}


def ours(places):
    """Processes of these places that we have started, or that were: another run
    beside this one may use the same stage."""
    children = descendants(os.getpid())
    return {pid: what for pid, what in processes(*places).items() if pid in children}


def pytest_sessionstart():
    become_subreaper()
    if "PYTEST_XDIST_WORKER" in os.environ:  # gw0, gw1, …
        take_ports(int(os.environ["PYTEST_XDIST_WORKER"][2:]) % SIDE_BY_SIDE, SIDE_BY_SIDE)
    if not (harness.STAGE / "sbin/msigd").exists():
        pytest.exit(f"there is no {harness.STAGE}/sbin/msigd: MSIGD_STAGE=PREFIX names an installation", 2)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        for msigd in getattr(item, "msigds", []):
            lines = msigd.log.read_text(errors="replace").splitlines() if msigd.log.exists() else []
            report.sections.append((str(msigd.log), "\n".join(lines[-60:])))


@pytest.fixture(scope="session")
def root():
    """The folder of the whole run; short, for a socket's path has 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="msigd-test-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def nothing_left(root, request):
    """Set up before, and so looks after, everything else of a test."""
    places = [root, *stages()]
    before, files = set(ours(places)), (installed(), [p for p in ELSEWHERE if p.exists()])
    yield
    left = {}

    def ended():
        nonlocal left
        left = {pid: what for pid, what in ours(places).items() if pid not in before}
        return not left
    try:
        wait_for(ended, "the end of what the test started", limit=30)
    except AssertionError:
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        pytest.fail(f"processes left: {left}")
    finally:
        shutil.rmtree(root / "t", ignore_errors=True)
    assert (installed(), [p for p in ELSEWHERE if p.exists()]) == files, "files were left outside the test's folder"


@pytest.fixture
def folder(root, nothing_left):
    path = root / "t"
    path.mkdir()
    path.chmod(0o755)
    return path


@pytest.fixture
def msigd(folder, request):
    """Makes msigds: msigd(endpoints, …) has one started; start=False leaves that to the test."""
    made = request.node.msigds = []

    def make(endpoints=(), start=True, name=None, **options):
        made.append(Msigd(folder / (name or f"m{len(made)}"), endpoints, **options))
        return made[-1].start() if start else made[-1]
    yield make
    problems = []
    for one in made:
        if one.running():
            try:
                one.stop()
            except (AssertionError, subprocess.TimeoutExpired) as error:
                problems.append(str(error))
                one.process.kill()
                one.process.wait()
        problems += one.faults() + one.busy_locks()
        problems += [str(p) for p in one.run.glob("*")] if one.run.exists() and one.process and one.process.returncode == 0 else []
    assert not problems


@pytest.fixture
def wallet_rpc(folder):
    """Makes wallet-rpcs of the test's own."""
    made = []

    def make(name, **options):
        made.append(WalletRpc(folder / name, **options))
        return made[-1]
    yield make
    for one in made:
        one.kill()


@pytest.fixture
def proxy():
    made = []

    def make(rpc, rule=None):
        made.append(Proxy(rpc, rule))
        return made[-1]
    yield make
    for one in made:
        one.close()


@pytest.fixture
def stand_in(folder):
    made = []

    def make(*options, **more):
        made.append(StandIn(folder / f"s{len(made)}", *options, **more))
        return made[-1]
    yield make
    for side in made:
        side.end()


@pytest.fixture
def stood(stand_in):
    side = stand_in()
    return [Stood(side, number) for number in range(3)]


@pytest.fixture
def with_worker(msigd, folder):
    """An msigd whose worker is this text (harness.fake), with endpoints that nobody looks at."""
    if os.geteuid() != 0:
        pytest.skip("mounts a fake worker over the installed one")
    def make(text, mode=0o755, start=True, **options):
        fake = folder / f"worker{len(list(folder.glob('worker*')))}"
        fake.write_bytes(text if isinstance(text, bytes) else text.encode())
        fake.chmod(mode)
        wrap = ["unshare", "-m", "sh", "-c", f'mount --bind {fake} {harness.WORKER} && exec "$@"', "sh"]
        endpoints = [harness.section(f"w{n}", f"http://127.0.0.1:{n}") for n in (1, 2, 3)]
        made = msigd(endpoints, wrap=wrap, start=start, **options)
        made.expect("worker_died", "worker_old_generation", "report_refused")
        return made
    return make


@pytest.fixture(scope="session")
def rpcs(root):
    """Three wallet-rpcs without login and one folder of wallets, for all tests
    that do not break them. What is left open in them, msigd has to close."""
    made = start_wallet_rpcs(root / "rpcs", 3)
    yield made
    for one in made:
        one.kill()


@pytest.fixture(scope="session")
def dead():
    """An endpoint where nobody listens."""
    return harness.section("dead", f"http://127.0.0.1:{free_ports()}")


# --- clients that are slow on purpose -------------------------------------------------

class SlowClients:
    """An msigd, and clients of it that stop in the middle of what they do."""

    def __init__(self, folder):
        self.msigd = Msigd(folder, [harness.section("dead", f"http://127.0.0.1:{free_ports()}")]).start()
        self.halves = {what: self._half(text) for what, text in {
            "a connection that says nothing": b"", "half a line": b"POST /json_r", "half a header": b"POST /json_rpc HTTP/1.1\r\nHost: x\r\n",
            "half a body": b'POST /json_rpc HTTP/1.1\r\nContent-Length: 1000\r\n\r\n{"jsonrpc"'}.items()}
        for number in range(6):
            if number == 5:  # it has all of it before it, and more comes than it takes
                self.sipping = self._half(b"GET /events?since=0 HTTP/1.1\r\nHost: x\r\n\r\n")
            self.msigd.post([{"jsonrpc": "2.0", "id": i, "method": "open_escrow"} for i in range(1000)])
        self.stuck = self._half(b"GET /events?since=0 HTTP/1.1\r\nHost: x\r\n\r\n")
        self.dribbling = self._half(b"POST /json_rpc HTTP/1.1\r\nContent-Length: 1000\r\n\r\n")
        self.closing = threading.Event()
        self.began = time.monotonic()
        self.dribbled_until = self.began
        threading.Thread(target=self._go_on, daemon=True).start()
        self.quiet = self.msigd.events()

    def _half(self, text):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(self.msigd.socket))
        connection.sendall(text)
        return connection

    def _go_on(self):
        """A byte of a request each second, and 1 KiB of events taken."""
        while not self.closing.wait(1):
            try:
                self.sipping.recv(1024)
            except OSError:
                pass
            try:
                self.dribbling.sendall(b"x")
                self.dribbled_until = time.monotonic()
            except OSError:
                pass

    def close(self):
        self.closing.set()
        for connection in [self.stuck, self.sipping, self.dribbling, *self.halves.values()]:
            connection.close()
        self.quiet.close()
        self.msigd.stop()
        assert not self.msigd.faults()


@pytest.fixture(scope="session", autouse=True)
def slow_clients(root, request):
    """Begun with the run, for they take a while."""
    if not any("slow_clients" in item.nodeid for item in request.session.items):
        yield None
        return
    clients = SlowClients(root / "slow")
    yield clients
    clients.close()


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: "slow_clients" in item.nodeid)
