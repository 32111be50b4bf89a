"""An msigd on the stand-in's endpoints, with somebody who starts it again when it dies."""
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "system"))

from harness import Msigd, section  # noqa: E402
from machine import alive, free_ports, listens, wait_for  # noqa: E402
from referee import Referee  # noqa: E402
from wallet_rpcs import WalletError, start_wallet_rpcs  # noqa: E402

STAND_IN = os.environ.get("MSIGD_STAND_IN", "stand_in")
STAGE = Path(os.environ.get("MSIGD_STAGE", "/usr/local"))
LIMIT = 60          # s, for what never takes a tenth of it
ESCROW = "01890a5d-ac96-774b-bcce-b302099a8057"
OTHERS = ["01890a5d-ac96-774b-bcce-b302099a8058", "01890a5d-ac96-774b-bcce-b302099a8059"]
A_WHILE = 0.3       # s that something is stopped
POLL = 0.02         # s; asking costs msigd and us more than the wait does


class Broken(Exception):
    """A law does not hold; without a law: a run did not come to where the laws are looked at."""

    def __init__(self, text, law=None):
        super().__init__(f"{law}: {text}" if law else text)
        self.law = law


def check(holds, text, law=None):
    if not holds:
        raise Broken(text, law)


class StandIn:
    """The endpoints, all in one process; each can be killed for itself."""
    patience = LIMIT

    def __init__(self, folder, count):
        self.folder = Path(folder) / "wallets"
        self.folder.mkdir(parents=True)
        self.count, self.process = count, None
        while not self._spawn():    # others look for ports, too
            self.end()

    def _spawn(self):
        self.port = free_ports(self.count + 1)
        self.control = self.port + self.count
        self.process = subprocess.Popen(
            [STAND_IN, "--port-base", str(self.port), "--count", str(self.count), "--control-port", str(self.control),
             "--wallet-dir", str(self.folder)], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: self.process.poll() is not None or listens(self.control), "the stand-in", limit=LIMIT, step=0.005)
        try:
            return self.order("pid")["pid"] == self.process.pid     # it listens here last
        except (OSError, http.client.HTTPException, Broken):
            return False

    def sections(self):
        return [section(f"w{n}", f"http://127.0.0.1:{port}", **{"wallet-dir": self.folder}) for n, port in enumerate(self.ports())]

    def ports(self):
        return range(self.port, self.port + self.count)

    def pids(self):
        return [self.process.pid]

    def order(self, method, **params):
        body = json.dumps({"method": method, "params": params}).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.control, timeout=LIMIT)
        try:
            connection.request("POST", "/json_rpc", body)
            said = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        check("error" not in said, f"the stand-in was told {method}: {said.get('error')}")
        return said["result"]

    def kill(self, port):
        self.order("kill", endpoint=port)

    def restart(self, port):
        """Nothing when it runs."""
        self.order("restart", endpoint=port)

    def fault(self, port, method, kind, value):
        """What becomes of the next such call."""
        self.order("fault", endpoint=port, call=method, kind=kind, value=value)

    def faults_left(self):
        """How many of these no call has met."""
        return self.order("faults")["left"]

    def slow(self, method, ms):
        self.order("delay", call=method, value=ms)

    def call(self, method, **params):
        """A call on the first endpoint, behind msigd's back: the result."""
        return self.order("call", endpoint=self.port, call=method, params=params)

    def ledger(self):
        """What was done to which wallet, in order (tests/stand_in/ledger.h)."""
        return self.order("ledger")["entries"]

    def end(self):
        self.process.kill()
        self.process.wait()


