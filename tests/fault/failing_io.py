#!/usr/bin/python3
"""Every call that changes a file fails once, or from then on, until a whole escrow
passes without a failure; on the stand-in for wallet-rpc.

usage: MSIGD_STAGE=PREFIX MSIGD_STAND_IN=PROGRAM MSIGD_FAILING_IO=LIBRARY failing_io.py
           [--sample N] [--seed N] [--jobs N] [--only TEXT] [--until TIME] [-v]

MSIGD_STAGE is an installation built with FAULTS=1, whose workers get what is
preloaded (failing_io.c). In each run one escrow is opened, and the n-th call of one
kind (open, write, fsync, …) by msigd, or by its workers, fails:

  once     only that call
  room     and all after it, until there is room again
  restart  and all after it, until msigd is ended, by SIGTERM and SIGKILL in
           turn, and started again

n goes up until no call fails any more. In each escrow the answer of an exchange is
lost, so that a wallet is restored: that is where workers write. One in three is
traced.

Afterwards is looked at processes, locks, files, wallets and store, not at log lines;
and that whatever anybody was told is still there.
"""
import argparse
import ctypes
import errno
import faulthandler
import http.client
import json
import mmap
import os
import queue
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import uuid
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "system"))

from harness import ApiError, Events, Msigd, Store, section  # noqa: E402
from laws import trace_events  # noqa: E402
from machine import alive, descendants, free_ports, listens, processes, wait_for  # noqa: E402

STAGE = Path(os.environ.get("MSIGD_STAGE", "/usr/local"))
STAND_IN = os.environ.get("MSIGD_STAND_IN", "stand_in")
LIBRARY = os.environ.get("MSIGD_FAILING_IO", "failing_io.so")
LIMIT = 60           # seconds; after these something hangs
HANGS = 900          # seconds without the end of any run: says where, and ends
ENOUGH = 0.3         # seconds of failures that nobody notices
ENDPOINTS = 3
STORE_FAILED = 7

KINDS = ("open", "write", "fsync", "ftruncate", "rename", "link", "unlink")
PROGRAMS = ("msigd", "worker")
# What either does in such an escrow; the rest is never called.
CALLED = {"msigd": ("open", "write", "fsync", "rename", "link", "unlink"),
          "worker": ("open", "write", "fsync", "ftruncate", "link", "unlink")}
MODES = ("once", "room", "restart")
ERRORS = (errno.ENOSPC, errno.EIO)
WORDS = ("No space left on device", "Input/output error", "disk is full", "disk I/O error", "unable to open database file",
         "it can only be read")
# What must never be in a log.
NEVER = re.compile(r"_bug\"|Sanitizer|runtime error:|worker_unkillable|report_refused|escrow_unreadable|worker_rejected|event_lost")


class Broken(Exception):
    """A law does not hold."""


def check(holds, text):
    if not holds:
        raise Broken(text)


class Shared(ctypes.Structure):
    """struct shared of failing_io.c."""
    _fields_ = [("kinds", ctypes.c_uint32), ("program", ctypes.c_uint32), ("nth", ctypes.c_uint32),
                ("lasting", ctypes.c_uint32), ("error", ctypes.c_uint32), ("counted", ctypes.c_uint32),
                ("failed", ctypes.c_uint32), ("calls", ctypes.c_uint32 * len(KINDS) * len(PROGRAMS)),
                ("hits", ctypes.c_uint32 * len(KINDS) * len(PROGRAMS)), ("under", ctypes.c_char * 1024)]


class Failures:
    """What is to fail, shared with the processes that it is to happen to."""

    def __init__(self, path, folders):
        path.write_bytes(bytes(ctypes.sizeof(Shared)))
        with open(path, "r+b") as f:
            self.memory = mmap.mmap(f.fileno(), ctypes.sizeof(Shared))
        self.shared = Shared.from_buffer(self.memory)
        self.shared.under = "".join(f"{f}\n" for f in folders).encode()

    def arm(self, case):
        self.shared.program = PROGRAMS.index(case.program)
        self.shared.kinds = 1 << KINDS.index(case.kind)
        self.shared.error = case.error
        self.shared.lasting = case.mode != "once"
        self.shared.nth = case.nth

    def disarm(self):
        self.shared.nth = 0

    def failed(self):
        return self.shared.failed

    def calls(self, program, kind):
        return self.shared.calls[PROGRAMS.index(program)][KINDS.index(kind)]


