#!/usr/bin/python3
"""What msigd costs, beside the same calls without it.

usage: MSIGD_STAGE=PREFIX MSIGD_STAND_IN=PROGRAM bench.py [--runs N] [--only PART]… [--json FILE] [--save]

On real wallet-rpcs, in turn, N times:
    a   a plain script that makes the calls of a set-up one after the other
    b   the same calls with the three wallets in parallel: the floor of a cold one
    c   msigctl open --wait on three endpoints, cold
    e   the key exchange alone, three wallets in parallel that are open already
    p   msigctl open --wait on three endpoints that are primed
    g   twelve escrows at once on twelve endpoints, cold
Then all of it once more with the chance taken out of create_wallet (fixed_rsa.c);
requests to sessions (sessions.py); escrows that are interrupted by SIGKILL, also
with the chance taken out, and two hundred at once on a stand-in (recovery.py);
escrows with and without a trace (traces.py); and thousands of escrows on a stand-in
(crowd.py). --save keeps the figures as those to compare with (landed.json).
No process and no file is left behind.
"""
import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import crowd
import machine
import raw_setup
import recovery
import sessions
import traces
from machine import CORES, BenchError
from servers import Msigd, WalletRpcs
from table import show

CASES = {"a": "plain script, one call after the other", "b": "three wallets in parallel, cold",
         "c": "msigctl open --wait, cold", "e": "key exchange alone, wallets open",
         "p": "msigctl open --wait, primed", "g": "twelve escrows at once, twelve endpoints"}
ENDPOINTS = {"a": 3, "b": 3, "c": 3, "e": 3, "p": 3, "g": 12}
ESCROWS = {"c": 1, "p": 1, "g": 12}
MOST = max(ENDPOINTS.values())
PARTS = ("real", "fixed", "sessions", "recovery", "traces", "crowd")
LANDED = Path(__file__).with_name("landed.json")
LOAD_MAX = 0.5


# --- one run ----------------------------------------------------------------------

def run_raw(case, rpcs, name):
    if case == "e":
        wall, critical = raw_setup.key_exchange(rpcs.ports[:3], name)
    else:
        wall, critical = raw_setup.set_up(rpcs.ports[:3], name, case == "b")
    return {"wall_s": wall, "overhead_s": wall - critical}


def run_msigd(case, rpcs, stage):
    msigd = Msigd(stage, rpcs, ENDPOINTS[case], spares=case == "p")
    try:
        msigd.wait_until_free()
        locks, (_, workers) = msigd.lock_waits(), msigd.cpu_seconds()
        own = machine.main_thread_cpu_seconds(msigd.process.pid)    # asking for the others' took some
        rpc_cpu, busy = rpcs.cpu_seconds(ENDPOINTS[case]), machine.busy_seconds()
        wall, escrows = msigd.open(ESCROWS[case])
        rpc_cpu, busy = rpcs.cpu_seconds(ENDPOINTS[case]) - rpc_cpu, machine.busy_seconds() - busy
        own_after, workers_after = msigd.wait_until_setups_are_gone()
        count = ESCROWS[case]
        critical = msigd.critical_path(escrows[0]["escrow_id"]) if count == 1 else None
        return {"wall_s": wall, "overhead_s": wall - critical if critical else None, "rpc_cpu_s": rpc_cpu, "busy_s": busy,
                "msigd_cpu_ms": (own_after - own) * 1000 / count, "workers_cpu_ms": (workers_after - workers) * 1000 / count,
                "before_cpu_ms": [own * 1000, workers * 1000],
                "locks": {k: [a - b for a, b in zip(v, locks[k])] for k, v in msigd.lock_waits().items()},
                "supervisor_kib": machine.private_kib(msigd.process.pid)}
    finally:
        msigd.end()


def run(case, rpcs, stage, number):
    rpc_cpu, busy = rpcs.cpu_seconds(MOST), machine.busy_seconds()
    result = run_msigd(case, rpcs, stage) if case in ESCROWS else run_raw(case, rpcs, f"{case}{number}")
    result.setdefault("rpc_cpu_s", rpcs.cpu_seconds(MOST) - rpc_cpu)
    result.setdefault("busy_s", machine.busy_seconds() - busy)
    return result


