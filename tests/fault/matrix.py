#!/usr/bin/python3
"""Every point at which something can be killed, on the stand-in for wallet-rpc.

usage: MSIGD_STAGE=PREFIX MSIGD_STAND_IN=PROGRAM matrix.py [--sample N] [--seed N] [--jobs N] [--only TEXT]
       [--until TIME] [--real] [--must-fail MISTAKE] [--list]

MSIGD_STAGE is an installation built with FAULTS=1: its processes stop at each
point (common/fault.h) and ask here what is to happen. Of each scenario
(scenarios.py) one run writes down every point that it passes; then, for each of
them and each act, there is another run in which just that happens at just that
instant. msigd is started again when it dies, and in the end the seven laws are
looked at (laws.py): in processes, locks, files, wallets and store, not in log lines.
"""
import argparse
import ctypes
import faulthandler
import multiprocessing
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from concurrent.futures import CancelledError, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

import laws
from scenarios import ROLES, SCENARIOS, can_run
from world import ACTS, Broken, RealWallets, StandIn, World, check
import machine
from machine import alive, become_subreaper, descendants
from wallet_rpcs import quick_rsa

TRIES = 3       # for a point that a run does not come to: how many commits there are depends on time
SLOTS = 12      # ranges of ports
HANGS = 900     # s, for a run of which every wait has an end before that
ROUNDS = 5      # of drawing more cases for those of a sample that were missed
SOURCES = Path(__file__).resolve().parents[2]

# What a build with that mistake breaks, and in which runs it is looked for.
MISTAKES = {
    "ack-before-commit": (laws.WRITTEN_FIRST, "cold, kill supervisor at"),
    "blind-repeat": (laws.ONCE, "edge, http "),
    "restore-over": (laws.NEVER_OVER, "restore-vendor-3, kill "),
}


# --- what must be struck at least once: a point that nobody comes to any more is a test that is gone

def points_compiled_in():
    """{"commit", "repair:write", "call:", …} of all FAULT()s; a name that is no literal stays open."""
    found = set()
    for path in (p for folder in ("supervisor", "worker", "ipc", "common") for p in (SOURCES / folder).glob("*.c")):
        for kind, name in re.findall(r'\bFAULT(?:_AT)?\("([\w-]+)",\s*("[\w-]*"|)', path.read_text()):
            found.add(f"{kind}:" if not name else kind if name == '""' else f"{kind}:{name[1:-1]}")
    return found


def points_of_setup():
    """The calls of a set-up, for each role."""
    for role in ROLES:
        for round_, call in enumerate(["create_wallet", "prepare_multisig", "make_multisig", "exchange_multisig_keys",
                                       "exchange_multisig_keys"]):
            yield from (f"{what} {role} {round_}" for what in (f"call:{call}", f"answer:{call}"))
            if call != "prepare_multisig":
                yield from (f"{what} {role} {round_}" for what in ("call:store", "answer:store", "read:keys"))
        yield from (f"{point} {role} 4" for point in ("call:query_key", "answer:query_key", "sync:cache", "sync:keys"))
        yield from (f"restore:{what} {role} {round_}" for what in ("write", "written") for round_ in (1, 2, 3))


def not_struck(tally):
    kinds = {point.split()[0] for point in tally.points}
    compiled_in = points_compiled_in()
    check({"call:", "commit", "repair:write"} <= compiled_in, f"the sources have only {compiled_in}")
    yield from (point for point in compiled_in if not any(kind == point or point[-1] == ":" and kind.startswith(point) for kind in kinds))
    yield from set(points_of_setup()) - set(tally.points)
    yield from set(ACTS) - set(tally.acts)


# --- runs --------------------------------------------------------------------------------------

class Case(NamedTuple):
    scenario: str
    point: str
    nth: int
    act: str

    def __str__(self):
        return f"{self.scenario}, {self.act} at {self.point} ({self.nth})"


def strikes_of(case):
    scenario = SCENARIOS[case.scenario]
    before = [(point, nth, ACTS[act]) for point, nth, act in scenario.before]
    return before + ([(case.point, case.nth, ACTS[case.act])] if case.act else [])


