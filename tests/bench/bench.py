#!/usr/bin/python3
"""What msigd costs, beside the same calls without it, on real wallet-rpcs.

usage: MSIGD_STAGE=PREFIX bench.py [--runs N] [--json FILE]

    a   a plain script that makes the same calls one after the other
    b   the same calls with the three wallets in parallel: the floor
    c   msigctl open --wait on three given endpoints, cold
    d   three escrows at once on nine endpoints

in turn, N times. Then all of it once more with the chance taken out of
create_wallet (fixed_rsa.c). No process and no file is left behind.
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

import machine
import raw_setup
from machine import CORES, BenchError
from servers import Msigd, WalletRpcs

CASES = {"a": "plain script, one call after the other", "b": "three wallets in parallel, the floor",
         "c": "msigctl open --wait, cold", "d": "three escrows at once, nine endpoints"}
ENDPOINTS = {"a": 3, "b": 3, "c": 3, "d": 9}
TO_REACH = {"c/b": 1.05, "d/floor": 1.10, "cpu_ms": 20, "worker_dirty_kib": 2048, "supervisor_kib": 6144}
LOAD_MAX = 0.5
OTHERS_MAX = 0.05


# --- one run ----------------------------------------------------------------------

def run_raw(case, rpcs, number):
    wall, critical = raw_setup.set_up(rpcs.ports[:3], f"{case}{number}", case == "b")
    return {"wall_s": wall, "overhead_s": wall - critical if case == "b" else None}


def run_msigd(case, rpcs, stage):
    count = 3 if case == "d" else 1
    msigd = Msigd(stage, rpcs, ENDPOINTS[case])
    try:
        msigd.wait_until_idle()
        locks, (own, workers) = msigd.lock_waits(), msigd.cpu_seconds()
        rpc_cpu, busy = rpcs.cpu_seconds(ENDPOINTS[case]), machine.busy_seconds()
        wall, escrows = msigd.open(count)
        rpc_cpu, busy = rpcs.cpu_seconds(ENDPOINTS[case]) - rpc_cpu, machine.busy_seconds() - busy
        msigd.wait_until_workers_are_gone()
        own_after, workers_after = msigd.cpu_seconds()
        critical = msigd.critical_path(escrows[0]["escrow_id"]) if count == 1 else None
        memory = machine.private_kib(msigd.process.pid)
        return {"wall_s": wall, "overhead_s": wall - critical if critical else None, "rpc_cpu_s": rpc_cpu, "busy_s": busy,
                "msigd_cpu_ms": (own_after - own) * 1000 / count, "workers_cpu_ms": (workers_after - workers) * 1000 / count,
                "locks": {k: [a - b for a, b in zip(v, locks[k])] for k, v in msigd.lock_waits().items()},
                "supervisor_kib": memory}
    finally:
        msigd.end()


def run(case, rpcs, stage, number):
    rpc_cpu, busy = rpcs.cpu_seconds(9), machine.busy_seconds()
    result = run_raw(case, rpcs, number) if case in "ab" else run_msigd(case, rpcs, stage)
    result.setdefault("rpc_cpu_s", rpcs.cpu_seconds(9) - rpc_cpu)
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
        msigd.wait_until_idle()
        msigd.open(meanwhile=look)
    finally:
        msigd.end()
    return most


# --- a series: every case in turn -------------------------------------------------

def run_series(title, folder, stage, runs, **environment):
    rpcs = WalletRpcs(folder, 9, **environment)
    results = {case: [] for case in CASES}
    try:
        rpcs.start()
        say(f"{title}: warming up")
        memory = look_at_memory(rpcs, stage)
        for number in range(1, runs + 1):
            for case in CASES:
                say(f"{title}: run {number} of {runs}, {case}: {CASES[case]}")
                results[case].append(run(case, rpcs, stage, number))
        return {"worker_kib": memory, "runs": results}
    finally:
        rpcs.end()
        shutil.rmtree(folder)


def say(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
    elif text:
        print(text, file=sys.stderr)


def median_of(runs, key):
    return statistics.median(r[key] for r in runs)


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

def summarise(series):
    runs = series["runs"]
    wall = {case: median_of(runs[case], "wall_s") for case in CASES}
    overhead = {case: median_of(runs[case], "overhead_s") for case in "bc"}
    # the wallets' own time is a matter of chance, and the same for both
    wallets = statistics.median(r["wall_s"] - r["overhead_s"] for case in "bc" for r in runs[case])
    floor_d = max(3 * median_of(runs["b"], "rpc_cpu_s") / CORES, wall["b"])
    return {
        "wall_s": wall, "overhead_s": overhead, "wallets_s": wallets, "floor_d_s": floor_d,
        "a/c": wall["a"] / wall["c"], "c/b": wall["c"] / wall["b"],
        "c/b, same wallets": (wallets + overhead["c"]) / (wallets + overhead["b"]),
        "d/floor": wall["d"] / floor_d,
        "d/floor, own CPU": statistics.median(r["wall_s"] / max(r["rpc_cpu_s"] / CORES, 0.001) for r in runs["d"]),
    }


def cpu_per_escrow(all_series):
    """{case: (msigd, workers)} in ms: the mean, for the kernel counts what the
    workers used in steps of 10 ms."""
    found = {}
    for case in "cd":
        runs = [r for s in all_series for r in s["runs"][case]]
        found[case] = [statistics.mean(r[key] for r in runs) for key in ("msigd_cpu_ms", "workers_cpu_ms")]
    return found


def others_share(all_series):
    """Of the CPU time used while msigd opened escrows, that of processes that are
    not the bench's."""
    runs = [r for s in all_series for case in "cd" for r in s["runs"][case]]
    busy, ours = sum(r["busy_s"] for r in runs), sum(r["rpc_cpu_s"] for r in runs)
    return max(0.0, 1 - ours / busy)


