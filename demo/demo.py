#!/usr/bin/python3
"""Three escrows at once on nine managed, offline testnet wallet-rpcs.

usage: demo.py PREFIX (where msigd is installed)

Everything is in a temporary folder; no process and no file is left behind,
also after Ctrl-C. What it knows it knows from `msigctl -j`, as any script would.
"""
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ENDPOINTS = 9
NAMES = ("first", "second", "third")
ROLES = ("buyer", "vendor", "arbiter")
STEPS = (("create", "create_wallet", 0), ("prepare", "prepare_multisig", 1), ("make", "make_multisig", 2),
         ("exchange 1", "exchange_multisig_keys", 3), ("exchange 2", "exchange_multisig_keys", 4))


class DemoError(Exception):
    """What the demo could not do, in words for who runs it."""


class Interrupts:
    """Ctrl-C and its like as KeyboardInterrupt, but never between the making of
    a thing that has to be cleaned up and the moment it is known."""

    NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self):
        self.held, self.pending = False, False
        for number in self.NUMBERS:
            signal.signal(number, self.on_signal)

    def on_signal(self, _number, _frame):
        if not self.held:
            raise KeyboardInterrupt
        self.pending = True

    def __enter__(self):
        self.held = True

    def __exit__(self, *_):
        self.held = False
        if self.pending:
            raise KeyboardInterrupt

    def end(self):
        """The cleaning up is not interrupted."""
        for number in self.NUMBERS:
            signal.signal(number, signal.SIG_IGN)


class Msigd:
    """msigd in a folder of its own, and msigctl to talk to it."""

    def __init__(self, prefix, folder):
        self.msigctl = [f"{prefix}/bin/msigctl", "-s", f"{folder}/run/msigd.sock", "-j"]
        self.log = f"{folder}/log"
        self.port_base = free_ports(ENDPOINTS)
        conf = f"{folder}/msigd.conf"
        with open(conf, "w", encoding="utf-8") as f:
            f.write(f'network = testnet\nstate-dir = "{folder}/state"\nrun-dir = "{folder}/run"\n'
                    f'lock-dir = "{folder}/lock"\n'
                    f"managed {{\n\tcount = {ENDPOINTS}\n\tport-base = {self.port_base}\n}}\n")
        with open(self.log, "w", encoding="utf-8") as log:
            # its own process group: a Ctrl-C reaches this script, which then stops it in order
            self.process = subprocess.Popen([f"{prefix}/sbin/msigd", "-d", "-f", conf], stderr=log,
                                            start_new_session=True)
        self.readers = []

    def said(self, level):
        with open(self.log, encoding="utf-8") as log:
            return "".join(line for line in log if "level=" not in line or f"level={level}" in line)

    def wait_until_it_answers(self):
        until = time.monotonic() + 30
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise DemoError("msigd did not start:\n" + self.said("error"))
            if subprocess.run(self.msigctl + ["info"], capture_output=True, check=False).returncode == 0:
                return
            time.sleep(0.05)
        raise DemoError("msigd does not answer:\n" + self.said("error"))

    def call(self, *args):
        done = subprocess.run(self.msigctl + list(args), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise DemoError(f"msigctl {' '.join(args)}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def events(self, since=0):
        """The process whose standard output is the stream of events, one JSON object a line."""
        reader = subprocess.Popen(self.msigctl + ["watch", "--since", str(since)], stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, start_new_session=True)
        self.readers.append(reader)
        return reader

    def stop(self):
        for reader in self.readers:
            reader.kill()
            reader.wait()
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait()


def free_ports(count):
    """The first of so many ports in a row that nobody uses."""
    for base in range(28080, 29000, 10):
        try:
            for port in range(base, base + count):
                with socket.socket() as s:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    s.bind(("127.0.0.1", port))
            return base
        except OSError:
            continue
    raise DemoError(f"no {count} free ports in a row on 127.0.0.1 between 28080 and 29000")


class EventLines:
    """Lines of an event stream, with a limit on the waiting for one."""

    def __init__(self, reader):
        self.reader = reader
        self.buffer = b""

    def next(self, seconds):
        """The next event; None when none came in time. EOF is an error."""
        until = time.monotonic() + seconds
        while b"\n" not in self.buffer:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.reader.stdout], [], [], left)[0]:
                return None
            piece = os.read(self.reader.stdout.fileno(), 65536)
            if not piece:
                raise DemoError("msigd has ended its stream of events")
            self.buffer += piece
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)


# --- endpoints ---------------------------------------------------------------

def wait_for_endpoints(msigd):
    """Until each has a spare wallet ready."""
    lines = EventLines(msigd.events())
    until = time.monotonic() + 240
    while time.monotonic() < until:
        endpoints = msigd.call("endpoints")
        up = sum(e["state"] in ("idle", "tending", "primed") for e in endpoints)
        primed = sum(e["state"] == "primed" for e in endpoints)
        if primed == ENDPOINTS:
            return
        live(f"  {up} of {ENDPOINTS} are up, {primed} have a spare wallet")
        lines.next(1)
    raise DemoError(f"only {up} of {ENDPOINTS} endpoints came up, {primed} of them with a spare wallet:\n" + msigd.said("warn"))