def run(case, folder, wallets=StandIn):
    """Whether the point was struck, and the points after the strikes before it. Raises Broken."""
    scenario = SCENARIOS[case.scenario]
    world = World(folder, strikes_of(case), at_death=laws.look_at_promises if case.act == "kill supervisor" else None,
                  endpoints=scenario.endpoints, wallets=wallets, later=scenario.later, blind=scenario.blind, **scenario.keys)
    try:
        ready = scenario.flow(world)
        for found in ready:
            check(found["phase"] == "Ready", f"nothing was wrong but the fault, and it failed: {found['reason']}", "law 5")
            check(found["attempt"] == 1 or scenario.blind or case.act.startswith("http"),
                  f"it took a new attempt: {found['failed_attempts']}", "law 5")
        laws.look_at_rest(world)
        hits = world.disarm()
        struck = world.referee.struck.is_set() and world.wallets.faults_left() == 0
        laws.look_at_all(world, ready)
        return struck, hits
    except Broken as error:
        if error.law is None:   # why it does not come to its end may be seen there
            laws.look_at_ledger(world.wallets.ledger()[world.old_entries:])
        raise
    finally:
        world.end()


def under_way(hits):
    """How far the roles are, from the least to the most: what tells one commit from another."""
    rounds = {}
    for point in hits:
        _, role, round_ = point.split()
        if role in ROLES:
            rounds[role] = round_
    return (len(rounds) == len(ROLES), min(rounds.values(), default=""), max(rounds.values(), default=""))


def points_passed(name, folder, wallets):
    """[(point, nth)] of a scenario, from its own strikes on. Of a point without a role,
    those at which something else is under way, and the last."""
    struck, hits = run(Case(name, "", 0, ""), folder, wallets)
    check(struck, f"{name}: it did not come to the point that it begins with")
    for point, nth, _ in SCENARIOS[name].before:
        place = [i for i, hit in enumerate(hits) if hit == point][nth - 1]
        hits = hits[place + 1:]
    number, seen, total = Counter(), set(), Counter(hits)
    for place, point in enumerate(hits):
        number[point] += 1
        here = (point, under_way(hits[:place])) if point.split()[1] not in ROLES else (point, number[point])
        if (here not in seen or number[point] == total[point]) and (SCENARIOS[name].wanted is None or SCENARIOS[name].wanted(point)):
            yield point, number[point]
        seen.add(here)