def lock_waits(all_series):
    """{kind: (locks, ms waited in all, busy tries)}"""
    totals = {}
    for s in all_series:
        for r in s["runs"]["c"] + s["runs"]["d"]:
            for kind, values in r["locks"].items():
                totals[kind] = [a + b for a, b in zip(totals.get(kind, (0, 0, 0)), values)]
    return totals


# --- showing it -------------------------------------------------------------------

def verdict(value, limit):
    return f"to reach {limit}: {'yes' if value <= limit else 'NO'}"


def show_series(title, series, what):
    s = series["summary"]
    print(f"\n{title}")
    print(f"  {'':45}{'median':>9}{'least':>9}{'most':>9}{'wallets CPU':>13}   seconds")
    for case, text in CASES.items():
        walls = [r["wall_s"] for r in series["runs"][case]]
        print(f"  {case}  {text:42}{s['wall_s'][case]:9.3f}{min(walls):9.3f}{max(walls):9.3f}"
              f"{median_of(series['runs'][case], 'rpc_cpu_s'):13.2f}")
    print(f"  {'a/c':45}{s['a/c']:9.3f}")
    print(f"  {'c/b':45}{s['c/b']:9.3f}   {verdict(s['c/b'], TO_REACH['c/b']) if what == 'fixed' else 'as it fell out'}")
    print(f"  {'c/b on the same wallet times':45}{s['c/b, same wallets']:9.3f}   {verdict(s['c/b, same wallets'], TO_REACH['c/b'])}")
    print(f"  {'    what is not in a main call: b, c (ms)':45}{s['overhead_s']['b'] * 1000:9.1f}{s['overhead_s']['c'] * 1000:9.1f}"
          f"   beside {s['wallets_s']:.3f} s in them")
    print(f"  {f'd/(CPU of three b / {CORES} cores = %.3f s)' % s['floor_d_s']:45}{s['d/floor']:9.3f}   "
          f"{verdict(s['d/floor'], TO_REACH['d/floor']) if what == 'fixed' else 'as it fell out'}")
    print(f"  {f'd/(CPU its own wallets took / {CORES} cores)':45}{s['d/floor, own CPU']:9.3f}   "
          f"{verdict(s['d/floor, own CPU'], TO_REACH['d/floor'])}")


def show(report):
    where = report["machine"]
    print(f"{where['cores']} cores, {where['cpu']}, Linux {where['kernel']}; {where['monero']}; {where['msigd']}; "
          f"load at start {where['load_at_start']:.2f}; medians of {report['runs']}")
    show_series("Real RSA-4096 keys: create_wallet takes 0.4 to 5 s, as chance will have it", report["real"], "real")
    show_series(f"The chance taken out: every RSA key costs {report['rsa_s']:.3f} s, the median here", report["fixed"], "fixed")
    print(f"\nOther processes had {report['others_share'] * 100:.0f} % of the CPU time while c and d ran."
          f"{'  TOO MUCH: do it again when the machine is idle.' if report['others_share'] > OTHERS_MAX else ''}")
    print("""
  Main calls are create, prepare, make and exchange. `On the same wallet times`: wall time less the slowest main
  calls on the way is each side's own part, and its median is set on the median time in main calls of b and c.""")
    print("\nFor one escrow, the starting, probing and verifying of endpoints and wallets not counted")
    for case, (own, workers) in report["cpu_ms"].items():
        print(f"  {f'CPU in {case}: msigd {own:.1f} ms, its worker {workers:.1f} ms':57}{own + workers:7.1f} ms   "
              f"{verdict(own + workers, TO_REACH['cpu_ms'])}")
    dirty, private = report["worker_kib"]
    print(f"  {'worker in mid-setup, Private_Dirty':57}{dirty:7} KiB  {verdict(dirty, TO_REACH['worker_dirty_kib'])}"
          f" (with Private_Clean {private})" if private else "  worker's memory: only root may look at it")
    dirty, private = report["supervisor_kib"]
    print(f"  {'msigd, private, after three escrows':57}{private:7} KiB  {verdict(private, TO_REACH['supervisor_kib'])}"
          f" (Private_Dirty {dirty})")
    for kind, (count, ms, busy) in report["locks"].items():
        print(f"  {f'waited for {count} locks of kind {kind}':57}{ms:7.0f} ms in all, {busy} tries found one busy")


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


def measure(stage, folder, runs):
    report = {"machine": describe_machine(stage), "runs": runs, "to_reach": TO_REACH}
    environment, report["rsa_s"] = make_fixed_rsa(folder)
    for name, extra in (("real", {}), ("fixed", environment)):
        report[name] = run_series(name, folder / name, stage, runs, **extra)
        report[name]["summary"] = summarise(report[name])
    say("")
    both = [report["real"], report["fixed"]]
    report["cpu_ms"], report["locks"] = cpu_per_escrow(both), lock_waits(both)
    report["others_share"] = others_share(both)
    report["worker_kib"] = [max(s["worker_kib"][i] for s in both) for i in (0, 1)]
    report["supervisor_kib"] = [max(r["supervisor_kib"][i] for s in both for r in s["runs"]["d"]) for i in (0, 1)]
    return report


def main():
    parser = argparse.ArgumentParser(description="what msigd costs, on real wallet-rpcs")
    parser.add_argument("--runs", type=int, default=5, metavar="N")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    stage = os.path.abspath(os.environ.get("MSIGD_STAGE", "/usr/local"))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    folder, status = Path(tempfile.mkdtemp(prefix="msigd-bench.")), 1
    try:
        report = measure(stage, folder, args.runs)
        show(report)
        if args.json:
            Path(args.json).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
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
