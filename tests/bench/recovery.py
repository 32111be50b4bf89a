"""What an interruption costs. On real wallet-rpcs: an escrow whose worker is killed
in the second exchange, beside one that is left alone. On a stand-in: an msigd that
was killed with hundreds of escrows in their first exchange, from its start until
all of them were taken up again."""
import os
import signal
import tempfile
import time

import machine
from crowd import Crowd, StandIn
from machine import BenchError, in_turn, medians, wait_for
from raw_setup import ROLES
from servers import Msigd, read_events

MAKE, FIRST_EXCHANGE, SECOND_EXCHANGE = 2, 3, 4    # rounds of step events
AT_WORK_S = 0.05    # of CPU: a wallet-rpc that used so much is in the midst of that call of 0.3 s
RESTARTS_MAX = 3
HELD_MS = 30000     # an exchange takes so long while all escrows get there
EXCHANGE = "exchange_multisig_keys"


# --- a worker, on real wallet-rpcs ------------------------------------------------

def until_done(events, round_, count):
    """The event with which so many wallets have done a round."""
    for event in events:
        count -= event["type"] == "step" and event["round"] == round_
        if count == 0:
            return event
    raise AssertionError("they have no end")


def until_ready(events):
    """The events up to there."""
    passed = []
    for event in events:
        passed.append(event)
        if event.get("phase") == "Failed":
            raise BenchError(f"an escrow has failed: {event['reason']}")
        if event.get("phase") == "Ready":
            return passed
    raise AssertionError("they have no end")


def setup_workers(msigd):
    return [pid for pid in machine.children(msigd.process.pid) if " setup " in machine.command_line(pid)]


def kill_at_work(msigd, rpcs):
    """SIGKILL for the worker once each of its three wallet-rpcs has got something
    to do. Returns the time."""
    before = rpcs.cpu_seconds_each(len(ROLES))
    wait_for(lambda: all(now - then >= AT_WORK_S for now, then in zip(rpcs.cpu_seconds_each(len(ROLES)), before)),
             "three wallet-rpcs at work", step=0.002)
    pid, = setup_workers(msigd)
    os.kill(pid, signal.SIGKILL)
    return time.monotonic()


def in_the_midst(passed):
    """How many of the second exchanges had no result when their worker died."""
    kinds = [event["type"] for event in passed]
    if "interrupted" not in kinds or "attempt" in kinds:
        raise BenchError("the escrow whose worker was killed did not go on where it was: " + ", ".join(kinds))
    done = [event for event in passed[:kinds.index("interrupted")] if event["type"] == "step" and event["round"] == SECOND_EXCHANGE]
    return len(ROLES) - len(done)


def one_escrow(rpcs, stage, kills):
    msigd, count = Msigd(stage, rpcs, len(ROLES)), len(ROLES)
    try:
        msigd.wait_until_free()
        began, cpu = time.monotonic(), rpcs.cpu_seconds(count)
        events = msigd.events(msigd.post("open_escrow")[1]["escrow_id"])
        if not kills:
            until_ready(events)
            return {"wall_s": time.monotonic() - began, "rpc_cpu_s": rpcs.cpu_seconds(count) - cpu}
        until_done(events, FIRST_EXCHANGE, count)
        killed, cpu = kill_at_work(msigd, rpcs), rpcs.cpu_seconds(count)
        passed, now = until_ready(events), time.monotonic()
        return {"wall_s": now - began, "after_s": now - killed, "rpc_cpu_s": rpcs.cpu_seconds(count) - cpu, "lost": in_the_midst(passed)}
    finally:
        msigd.end()


def worker_killed(rpcs, stage, runs, say):
    return in_turn("recovery, an escrow", runs, say, alone=lambda: one_escrow(rpcs, stage, False),
                   killed=lambda: one_escrow(rpcs, stage, True))


# --- msigd, on a stand-in ---------------------------------------------------------

def exchanges_carried_out(stand_in):
    return sum(entry["call"] == EXCHANGE for entry in stand_in.order("ledger")["entries"])