def reap():
    """Workers whose supervisor was killed: thousands of zombies make /proc slow to read."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def attempt(case, folder, wallets):
    """(result, text, law): passed, failed, or missed."""
    for _ in range(TRIES):
        try:
            struck, _ = run(case, folder, wallets)
        except Broken as error:
            return "failed", str(error), error.law
        except Exception:  # pylint: disable=broad-except
            return "failed", traceback.format_exc(), None
        finally:
            reap()
        shutil.rmtree(folder, ignore_errors=True)
        if struck:
            return "passed", "", None
    return "missed", "", None


# --- many runs, each in a process of the pool ---------------------------------------------------

def begin_process():
    """It ends when it is told to, or when there is nobody left to tell it, and takes what it has started with it."""
    PR_SET_PDEATHSIG = 1    # of the thread that made it, prctl(2): the main one, as the pool makes no others later
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != multiprocessing.parent_process().pid:
        os._exit(1)         # it has ended before that
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))   # so that run() comes to its finally
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    become_subreaper()
    machine.take_ports(multiprocessing.current_process()._identity[0] % SLOTS, SLOTS)


def points_in_process(name, root):
    """(scenario, its points, what is wrong or None)"""
    try:
        return name, list(points_passed(name, root / f"points-{name}", StandIn)), None
    except (Broken, AssertionError) as error:
        return name, [], error


def attempt_in_process(case, folder, wallets):
    """One that hangs says where, and ends its process, and with it all of this."""
    faulthandler.dump_traceback_later(HANGS, exit=True)
    try:
        return case, folder, *attempt(case, folder, wallets)
    finally:
        faulthandler.cancel_dump_traceback_later()


def all_cases(pool, only, root, wallets):
    """The points are the same on real wallet-rpcs, so that the stand-in can tell them."""
    wanted = only.split(",")[0] if only and "," in only else ""
    names = [name for name in SCENARIOS if can_run(name, wallets) and (name.endswith(wanted) or name == "cold")]
    passed = {}
    for name, points, error in pool.map(points_in_process, names, [root] * len(names)):
        check(error is None, f"{name}, without a fault: {error}", error and getattr(error, "law", None))
        passed[name] = points
    setup = {point for point, _ in passed["cold"] if point.split()[1] in ROLES}
    return [Case(name, point, nth, act) for name in names for point, nth in passed[name]
            if not (name.startswith("kept") and point in setup) for act in SCENARIOS[name].acts]


class Tally:
    """What came of the cases."""

    def __init__(self):
        self.results, self.points, self.acts, self.failures = Counter(), Counter(), Counter(), []

    def add(self, case, folder, result, text, law):
        self.results[result] += 1
        if result in ("passed", "failed"):
            self.points[case.point] += 1
            self.acts[case.act] += 1
        if result == "failed":
            self.failures.append((case, law, text))
            print(f"FAILED {case}\n  {text.strip()}\n  see {folder}/m/log")

    def struck(self):
        return self.results["passed"] + self.results["failed"]

    def print(self):
        print("  runs  act")
        for name, count in sorted(self.acts.items()):
            print(f"{count:6}  {name}")
        print("  runs  point, and of these at each role and round")
        for kind, places in sorted(by_kind(self.points).items()):
            print(f"{sum(places.values()):6}  {kind:32}" + ", ".join(f"{place} {n}" for place, n in sorted(places.items())).rstrip())
        print(f"missed, for the run did not come to that point: {self.results['missed']}")
        print(f"matrix: {self.results['passed']} passed, {self.results['failed']} failed")


def by_kind(points):
    """{"call:make_multisig": {"buyer 2": runs, …}, …}"""
    found = {}
    for point, count in points.items():
        kind, place = point.split(" ", 1)
        found.setdefault(kind, {})[place] = count
    return found


def run_all(pool, cases, root, wallets, tally, stop=None):
    """Adds to the tally; stop(tally): that is enough. How many were not run then."""
    began, first, not_run = time.monotonic(), tally.results.total(), 0
    runs = [pool.submit(attempt_in_process, case, root / str(first + number), wallets) for number, case in enumerate(cases)]
    for n, future in enumerate(as_completed(runs)):
        faulthandler.dump_traceback_later(2 * HANGS, exit=True)
        try:
            tally.add(*future.result())
        except CancelledError:
            not_run += 1
            continue
        if stop is not None and stop(tally):
            for each in runs:
                each.cancel()
        if sys.stdout.isatty() or n % 500 == 499:
            print(f"  {n + 1} of {len(cases)}, {time.monotonic() - began:.0f} s", end="\r" if sys.stdout.isatty() else "\n")
    return not_run


def choose(pool, args, root, wallets):
    cases = [case for case in all_cases(pool, args.only, root, wallets) if not args.only or args.only in str(case)]
    if args.sample or args.until:
        print(f"seed {args.seed}")
        random.Random(args.seed).shuffle(cases)
    return cases


def each_once(cases):
    """(those that together have every point and every act, the others)"""
    seen, first, others = set(), [], []
    for case in cases:
        (others if {case.point, case.act} <= seen else first).append(case)
        seen |= {case.point, case.act}
    return first, others


def run_until(pool, cases, until, root, wallets, tally):
    """Each point and act once, and as many of the others as the time is there for."""
    first, others = each_once(cases)
    run_all(pool, first, root, wallets, tally)
    not_run = len(others) if time.time() > until else run_all(pool, others, root, wallets, tally, lambda _: time.time() > until)
    if not_run:
        print(f"the time was up: {not_run} of {len(cases)} cases were not run")


def run_sample(pool, cases, count, root, wallets, tally):
    """So many that were struck; for those that were missed others are drawn."""
    count = min(count, len(cases))
    for _ in range(ROUNDS):
        drawn, cases = cases[:count - tally.struck()], cases[count - tally.struck():]
        run_all(pool, drawn, root, wallets, tally)
        if tally.struck() >= count or not cases:
            break
    check(tally.struck() >= count, f"only {tally.struck()} of {count} points were come to")


def judge(args, tally):
    """Exit status."""
    unseen = [] if args.only or args.sample or args.real else sorted(not_struck(tally))
    for point in unseen:
        print(f"NOT ONCE: {point}")
    return 1 if tally.failures or unseen or not tally.results["passed"] else 0


# --- what is wanted of it -------------------------------------------------------------------------

def must_fail(pool, args, root):
    """Of a build with a mistake: whether a run finds it, by the law that it breaks."""
    law, where = MISTAKES[args.must_fail]
    _, points, error = pool.submit(points_in_process, "cold", root).result()
    check(error is None and points, f"an escrow without a fault does not pass, so that nothing can be told: {error}")
    tally, name = Tally(), where.split(",", maxsplit=1)[0]
    if name != "cold":
        _, points, error = pool.submit(points_in_process, name, root).result()
    if error is not None and getattr(error, "law", None) == law:
        print(f"found by: {name}: {error}")
        return 0
    cases = [case for point, nth in points for act in SCENARIOS[name].acts if where in str(case := Case(name, point, nth, act))]
    random.Random(args.seed).shuffle(cases)

    def found():
        return [failure for failure in tally.failures if failure[1] == law]
    run_all(pool, cases, root, StandIn, tally, lambda _: found())
    if found():
        print(f"found by: {found()[0][0]}: {found()[0][2]}")
        return 0
    print(f"NOT FOUND in {tally.results.total()} runs: nothing broke {law}")
    return 1


def whole_or_sample(pool, args, root):
    wallets, tally = RealWallets if args.real else StandIn, Tally()
    cases = choose(pool, args, root, wallets)
    print(f"{min(args.sample or len(cases), len(cases))} of {len(cases)} cases, {args.jobs} at a time")
    try:
        if args.sample:
            run_sample(pool, cases, args.sample, root, wallets, tally)
        elif args.until:
            run_until(pool, cases, args.until, root, wallets, tally)
        else:
            run_all(pool, cases, root, wallets, tally)
    finally:
        tally.print()
    return judge(args, tally)


def options():
    parser = argparse.ArgumentParser(description="Every point, every act; see the head of this file.")
    parser.add_argument("--sample", type=int, metavar="N", help="so many, chosen by chance")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), metavar="N", help="of that choice")
    parser.add_argument("--until", type=int, metavar="TIME",
                        help="begin none after that (date +%%s), but each point and act once; in an order of chance")
    parser.add_argument("--jobs", type=int, default=6, metavar="N", help="runs at a time")
    parser.add_argument("--only", metavar="TEXT", help="cases with this in them, as --list prints them")
    parser.add_argument("--real", action="store_true", help="on monero-wallet-rpcs")
    parser.add_argument("--must-fail", choices=MISTAKES, help="end well when its law is broken: of a build with that MISTAKE")
    parser.add_argument("--list", action="store_true", help="print the cases and end")
    return parser.parse_args()


def matrix(pool, args, root):
    """Exit status."""
    try:
        if args.must_fail:
            return must_fail(pool, args, root)
        if not args.list:
            return whole_or_sample(pool, args, root)
        print(*choose(pool, args, root, RealWallets if args.real else StandIn), sep="\n")
        return 0
    except Broken as error:
        print(f"FAILED {error}")
        return 1


def end_what_is_left():
    """The processes of the pool, and what they have started, which is our child when they are gone."""
    while left := [pid for pid in descendants(os.getpid()) if alive(pid)]:
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.01)


def end_at_once(number, frame):
    """The pool's own way to end may wait for what cannot come any more."""
    del frame
    end_what_is_left()
    os._exit(128 + number)


def main():
    args, root = options(), Path(tempfile.mkdtemp(prefix="msigd-fault."))
    sys.stdout.reconfigure(line_buffering=True)
    become_subreaper()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, end_at_once)
    if args.real:
        quick_rsa()     # made once, and removed when this one ends
    try:
        pool = ProcessPoolExecutor(args.jobs, multiprocessing.get_context("fork"), begin_process)
        status = matrix(pool, args, root)
        pool.shutdown(wait=False)
        faulthandler.cancel_dump_traceback_later()
    finally:
        end_what_is_left()
    if status == 0:
        shutil.rmtree(root, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