def look_at_memory(rpcs, stage):
    """(most Private_Dirty, most private) of a worker in the midst of a set-up.
    Looking takes time, so that run is not timed; it also warms everything up."""
    most = [0, 0]
    msigd = Msigd(stage, rpcs, 3)

    def look():
        for pid in machine.children(msigd.process.pid):
            if " setup " in machine.command_line(pid):
                found = machine.private_kib(pid) or (0, 0)
                most[:] = [max(m, f) for m, f in zip(most, found)]
    try:
        msigd.wait_until_free()
        msigd.open(meanwhile=look)
    finally:
        msigd.end()
    return most


# --- a series: every case in turn -------------------------------------------------

def run_series(title, rpcs, stage, runs):
    results = {case: [] for case in CASES}
    say(f"{title}: warming up")
    memory = look_at_memory(rpcs, stage)
    for number in range(1, runs + 1):
        for case in CASES:
            say(f"{title}: run {number} of {runs}, {case}: {CASES[case]}")
            results[case].append(run(case, rpcs, stage, number))
    return {"worker_kib": memory, "runs": results, "summary": summarise(results)}


def say(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
    elif text:
        print(text, file=sys.stderr)


def rsa_seconds(folder, key_file):
    """What an RSA-4096 key costs here: the median of nine, one after the other."""
    times = []
    say("how long does an RSA-4096 key take")
    for _ in range(9):
        before = os.times()
        subprocess.run(["openssl", "genrsa", "-traditional", "-out", key_file, "4096"], cwd=folder, check=True,
                       stderr=subprocess.DEVNULL)
        times.append(os.times().children_user - before.children_user)
    return statistics.median(times)


def make_fixed_rsa(folder):
    """(environment of the wallet-rpcs, seconds)"""
    library, key_file = f"{folder}/fixed_rsa.so", f"{folder}/rsa.pem"
    subprocess.run([os.environ.get("CC", "cc"), "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-o", library,
                    str(Path(__file__).with_name("fixed_rsa.c"))], check=True)
    seconds = rsa_seconds(folder, key_file)
    return {"LD_PRELOAD": library, "BENCH_RSA_KEY": key_file, "BENCH_RSA_MS": str(round(seconds * 1000))}, seconds


# --- what comes of it -------------------------------------------------------------

def median_of(runs, key):
    return statistics.median(r[key] for r in runs)


def on_same_wallets(runs, ours, raw):
    """The ratio of two cases whose main calls took the same time: what the
    wallets themselves take is a matter of chance, and the same for both."""
    wallets = statistics.median(r["wall_s"] - r["overhead_s"] for case in (ours, raw) for r in runs[case])
    return (wallets + median_of(runs[ours], "overhead_s")) / (wallets + median_of(runs[raw], "overhead_s"))


def summarise(runs):
    wall = {case: median_of(runs[case], "wall_s") for case in CASES}
    floor = max(ESCROWS["g"] * median_of(runs["b"], "rpc_cpu_s") / CORES, wall["b"])
    return {
        "wall_s": wall, "overhead_ms": {case: median_of(runs[case], "overhead_s") * 1000 for case in "bcep"},
        "p/e": wall["p"] / wall["e"], "p/e, same wallets": on_same_wallets(runs, "p", "e"),
        "c/b": wall["c"] / wall["b"], "c/b, same wallets": on_same_wallets(runs, "c", "b"),
        "a/p": wall["a"] / wall["p"], "floor_g_s": floor, "g/floor": wall["g"] / floor,
        "g/floor, own CPU": statistics.median(r["wall_s"] / max(r["rpc_cpu_s"] / CORES, 0.001) for r in runs["g"]),
    }


def cpu_per_escrow(all_series):
    """{case: (msigd, workers)} in ms, the medians."""
    found = {}
    for case in ESCROWS:
        runs = [r for s in all_series for r in s["runs"][case]]
        found[case] = [statistics.median(r[key] for r in runs) for key in ("msigd_cpu_ms", "workers_cpu_ms")]
    return found


def others_share(all_series):
    """Of the CPU time used while msigd opened escrows, that of processes that are
    not the bench's."""
    runs = [r for s in all_series for case in ESCROWS for r in s["runs"][case]]
    busy, ours = sum(r["busy_s"] for r in runs), sum(r["rpc_cpu_s"] for r in runs)
    return max(0.0, 1 - ours / busy)


def lock_waits(all_series):
    """{kind: (locks, ms waited in all, busy tries)}"""
    totals = {}
    for s in all_series:
        for r in (r for case in ESCROWS for r in s["runs"][case]):
            for kind, values in r["locks"].items():
                totals[kind] = [a + b for a, b in zip(totals.get(kind, (0, 0, 0)), values)]
    return totals


# --- ------------------------------------------------------------------------------

def on_signal(_number, _frame):
    raise KeyboardInterrupt


def describe_machine(stage):
    load = os.getloadavg()[0]
    if load > LOAD_MAX:
        print(f"bench: warning: the load is {load:.2f} before anything has begun: what follows is not to be trusted",
              file=sys.stderr)
    return {"cores": CORES, "cpu": machine.cpu_model(), "kernel": os.uname().release, "load_at_start": load,
            "monero": "monero-wallet-rpc " + machine.first_line("monero-wallet-rpc", "--version").split("(")[-1].rstrip(")"),
            "msigd": machine.first_line(f"{stage}/sbin/msigd", "-V"), "at": time.strftime("%Y-%m-%d %H:%M:%S")}


def on_wallet_rpcs(folder, environment, work):
    rpcs = WalletRpcs(folder, MOST, **environment)
    try:
        rpcs.start()
        return work(rpcs)
    finally:
        rpcs.end()
        shutil.rmtree(folder)


def measure(stage, stand_in, folder, runs, parts):
    report = {"machine": describe_machine(stage), "runs": runs, "cases": CASES}
    environment = {}
    if {"fixed", "recovery", "traces"} & set(parts):
        environment, report["rsa_s"] = make_fixed_rsa(folder)
    for name in ("real", "fixed"):
        if name in parts:
            report[name] = on_wallet_rpcs(folder / name, environment if name == "fixed" else {},
                                          lambda rpcs, name=name: run_series(name, rpcs, stage, runs))
    if "sessions" in parts:
        report["sessions"] = on_wallet_rpcs(folder / "sessions", {}, lambda rpcs: sessions.measure(rpcs, stage, runs, say))
    for name, part in (("recovery", recovery), ("traces", traces)):
        if name in parts:
            report[name] = on_wallet_rpcs(folder / name, environment,
                                          lambda rpcs, part=part: part.measure(rpcs, stage, stand_in, folder, runs, say))
    if "crowd" in parts:
        report["crowd"] = crowd.measure(stage, stand_in, folder, say)
    say("")
    series = [report[name] for name in ("real", "fixed") if name in report]
    if series:
        report["cpu_ms"], report["locks"] = cpu_per_escrow(series), lock_waits(series)
        report["others_share"] = others_share(series)
        report["worker_kib"] = [max(s["worker_kib"][i] for s in series) for i in (0, 1)]
    return report


def main():
    parser = argparse.ArgumentParser(description="what msigd costs")
    parser.add_argument("--runs", type=int, default=5, metavar="N")
    parser.add_argument("--only", action="append", choices=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--save", action="store_true", help=f"keep the figures in {LANDED.name}")
    args = parser.parse_args()
    stage = os.path.abspath(os.environ.get("MSIGD_STAGE", "/usr/local"))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    folder, status = Path(tempfile.mkdtemp(prefix="msigd-bench.")), 1
    try:
        report = measure(stage, os.environ.get("MSIGD_STAND_IN", "stand_in"), folder, args.runs, args.only or PARTS)
        figures = show(report, json.loads(LANDED.read_text(encoding="utf-8")) if LANDED.exists() else {})
        report["figures"] = figures
        if args.json:
            Path(args.json).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        if args.save:
            LANDED.write_text(json.dumps({"machine": report["machine"], "figures": figures}, indent=1) + "\n", encoding="utf-8")
        status = 0
    except BenchError as e:
        print(f"\nbench: {e}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nbench: interrupted", file=sys.stderr)
        status = 130
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
