#!/usr/bin/python3
"""How many escrows a minute real wallet-rpcs give, with more and more of them,
where that stops growing, and why.

usage: MSIGD_STAGE=PREFIX saturation.py [--endpoints N,N,…] [--rounds N] [--svg FILE] [--json FILE]

For each number of endpoints msigd is kept as busy as it can be: as many escrows
as that serves N times are opened at once, cold. The endpoints' busy share is the
time they were leased; the CPU's, what the whole machine used of its cores.
"""
import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import machine
from bench import describe_machine, on_signal, say
from machine import CORES, BenchError
from plot import svg
from servers import Msigd, WalletRpcs

ENDPOINTS = [3, 6, 9, 12, 18, 24]


def run(stage, rpcs, count, rounds):
    escrows = count // 3 * rounds
    msigd = Msigd(stage, rpcs, count)
    try:
        msigd.wait_until_free()
        held, busy, began = msigd.lock_holds(), machine.busy_seconds(), time.monotonic()
        ids = msigd.open_many(escrows)
        msigd.wait_until_ready(ids)
        wall = time.monotonic() - began
        busy = machine.busy_seconds() - busy
        msigd.wait_until_setups_are_gone()
        leased = msigd.lock_holds() - held
    finally:
        msigd.end()
    return {"endpoints": count, "escrows": escrows, "wall_s": wall, "per_minute": escrows * 60 / wall,
            "endpoints_busy": min(1.0, leased / (count * wall)), "cpu_busy": busy / (CORES * wall)}


def explain(results):
    """Where it stops growing: the first number of endpoints that is within 5 % of the best."""
    best = max(r["per_minute"] for r in results)
    knee = next(r for r in results if r["per_minute"] >= best * 0.95)
    if knee["cpu_busy"] > 0.9:
        why = f"the {CORES} cores are busy to {knee['cpu_busy'] * 100:.0f} %: wallet-rpc needs them for its keys"
    else:
        why = f"the CPU is busy to {knee['cpu_busy'] * 100:.0f} % only: it has not been reached yet, or something else holds it up"
    return f"It stops growing at {knee['endpoints']} endpoints with {knee['per_minute']:.1f} escrows a minute: {why}."


def show(where, results):
    print(f"{where['cores']} cores, {where['cpu']}, Linux {where['kernel']}; {where['monero']}; load at start {where['load_at_start']:.2f}")
    print(f"{'endpoints':>10}{'at once':>9}{'escrows':>9}{'seconds':>9}{'a minute':>10}{'endpoints busy':>16}{'CPU busy':>10}")
    for r in results:
        print(f"{r['endpoints']:10}{r['endpoints'] // 3:9}{r['escrows']:9}{r['wall_s']:9.1f}{r['per_minute']:10.1f}"
              f"{r['endpoints_busy'] * 100:14.0f} %{r['cpu_busy'] * 100:8.0f} %")
    print(explain(results))


def measure(stage, folder, counts, rounds):
    rpcs, results = WalletRpcs(folder / "rpcs", max(counts)), []
    try:
        rpcs.start()
        for count in counts:
            say(f"{count} endpoints, {count // 3} escrows at once")
            results.append(run(stage, rpcs, count, rounds))
        say("")
    finally:
        rpcs.end()
    return results


def numbers(text):
    found = [int(n) for n in text.split(",")]
    if any(n < 3 for n in found):
        raise argparse.ArgumentTypeError("an escrow needs three endpoints")
    return found


def main():
    parser = argparse.ArgumentParser(description="escrows a minute, with more and more endpoints")
    parser.add_argument("--endpoints", type=numbers, default=ENDPOINTS, metavar="N,N,…")
    parser.add_argument("--rounds", type=int, default=4, metavar="N")
    parser.add_argument("--svg", metavar="FILE", default="saturation.svg")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    stage = os.path.abspath(os.environ.get("MSIGD_STAGE", "/usr/local"))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    folder, status = Path(tempfile.mkdtemp(prefix="msigd-bench.")), 1
    try:
        where = describe_machine(stage)
        results = measure(stage, folder, args.endpoints, args.rounds)
        show(where, results)
        Path(args.svg).write_text(svg(where, results, explain(results)), encoding="utf-8")
        print(f"plot: {args.svg}")
        if args.json:
            Path(args.json).write_text(json.dumps({"machine": where, "results": results}, indent=1) + "\n", encoding="utf-8")
        status = 0
    except BenchError as e:
        print(f"\nbench-saturation: {e}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nbench-saturation: interrupted", file=sys.stderr)
        status = 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
