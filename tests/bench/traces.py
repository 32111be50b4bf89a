"""What instrumentation costs. On real wallet-rpcs: an escrow with a trace beside
one without. On a stand-in: hundreds at once, all in the midst of their set-up,
with and without."""
import statistics
import tempfile

import machine
from crowd import Crowd, StandIn
from machine import in_turn, wait_for
from raw_setup import ROLES
from servers import Msigd

CHANGING_MS = 4000      # a call that changes a wallet takes so long while all escrows get there
CPU_PAIRS = 5


# --- on real wallet-rpcs ----------------------------------------------------------

def trace_files(msigd):
    """(count, bytes of the last one)"""
    files = sorted((msigd.folder / "state/traces").glob("*"))
    return len(files), files[-1].stat().st_size if files else 0


def one_escrow(rpcs, stage, instrumentation):
    msigd = Msigd(stage, rpcs, len(ROLES), instrumentation=instrumentation)
    try:
        msigd.wait_until_free()
        own, workers = msigd.cpu_seconds()
        own = machine.main_thread_cpu_seconds(msigd.process.pid)    # asking for the workers' took some
        wall, (escrow,) = msigd.open()
        critical = msigd.critical_path(escrow["escrow_id"])
        own_after, workers_after = msigd.wait_until_setups_are_gone()
        count, size = trace_files(msigd)
        return {"wall_s": wall, "overhead_s": wall - critical, "cpu_ms": (own_after - own + workers_after - workers) * 1000,
                "files": count, "bytes": size}
    finally:
        msigd.end()


# --- on a stand-in ----------------------------------------------------------------

def in_the_midst(stage, stand_in, folder, escrows, instrumentation):
    """Private_Dirty of msigd, KiB, with so many escrows in their make_multisig."""
    crowd = Crowd(stage, folder, stand_in, instrumentation=instrumentation)
    try:
        stand_in.order("delay", call="make_multisig", value=CHANGING_MS)
        before = stand_in.order("counters").get("make_multisig", 0)
        crowd.open(escrows)
        wait_for(lambda: stand_in.order("counters").get("make_multisig", 0) - before >= escrows * len(ROLES), "all of them there",
                 limit=120)
        dirty, _ = machine.private_kib(crowd.process.pid)
        stand_in.order("delay", call="make_multisig", value=0)
        wait_for(lambda: crowd.ended() >= escrows, f"{escrows} escrows", limit=120)
        return dirty
    finally:
        crowd.end()


def cpu_of_hundreds(stage, stand_in, folder, pairs):
    """[(ms of CPU for each escrow without, with)]"""
    crowds = [Crowd(stage, folder, stand_in, instrumentation=False)]
    try:
        crowds.append(Crowd(stage, folder, stand_in, instrumentation=True, locks=crowds[0].locks))
        runs = [[crowd.run(100) for crowd in crowds] for _ in range(pairs)]
        return [[r["msigd_cpu_ms"] + r["workers_cpu_ms"] for r in pair] for pair in runs]
    finally:
        for crowd in reversed(crowds):
            crowd.end()


def crowd_of(stage, program, folder, escrows):
    stand_in = StandIn(program, folder, escrows * len(ROLES), "--wallet-dir", tempfile.mkdtemp(prefix="wallets", dir=folder))
    try:
        kib = [in_the_midst(stage, stand_in, folder, escrows, on) for on in (False, True)]
        off, on = zip(*cpu_of_hundreds(stage, stand_in, folder, CPU_PAIRS))
        return {"escrows": escrows, "kib_each": (kib[1] - kib[0]) / escrows, "kib": kib,
                "cpu_ms": [statistics.median(off), statistics.median(on)], "more_cpu_ms": statistics.median(b - a for a, b in zip(off, on))}
    finally:
        stand_in.end()


def measure(rpcs, stage, program, folder, runs, say, escrows=200):
    report = {"one": in_turn("traces", runs, say, off=lambda: one_escrow(rpcs, stage, False), on=lambda: one_escrow(rpcs, stage, True))}
    say(f"traces: {escrows} escrows on a stand-in")
    report["crowd"] = crowd_of(stage, program, folder, escrows)
    return report