# --- progress ----------------------------------------------------------------

def live(*lines, again=0):
    """Draws lines over the last `again` ones; only on a terminal."""
    if not sys.stdout.isatty():
        return
    width = shutil.get_terminal_size().columns - 1
    up = f"\x1b[{again}A" if again else ""
    end = "\n" if len(lines) > 1 else "\r"
    sys.stdout.write(up + "".join(f"\r\x1b[K{line[:width]}{end}" for line in lines))
    sys.stdout.flush()


def describe(name, escrow):
    state = escrow["multisig_state"]
    phase = escrow["phase"] + (f" round {state['round']}" if "round" in state else "")
    done = "  ".join(f"{p['role']}: {p['completed'][-1] if p['completed'] else '-'}"
                     + (f" {p['completed'].count('exchange')}" if "exchange" in p["completed"] else "")
                     for p in escrow["participants"])
    return f"  {name:<7} {phase:<20} {escrow['elapsed_ms'] / 1000:5.1f} s   {done}"


def follow(msigd, ids):
    """Shows the escrows until each is Ready or Failed."""
    lines = EventLines(msigd.events())
    drawn, said = 0, {}
    while True:
        escrows = [msigd.call("status", i) for i in ids]
        if sys.stdout.isatty():
            live(*(describe(n, e) for n, e in zip(NAMES, escrows)), again=drawn)
            drawn = len(NAMES)
        else:
            for name, escrow in zip(NAMES, escrows):
                now = (escrow["phase"], escrow["multisig_state"].get("round"))
                if said.get(name) != now:
                    said[name] = now
                    print(describe(name, escrow), flush=True)
        if all(e["phase"] in ("Ready", "Failed") for e in escrows):
            return escrows
        lines.next(0.5)


# --- what came of it ---------------------------------------------------------

def collect_steps(msigd, ids):
    """{(escrow, call, round): slowest of the three wallets, ms}"""
    slowest, finished = {}, set()
    lines = EventLines(msigd.events())
    while finished != set(ids):
        event = lines.next(10)
        if event is None:
            raise DemoError("the events are not complete")
        escrow = event.get("escrow_id")
        if event["type"] == "step":
            key = (escrow, event["call"], event["round"])
            slowest[key] = max(slowest.get(key, 0), event["duration_ms"])
        elif event.get("phase") in ("Ready", "Failed"):
            finished.add(escrow)
    return slowest


def show_results(msigd, escrows):
    ids = [e["escrow_id"] for e in escrows]
    for name, escrow in zip(NAMES, escrows):
        print(f"  {name:<7} {escrow['address'] or escrow['status']}")
    addresses = {e["address"] for e in escrows}
    if None in addresses or len(addresses) != len(NAMES):
        raise DemoError("there should be three different addresses; msigd said:\n" + msigd.said("warn"))
    slowest = collect_steps(msigd, ids)
    print("\nwhere the time went, in seconds: for each step the slowest of the three wallets, which run in parallel")
    print("  escrow    in all" + "".join(f"{title:>12}" for title, _, _ in STEPS) + "       other")
    for name, escrow in zip(NAMES, escrows):
        times = [slowest.get((escrow["escrow_id"], call, number), 0) / 1000 for _, call, number in STEPS]
        total = (escrow["finalized_at"] - escrow["created_at"]) / 1000
        print(f"  {name:<7} {total:8.2f}" + "".join(f"{t:12.2f}" for t in times)
              + f"{max(0.0, total - sum(times)):12.2f}")


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: demo.py PREFIX")
    interrupts = Interrupts()
    folder, msigd, status = None, None, 1
    try:
        with interrupts:
            folder = tempfile.mkdtemp(prefix="msigd-demo.")
        print(f"starting msigd with {ENDPOINTS} offline testnet monero-wallet-rpcs", flush=True)
        with interrupts:
            msigd = Msigd(sys.argv[1], folder)
        msigd.wait_until_it_answers()
        wait_for_endpoints(msigd)
        print(f"opening three escrows at once on ports {msigd.port_base} to {msigd.port_base + ENDPOINTS - 1}",
              flush=True)
        ids = [msigd.call("open", "--label", name)["escrow_id"] for name in NAMES]
        escrows = follow(msigd, ids)
        print("their addresses")
        show_results(msigd, escrows)
        status = 0
    except DemoError as e:
        print(f"demo: {e}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        status = 130
    finally:
        interrupts.end()
        print("stopping, and removing all files")
        if msigd is not None:
            msigd.stop()
        if folder is not None:
            shutil.rmtree(folder)
    sys.exit(status)


if __name__ == "__main__":
    main()
