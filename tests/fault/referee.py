"""Who is asked at each point of a build with FAULTS=1 (common/fault.h), and lets happen what a case says."""
import socket
import threading
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from machine import alive


A_MOMENT = 0.2      # s: who exits gives its locks back before it is seen to be gone
NEVER = ("", 0, None)   # a strike at no point


class At(NamedTuple):
    """A process at a point; escrow and port are None where none is called."""
    pid: int
    point: str
    escrow: str
    port: int

    @classmethod
    def read(cls, packet):
        pid, what, role, round_, escrow, url = packet.decode().split(" ")
        return cls(int(pid), f"{what} {role} {round_}", escrow if escrow != "-" else None, urlsplit(url).port)


def ends_soon(pids):
    """A worker that is at work, or that is stopped, does not."""
    end = time.monotonic() + A_MOMENT
    while left := any(map(alive, pids)):
        if time.monotonic() > end:
            break
        time.sleep(0.001)
    return not left


class Referee:
    """`strikes` are (point, nth, what to do), one after the other: the nth is
    counted from the strike before, the first from the beginning or, if `later`,
    from begin(). What to do is called with the At; the process goes on when it
    returns."""

    def __init__(self, folder, strikes=(), later=False):
        self.path = Path(folder) / "referee"
        self.hits, self.passed, self.strikes, self.later = [], Counter(), list(strikes), later
        self.lock, self.striking, self.struck = threading.Lock(), threading.Lock(), threading.Event()
        self.pids, self.callers, self.two_workers = set(), {}, None
        if not self.strikes:
            self.struck.set()
        self.server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.server.bind(str(self.path))
        self.server.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with client:
            try:
                while packet := client.recv(600):
                    self._at_point(At.read(packet))
                    client.send(b"go")
            except OSError:
                pass

    def _at_point(self, at):
        with self.lock:
            self.pids.add(at.pid)
            self._one_worker(at)
            if self.later:
                return
            self.hits.append(at.point)
            self.passed[at.point] += 1
            if not self.strikes or self.strikes[0][:2] != (at.point, self.passed[at.point]):
                return
            act = self.strikes.pop(0)[2]
            self.passed.clear()
            self.striking.acquire()
        try:
            act(at)
        finally:
            self.striking.release()
            if not self.strikes:
                self.struck.set()

    def _one_worker(self, at):
        """Law 1: who calls a wallet of an escrow, or a wallet-rpc, is the only one that does."""
        if not at.point.startswith("call:"):
            return
        for thing in filter(None, (at.escrow, at.port)):
            callers = self.callers.setdefault(thing, set())
            if at.pid in callers:
                continue
            others = {other for other in callers if alive(other)}
            if others and not ends_soon(others):
                self.two_workers = f"{at.pid} is at {at.point}, and {others} that had to do with {thing} is there"
            self.callers[thing] = others | {at.pid}

    def begin(self):
        with self.lock:
            self.later = False

    def disarm(self):
        """Nothing is struck any more when this returns; the points that were passed."""
        with self.lock:
            if self.strikes:
                self.strikes = [NEVER]
            passed = list(self.hits)
        with self.striking:
            return passed

    def close(self):
        self.server.shutdown(socket.SHUT_RDWR)  # wakes who accepts
        self.server.close()