class RealWallets:
    """The same with monero-wallet-rpcs. They keep no ledger, and their answers are not tampered with."""
    patience = 10 * LIMIT

    def __init__(self, folder, count):
        self.rpcs = start_wallet_rpcs(folder, count)
        self.folder = self.rpcs[0].wallets
        self.by_port = {rpc.port: rpc for rpc in self.rpcs}
        self.lock = threading.Lock()

    def sections(self):
        return [section(f"w{n}", rpc) for n, rpc in enumerate(self.rpcs)]

    def ports(self):
        return list(self.by_port)

    def pids(self):
        return [rpc.process.pid for rpc in self.rpcs]

    def kill(self, port):
        self.by_port[port].kill()

    def restart(self, port):
        """In a moment: it takes a second until it listens. Nothing when it runs."""
        with self.lock:
            if self.by_port[port].process.poll() is not None:
                self.by_port[port].spawn()

    def call(self, method, **params):
        try:
            return self.rpcs[0].wait().call(method, **params)
        except WalletError as error:
            raise Broken(f"{method}: {error}") from error

    def faults_left(self):
        return 0

    def ledger(self):
        return []

    def end(self):
        for rpc in self.rpcs:
            rpc.kill()


class World:
    """`strikes` as the Referee has them, with what to do as one of ACTS; `at_death`
    is called with the world each time when msigd has died, before it is started again.
    later: strikes are counted from begin() on. blind: msigd is not told where the
    wallets' files are."""

    def __init__(self, folder, strikes=(), at_death=None, endpoints=4, wallets=StandIn, later=False, blind=False, **keys):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.wallets = wallets(self.folder, endpoints)
        self.referee = Referee(self.folder, [(point, nth, lambda at, act=act: self._strike(act, at)) for point, nth, act in strikes], later)
        self.at_death, self.broken, self.ending = at_death, None, False
        self.seen = b""         # arguments and environments, of all processes of ours at the strikes
        self.old_entries = 0    # of the ledger, from before the wallets were lost
        self.hurt = set()       # endpoints that are not started again before the end
        sections = [re.sub('wallet-dir = ".*"', 'wallet-dir = ""', one) if blind else one for one in self.wallets.sections()]
        self.m = Msigd(self.folder / "m", sections, stage=STAGE,
                       wrap=["env", f"MSIGD_FAULT_SOCKET={self.referee.path}", f"PATH={self.programs}:{os.environ['PATH']}"], **keys)
        self._start()

    @property
    def programs(self):
        """A folder that is first in msigd's PATH."""
        return self.folder / "programs"

    def _start(self):
        self.m.spawn()
        self.ending = False
        self.keeper = threading.Thread(target=self._keep, daemon=True)
        self.keeper.start()

    def restart(self, change):
        """A clean end, a change of what is on disk, and a start."""
        self.ending = True
        self.m.stop()
        self.keeper.join()
        change()
        self._start()

    def begin(self):
        """From here on strikes are counted."""
        self.referee.begin()

    def disarm(self):
        """Nothing is struck any more; returns the points that were passed."""
        return self.referee.disarm()

    def _strike(self, act, at):
        try:
            self.seen += arguments_and_environments(self)
            act(self, at)
        except Broken as error:
            self.broken = error

    def _keep(self):
        while True:
            status = self.m.process.wait()
            if self.ending:
                return
            if status != -signal.SIGKILL:
                self.broken = Broken(f"msigd ended with {status}")
                return
            try:
                if self.at_death is not None:
                    self.at_death(self)
            except Broken as error:
                self.broken = error
            if not self.ending:
                self.m.spawn()

    # --- what an operator does

    def api(self, method, **params):
        """Asks until somebody answers."""
        end = time.monotonic() + self.wallets.patience
        while True:
            try:
                return self.m.api(method, **params)
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.look()
                check(time.monotonic() < end, f"nobody answers {method}: {error}")
                time.sleep(POLL)

    def wait(self, condition, what):
        end = time.monotonic() + self.wallets.patience
        while not (found := condition()):
            self.look()
            check(time.monotonic() < end, f"not in time: {what}")
            time.sleep(POLL)
        return found

    def revive(self):
        """Somebody starts the wallet-rpcs again that have died, but for those of `wallet gone`."""
        for port in self.wallets.ports():
            if port not in self.hurt:
                self.wallets.restart(port)

    def look(self):
        """Whether something was broken already."""
        if self.broken is not None:
            raise self.broken

    def endpoint_states(self):
        return [e["state"] for e in self.api("get_endpoints")]

    def stop(self):
        """A clean end of msigd, when nothing is struck any more; every wallet-rpc runs again."""
        self.ending = True
        self.m.stop()
        for port in self.wallets.ports():
            self.wallets.restart(port)

    def end(self):
        self.ending = True
        self.referee.close()
        while self.keeper.is_alive():   # it may just be about to start another one
            self.m.process.kill()
            self.keeper.join(POLL)
        self.wallets.end()

    # --- who is there

    def workers(self):
        """Pids of workers that have been at a point, also of an msigd that is gone."""
        return [pid for pid in list(self.referee.pids) if is_worker(pid)]

    def supervisor(self):
        return self.m.process.pid

    def ports_of(self, at):
        """Of the endpoint that is called at a point; of all, if none is."""
        return [at.port] if at.port else list(self.wallets.ports())