def kill_in_exchange(crowd, stand_in, escrows):
    """kill -9 with every wallet of every escrow in its first exchange; the wallets
    finish that, and nobody hears what they answer. Returns the last event's number."""
    stand_in.order("delay", call=EXCHANGE, value=HELD_MS)
    crowd.open(escrows)
    wallets = escrows * len(ROLES)
    seq = until_done(read_events(crowd.folder, "since=0"), MAKE, wallets)["seq"]
    wait_for(lambda: stand_in.order("counters").get(EXCHANGE, 0) >= wallets, f"{wallets} exchanges under way", step=0.05)
    crowd.kill()
    if exchanges_carried_out(stand_in) > 0:
        raise BenchError(f"{escrows} escrows were not all in their first exchange within {HELD_MS / 1000:g} s: "
                         "do it again when the machine is idle")
    stand_in.order("delay", call=EXCHANGE, value=0)
    wait_for(lambda: exchanges_carried_out(stand_in) == wallets, f"{wallets} exchanges carried out", limit=HELD_MS / 1000 + 30, step=0.2)
    return seq


def until_it_listens(crowd):
    def listens():
        if crowd.process.poll() is not None:
            raise BenchError("msigd ended: " + (crowd.folder / "log").read_text()[-1000:])
        try:
            return crowd.api("get_info")
        except OSError:
            return False
    wait_for(listens, "msigd's socket", limit=60, step=0.005)


class Restart:
    """What the events of an msigd that was started again tell, with the seconds
    since then. An escrow is taken up when its new worker has looked at its wallets
    and says the first thing of them."""

    def __init__(self, crowd, escrows, began):
        self.crowd, self.escrows, self.began = crowd, escrows, began
        self.seen = {"resume": {}, "taken_up": {}, "ready": {}}    # {escrow: when}
        self.restored = self.workers = 0

    def _note(self, what, event):
        self.seen[what].setdefault(event["escrow_id"], time.monotonic() - self.began)

    def follow(self, events):
        for event in events:
            kind = event["type"]
            if event.get("phase") == "Failed" or kind in ("attempt", "interrupted"):
                raise BenchError(f"an escrow did not go on where it was: {event['reason']}")
            if kind == "resume":
                self._note("resume", event)
            elif kind in ("restore", "step"):
                self._note("taken_up", event)
                self.restored += kind == "restore"
            elif event.get("phase") == "Ready":
                self._note("ready", event)
            self.workers = max(self.workers, len(machine.children(self.crowd.process.pid)))
            if len(self.seen["ready"]) == self.escrows:
                return

    def figures(self):
        for what, seen in self.seen.items():
            if len(seen) != self.escrows:
                raise BenchError(f"{what}: of {len(seen)} escrows, and {self.escrows} were under way")
        return {"first_s": min(self.seen["taken_up"].values()), "resumed_s": max(self.seen["resume"].values()),
                "taken_up_s": max(self.seen["taken_up"].values()), "ready_s": max(self.seen["ready"].values()),
                "restored": self.restored, "workers_at_once": self.workers}


def start_again(crowd, escrows, seq):
    restart = Restart(crowd, escrows, time.monotonic())
    crowd.start()
    until_it_listens(crowd)
    restart.follow(read_events(crowd.folder, f"since={seq}"))
    dirty, _ = machine.private_kib(crowd.process.pid) or (0, 0)
    wait_for(lambda: crowd.api("get_status")["workers"] == 0, "the end of the workers", limit=120)
    own, workers = crowd.cpu()
    probing = crowd.metrics()['msigd_worker_cpu_seconds_total{job="tend"}']
    return {**restart.figures(), "dirty_kib": dirty, "msigd_cpu_ms": own * 1000 / escrows,
            "workers_cpu_ms": workers * 1000 / escrows, "probing_cpu_ms": probing * 1000 / escrows}


def msigd_killed(stage, program, folder, escrows):
    wallets = tempfile.mkdtemp(prefix="wallets", dir=folder)
    stand_in = StandIn(program, folder, escrows * len(ROLES), "--wallet-dir", wallets)
    try:
        crowd = Crowd(stage, folder, stand_in, wallets=wallets)
        try:
            return start_again(crowd, escrows, kill_in_exchange(crowd, stand_in, escrows))
        finally:
            crowd.end()
    finally:
        stand_in.end()


def measure(rpcs, stage, program, folder, runs, say, escrows=200):
    report, restarts = {"worker": worker_killed(rpcs, stage, runs, say)}, []
    for number in range(1, min(runs, RESTARTS_MAX) + 1):
        say(f"recovery: run {number} of {min(runs, RESTARTS_MAX)}, msigd killed with {escrows} escrows unfinished")
        restarts.append(msigd_killed(stage, program, folder, escrows))
    report["msigd"] = {"escrows": escrows, "runs": restarts, **medians(restarts)}
    return report