class Case:
    def __init__(self, program, kind, mode, nth):
        self.program, self.kind, self.mode, self.nth = program, kind, mode, nth
        # fsync and truncating report what a disk could not do, seldom that it is full
        self.error = ERRORS[nth % 2]
        self.traced = nth % 3 == 1

    def __str__(self):
        return f"{self.program} {self.kind} {self.nth} {self.mode} {errno.errorcode[self.error]}{' traced' * self.traced}"


# --- one world ---------------------------------------------------------------------------

class Wallets:
    """A stand-in with files, for many runs one after the other."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(parents=True)
        self.port = free_ports(ENDPOINTS + 1)
        self.process = subprocess.Popen(
            [STAND_IN, "--port-base", str(self.port), "--count", str(ENDPOINTS), "--control-port", str(self.port + ENDPOINTS),
             "--wallet-dir", str(folder)], stdin=subprocess.DEVNULL)
        wait_for(lambda: listens(self.port + ENDPOINTS), "the stand-in", limit=LIMIT, step=0.005)

    def order(self, method, **params):
        body = json.dumps({"method": method, "params": params}).encode()
        with socket.create_connection(("127.0.0.1", self.port + ENDPOINTS), timeout=LIMIT) as s:
            s.sendall(b"POST /json_rpc HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            data = b"".join(iter(lambda: s.recv(1 << 16), b""))
        return json.loads(data.split(b"\r\n\r\n", 1)[1])

    def call(self, method, **params):
        answer = self.order("call", endpoint=self.port, call=method, params=params)
        check("error" not in answer, f"{method}: {answer}")
        return answer["result"]

    def close_wallets(self):
        """A msigd that was killed may have left some open, and the next was ended before it had seen that."""
        for port in range(self.port, self.port + ENDPOINTS):
            self.order("call", endpoint=port, call="close_wallet", params={})

    def close(self):
        self.process.kill()
        self.process.wait()


class World:
    """An msigd on them, whose calls may fail; and all that it has told."""

    def __init__(self, folder, wallets, case):
        self.wallets, self.case = wallets, case
        folder.mkdir()
        self.escrow = str(uuid.uuid4())
        program = folder / "wallet-rpc"
        # a managed one whose files msigd has to write; no escrow gets it
        program.write_text(f"#!/bin/sh\nport=$(sed -n 's/^rpc-bind-port=//p' \"$2\")\n"
                           f"exec {STAND_IN} --port-base $port --rpc-login another:login\n")
        program.chmod(0o755)
        state = folder / "m"
        self.failures = Failures(folder / "failures", [state / n for n in ("state", "run", "lock")] + [wallets.folder])
        self.m = Msigd(state, [section(f"w{n}", f"http://127.0.0.1:{wallets.port + n}", **{"wallet-dir": wallets.folder})
                               for n in range(ENDPOINTS)], stage=STAGE,
                       managed={"program": program, "count": 1, "port-base": free_ports()},
                       instrumentation=str(case.traced).lower(),
                       wrap=["env", f"LD_PRELOAD={LIBRARY}", f"FAILING_IO={folder}/failures"])
        self.m.wallets.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.told, self.events, self.starts = {}, None, 0
        for n in range(ENDPOINTS):
            wallets.order("clear_faults", endpoint=wallets.port + n)
        wallets.order("fault", endpoint=wallets.port, call="exchange_multisig_keys", kind="lost")

    # --- msigd's life

    def start(self):
        """Whether it is up; one that ends says why."""
        before = self.m.log.stat().st_size if self.m.log.exists() else 0
        self.m.spawn()
        self.starts += 1
        wait_for(lambda: self.m.process.poll() is not None or self.answers(), "msigd's start", limit=LIMIT, step=0.005)
        if self.m.process.poll() is None:
            self.events = Events(self.m)
            return True
        said = self.m.log.read_bytes()[before:].decode(errors="replace")
        check(self.m.process.returncode == 1, f"msigd ended with {self.m.process.returncode}: {said}")
        check(self.failures.failed() and re.search("^msigd: ", said, re.M), f"msigd ended without a reason: {said}")
        check(any(w in said for w in WORDS), f"msigd ended with another reason: {said}")
        return False

    def answers(self):
        try:
            return self.m.api("get_info")
        except (OSError, http.client.HTTPException):
            return None

    def end(self, how):
        self.hear()
        left = descendants(self.m.process.pid)
        self.m.process.send_signal(how)
        status = self.m.process.wait(LIMIT)
        check(how == signal.SIGKILL or status == 0, f"msigd ended with {status}")
        wait_for(lambda: not any(alive(pid) for pid in left), "workers end with msigd", limit=LIMIT, step=0.005)

    def hear(self):
        """What was told to a reader of /events so far."""
        if self.events is None:
            return
        self.events.close()
        for event in list(self.events.seen):
            self.told[event["seq"]] = event
        self.events = None

    # --- what happens

    def repair(self):
        """The disk is mended; msigd goes on, or is started again."""
        self.failures.disarm()
        if self.case.mode != "restart" or not self.m.running():
            return
        self.end(signal.SIGKILL if self.case.nth % 4 < 2 else signal.SIGTERM)
        check(self.start(), "it does not start again")

    def open(self):
        """Asks until it is answered, as a client has to; the answer is a promise."""
        end = time.monotonic() + LIMIT
        while True:
            try:
                return self.m.open(escrow_id=self.escrow)
            except ApiError as error:
                check(error.code == STORE_FAILED and any(w in error.message for w in WORDS), f"refused with {error}")
                check(self.failures.failed(), f"refused, and nothing had failed: {error}")
            check(time.monotonic() < end, "open_escrow is never answered")
            if self.case.mode != "once":
                self.is_told()
                self.repair()
            time.sleep(0.005)

    def is_told(self):
        """A request was refused because the store cannot be written: who looks, sees it."""
        for method in ("get_status", "get_info"):
            said = self.m.api(method)
            trouble = said["store_trouble"] if method == "get_status" else said["store"]["trouble"]
            check(trouble and any(w in trouble["error"] for w in WORDS), f"{method} says nothing of it: {said}")

    def is_over(self):
        return self.m.get(self.escrow)["phase"] in ("Ready", "Failed")

    def end_of_escrow(self):
        try:
            wait_for(self.is_over, "the end of the escrow", limit=LIMIT, step=0.01)
        except AssertionError as error:
            raise Broken(f"it has no end: {self.m.get(self.escrow)['status']}") from error
        return self.m.get(self.escrow)

    def fail_for_a_while(self):
        """Until the escrow is over, or msigd or a worker has suffered from it."""
        wait_for(lambda: self.failures.failed() or self.is_over(), "a failure", limit=LIMIT, step=0.01)
        end = time.monotonic() + ENOUGH
        while time.monotonic() < end and not self.is_over():
            if "waits for the store" in self.m.get(self.escrow)["status"]:
                self.is_told()
                break
            time.sleep(0.01)

    # --- the laws

    def look_at_laws(self):
        m = self.m
        found = self.end_of_escrow()
        if found["phase"] == "Failed":
            check(self.case.program == "worker" and any(w in found["reason"] for w in WORDS), f"Failed: {found['reason']}")
            check(found["address"] is None, "Failed, with an address")
            m.api("retry_escrow", escrow_id=self.escrow)
            found = self.end_of_escrow()
        check(found["phase"] == "Ready", f"{found['phase']}: {found['reason']}")
        wait_for(lambda: not m.endpoints("leased") and not m.workers("setup"), "every endpoint given back", limit=LIMIT, step=0.01)
        wait_for(lambda: m.api("get_status")["store_trouble"] is None, "an end of the trouble", limit=LIMIT, step=0.05)
        self.hear()
        self.events = Events(m)
        last = self.events.wait(type="phase", phase="Ready", escrow_id=self.escrow)
        check(last["address"] == found["address"], f"{last} is not {found['address']}")
        self.end(signal.SIGTERM)
        check(not m.busy_locks(), f"locks are held: {m.busy_locks()}")
        self.look_at_store(found)
        bad = [line for line in m.log.read_text(errors="replace").splitlines() if NEVER.search(line)]
        check(not bad, f"its log: {bad}")

    def look_at_store(self, found):
        store = Store(self.m)
        try:
            check(store.rows("PRAGMA integrity_check")[0][0] == "ok", "the store is damaged")
            kept = {row["seq"]: row for row in store.rows("SELECT * FROM event")}
            for seq, event in self.told.items():
                check(seq in kept and kept[seq]["type"] == event["type"] and kept[seq]["at"] == event["at"],
                      f"told, and not kept: {event}")
            ready = [r for r in kept.values() if r["type"] == "phase" and json.loads(r["data"])["phase"] == "Ready"]
            check(len(ready) == 1, f"published {len(ready)} times")
            parties = store.parties(self.escrow, found["attempt"])
            self.look_at_trace(store.secrets())
        finally:
            store.close()
        check(len({p["seed"] for p in parties.values()}) == 3, "three different seeds")
        self.wallets.close_wallets()
        for role, party in parties.items():
            self.look_at_wallet(role, party, found["address"])
        left = [p.name for p in self.wallets.folder.glob(f"{self.escrow}*.keys.*")]
        check(not left or self.case.kind == "unlink", f"half-written files are left: {left}")

    def look_at_trace(self, secrets):
        """Whatever of it was lost, the rest can be read."""
        paths = list((self.m.state / "traces").glob(f"escrow_{self.escrow}.json*"))
        case = self.case    # the store was open when no more files could be made: then the escrow needs none
        may_lack = (case.program, case.kind) == ("msigd", "open") and case.mode != "once"
        check(bool(paths) == case.traced or (may_lack and not paths), f"its traces: {paths}")
        for path in paths:
            try:
                trace_events(path)
            except (ValueError, KeyError) as error:
                raise Broken(f"{path} cannot be read: {error}") from error
            check(not any(secret in path.read_bytes() for secret in secrets), f"a secret is in {path}")

    def look_at_wallet(self, role, party, address):
        call = self.wallets.call
        call("open_wallet", filename=party["wallet"], password=party["password"])
        check(call("get_address", account_index=0)["address"] == address, f"{role}: another address")
        is_multisig = call("is_multisig")
        check(is_multisig["ready"] and (is_multisig["threshold"], is_multisig["total"]) == (2, 3), f"{role}: {is_multisig}")
        check(json.loads(call("get_attribute", key="msigd")["value"])["role"] == role, f"{role}: another stamp")
        call("close_wallet")

    def clear(self):
        self.failures.disarm()
        if self.events is not None:
            self.events.close()
        if self.m.running():
            self.m.process.kill()
            self.m.process.wait()
        for path in self.wallets.folder.glob(f"{self.escrow}*"):
            path.unlink()


def run(case, folder, wallets):
    """One escrow; the World, which knows what failed."""
    world = World(folder, wallets, case)
    try:
        world.failures.arm(case)
        if not world.start():
            world.failures.disarm()
            check(world.start(), "it does not start again")
        world.open()
        if case.mode != "once" and world.starts == 1:
            world.fail_for_a_while()
            world.repair()
        world.look_at_laws()
        return world
    finally:
        world.clear()


# --- all of them ----------------------------------------------------------------------------

class Series:
    """The runs of one program, kind of call and mode: n goes up until nothing fails."""
    BEYOND = 3   # runs without a failure: how many calls an escrow makes depends on its turns

    def __init__(self, program, kind, mode):
        self.program, self.kind, self.mode = program, kind, mode
        self.next, self.clean = 1, 0

    def take(self):
        if self.clean >= self.BEYOND:
            return None
        self.next += 1
        return Case(self.program, self.kind, self.mode, self.next - 1)


class Work:
    """What is left to be run, and what came of it."""

    def __init__(self, source, until=None):
        self.source, self.until, self.lock, self.cut = source, until, threading.Lock(), False
        self.runs, self.hits, self.broken = Counter(), Counter(), []

    def take(self):
        with self.lock:
            self.cut = self.cut or (self.until is not None and time.time() > self.until and not self.missing())
            return None if self.cut else self.source()

    def missing(self):
        """What was not made to fail yet."""
        return [(program, kind) for program in PROGRAMS for kind in CALLED[program] if not self.hits[program, kind]]

    def note(self, case, series, failed, error):
        faulthandler.dump_traceback_later(HANGS, exit=True)
        with self.lock:
            self.runs[case.program, case.kind] += 1
            self.hits[case.program, case.kind] += failed > 0
            if sum(self.runs.values()) % 200 == 0:
                print(f"  {sum(self.runs.values())} runs; now {case}", flush=True)
            if series is not None and not failed:
                series.clean += 1
            if error is not None:
                self.broken.append((case, error))
                print(f"BROKEN {case}: {error}", flush=True)


def work_on(work, root, number, verbose):
    wallets = Wallets(root / f"wallets-{number}")
    done = 0
    try:
        while (taken := work.take()) is not None:
            case, series = taken
            folder, began = root / f"{number}-{done}", time.monotonic()
            done += 1
            failed, error = 0, None
            try:
                failed = run(case, folder, wallets).failures.failed()
                shutil.rmtree(folder)
            except BaseException as found:  # pylint: disable=broad-except
                here = [f for f in traceback.extract_tb(found.__traceback__) if f.filename == __file__][-1]
                error = f"{type(found).__name__}: {found} ({here.name}, line {here.lineno})\n    see {folder}"
            if verbose:
                print(f"{case}: {time.monotonic() - began:.2f} s, {failed} failed", flush=True)
            work.note(case, series, failed, error)
    finally:
        wallets.close()


def all_series(only):
    series = [Series(program, kind, mode) for program in PROGRAMS for kind in CALLED[program] for mode in MODES
              if only in f"{program} {kind} {mode}"]

    def source():
        while series:
            one = series.pop(0)
            case = one.take()
            if case is not None:
                series.append(one)   # in turn: what comes of one is known before its next
                return case, one
        return None
    return source


def sampled(count, seed, root):
    """So many by chance, and of each kind one at least."""
    chance = random.Random(seed)
    wallets = Wallets(root / "wallets-dry")
    try:
        world = run(Case("msigd", "open", "once", 0), root / "dry", wallets)
    finally:
        wallets.close()
    counts = {(p, k): world.failures.calls(p, k) for p in PROGRAMS for k in CALLED[p]}
    # "once", and not near the end: that there are so many calls is sure
    cases = [Case(p, k, "once", chance.randint(1, max(1, n // 3))) for (p, k), n in counts.items()]
    rest = [Case(p, k, mode, nth + 1) for (p, k), n in counts.items() for mode in MODES for nth in range(n)]
    todo = queue.SimpleQueue()
    for case in cases + chance.sample(rest, max(0, count - len(cases))):
        todo.put((case, None))
    return lambda: None if todo.empty() else todo.get()


def main():
    parser = argparse.ArgumentParser(description="every call that changes a file fails")
    parser.add_argument("--sample", type=int, metavar="N", help="so many, chosen by chance")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), metavar="N")
    parser.add_argument("--jobs", type=int, default=6, metavar="N")
    parser.add_argument("--until", type=int, metavar="TIME",
                        help="begin none after that (date +%%s), once each kind of call has failed")
    parser.add_argument("--only", default="", metavar="TEXT", help="series with this in them, as \"msigd write once\"")
    parser.add_argument("-v", "--verbose", action="store_true", help="a line for each run")
    args = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="msigd-io."))
    began = time.monotonic()
    if args.sample:
        print(f"seed {args.seed}")
    work = Work(sampled(args.sample, args.seed, root) if args.sample else all_series(args.only), args.until)
    threads = [threading.Thread(target=work_on, args=(work, root, n, args.verbose)) for n in range(args.jobs)]
    faulthandler.dump_traceback_later(HANGS, exit=True)
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except KeyboardInterrupt:
        work.source = lambda: None
        for thread in threads:
            thread.join()
    faulthandler.cancel_dump_traceback_later()
    missing = [one for one, runs in work.runs.items() if work.hits[one] == 0]
    for (program, kind), runs in sorted(work.runs.items()):
        print(f"{program:>7} {kind:<10} {runs:5} runs, {work.hits[program, kind]:5} with a failure")
    for program, kind in missing:
        print(f"no {kind} of {program} was made to fail")
    if work.cut:
        print("the time was up: not each call was made to fail")
    left = processes(root)
    if left:
        print(f"processes are left: {left}")
    print(f"failing io: {sum(work.runs.values())} runs, {len(work.broken)} broken, {time.monotonic() - began:.0f} s")
    if work.broken or missing or left or not work.runs:
        return 1
    shutil.rmtree(root)
    return 0


if __name__ == "__main__":
    sys.exit(main())