def is_worker(pid):
    try:
        return Path(f"/proc/{pid}/comm").read_text().startswith("msigd-worker") and alive(pid)
    except OSError:
        return False


def arguments_and_environments(world):
    """Of msigd, and of all that it has started, now."""
    found, todo = b"", [world.supervisor(), *world.workers()]
    while todo:
        here = Path(f"/proc/{todo.pop()}")
        try:
            found += (here / "cmdline").read_bytes() + b"\n" + (here / "environ").read_bytes() + b"\n"
            todo += map(int, (here / "task" / here.name / "children").read_text().split())
        except OSError:
            pass    # it has ended
    return found


# --- what a strike does -------------------------------------------------------------------

def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def restart_wallets(world, ports):
    for port in ports:
        world.wallets.kill(port)
        world.wallets.restart(port)


def kill_self(world, at):
    del world
    kill(at.pid)


def kill_supervisor(world, at):
    del at
    kill(world.supervisor())


def kill_workers(world, at):
    del at
    for worker in world.workers():
        kill(worker)


def kill_wallet(world, at):
    restart_wallets(world, world.ports_of(at))


def kill_wallets(world, at):
    del at
    restart_wallets(world, world.wallets.ports())


def kill_all(world, at):
    """The power cut."""
    kill_workers(world, at)
    kill_wallets(world, at)
    kill_supervisor(world, at)


def wallet_gone(world, at):
    """Its wallet-rpc dies and does not come back before the end."""
    for port in world.ports_of(at)[:1]:
        world.wallets.kill(port)
        world.hurt.add(port)


def stop_for_a_while(pid):
    try:
        os.kill(pid, signal.SIGSTOP)
    except ProcessLookupError:
        return
    threading.Timer(A_WHILE, lambda: go_on(pid)).start()


def go_on(pid):
    try:
        os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        pass


def stop_self(world, at):
    del world
    stop_for_a_while(at.pid)


def stop_supervisor(world, at):
    del at
    stop_for_a_while(world.supervisor())


def stop_wallets(world, at):
    del at
    for each in world.wallets.pids():
        stop_for_a_while(each)


def ghost(world, at):
    """A worker that is stopped while its supervisor dies, and wakes when the next one is at work."""
    stop_for_a_while(at.pid)
    kill_supervisor(world, at)


ACTS = {
    "kill self": kill_self, "kill supervisor": kill_supervisor, "kill workers": kill_workers, "kill wallet": kill_wallet,
    "kill wallets": kill_wallets, "kill all": kill_all, "wallet gone": wallet_gone,
    "stop self": stop_self, "stop supervisor": stop_supervisor, "stop wallets": stop_wallets, "ghost": ghost,
}


def http_fault(kind, value=0):
    """What the stand-in does with the call that is about to be made."""
    def act(world, at):
        method = at.point.split()[0].split(":")[1]
        for port in world.ports_of(at):
            world.wallets.fault(port, method, kind, value)
    return act


for _kind in ("lost_before", "lost", "cut", "cut_head", "garbage", "twice", "kill_before", "kill", "torn"):
    ACTS[f"http {_kind}"] = http_fault(_kind)
ACTS["http late"] = http_fault("delay", 300)
for _status in (401, 500):
    ACTS[f"http {_status}"] = http_fault("http", _status)
for _code in (-1, -13, -28, -48):
    ACTS[f"http error {_code}"] = http_fault("error", _code)
