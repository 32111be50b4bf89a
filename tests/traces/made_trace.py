"""A trace as msigd writes it, without msigd: Trace has a method for each thing that
can happen to an escrow. make_traces.py puts them together."""
import hashlib
import json
import random
from pathlib import Path

ROLES = ("buyer", "vendor", "arbiter")
T0 = 1763800000000
COST = {"create_wallet": 900, "prepare_multisig": 0.6, "make_multisig": 302, "exchange_multisig_keys": 60, "is_multisig": 0.5,
        "get_attribute": 0.4, "set_attribute": 0.5, "store": 2.1, "close_wallet": 4, "open_wallet": 800, "get_address": 0.5,
        "validate_address": 0.4, "query_key": 0.7}


ROUND_OF = {"PRE_ROUND1": 1, "POST_PREPARE": 1, "POST_MAKE_MULTISIG": 1, "PRE_ROUND2": 2, "POST_EXPORT_MULTISIG": 2,
            "PRE_ROUND3": 3, "POST_IMPORT_MULTISIG": 3}


def sha(*what):
    return hashlib.sha256(repr(what).encode()).hexdigest()


class Killed(Exception):
    """The worker is gone, in the midst of it."""


class Trace:
    """An escrow under way: methods add what msigd would have written."""

    def __init__(self, number=1, began=0, ports=(18082, 18083, 18084), spare=True, label=None, network="testnet"):
        self.id = f"{number:08x}-0000-4000-8000-{number:012x}"
        self.header = {"version": 1, "trace_id": self.id.replace("-", ""), "escrow_id": self.id, "started_at": T0 + began}
        if label is not None:
            self.header["label"] = label
        self.events = []
        self.attempt = 1
        self.clock = 0.0
        self.random = random.Random(number)
        self.ports = dict(zip(ROLES, ports))
        self.names = {r: f"wallet-rpc-{p}" for r, p in self.ports.items()}
        self.wallets = self.new_wallets()
        self.wallet_sent = {}
        self.messages = {}          # (role, step) -> sha256
        self.state = {r: "new" for r in ROLES}
        self.pid, self.job, self.locks = 4000 + number, "setup", []
        self.phase = None
        self.spare = spare
        self.network = network

    def new_wallets(self):
        return {r: f"{self.id}-{self.attempt}-{r}" for r in ROLES}

    # --- events ---------------------------------------------------------------

    def add(self, type, role=None, at=None, **members):
        e = {"seq": len(self.events) + 1, "attempt": self.attempt, "t_ms": round(self.clock if at is None else at, 3), "type": type}
        if role is not None:
            e["role"] = role
        e.update({k: v for k, v in members.items() if v is not None})
        self.events.append(e)
        return e

    def said(self, type, role=None, **members):
        """Of a worker, who is named in it."""
        return self.add(type, role, **{**(self.place(role) if role else {}), **members, "worker": self.pid, "job": self.job})

    def place(self, role):
        return {"endpoint": self.names[role], "port": self.ports[role], "wallet": self.wallets[role]}

    def start(self, role, method, round=None, **members):
        return self.said("RPC_CALL_START", role, method=method, round=round, **members)

    def end(self, role, method, round=None, took=None, **members):
        took = COST.get(method, 1) * self.random.uniform(0.9, 1.1) if took is None else took
        self.clock += took
        return self.said("RPC_CALL_END", role, method=method, round=round, ok=True, duration_ms=round_ms(took), **members)

    def error(self, role, method, round=None, outcome="error", code=None, text="the wallet says no", took=1.0, expected=None, cause=None):
        self.clock += took
        return self.said("RPC_CALL_ERROR", role, method=method, round=round, ok=False, outcome=outcome, code=code, error=text,
                         duration_ms=round_ms(took), expected=expected, cause=cause)

    def call(self, role, method, round=None, given=None, took=None, **members):
        self.start(role, method, round, given=given)
        return self.end(role, method, round, took, **members)

    def fail_call(self, role, method, round=None, given=None, **members):
        self.start(role, method, round, given=given)
        return self.error(role, method, round, **members)

    # --- what wallets are ---------------------------------------------------------

    def facts(self, role):
        state = self.state[role]
        multisig = state not in ("new", "prepared")
        return {"multisig": multisig, "ready": state == "ready", "threshold": 2 if multisig else 0, "total": 3 if multisig else 0}

    def address(self, role):
        return {"new": sha(self.id, role), "prepared": sha(self.id, role), "made": sha("placeholder"),
                "between": sha(self.id, role, "between"), "ready": sha(self.id, "address")}[self.state[role]]

    def address_found(self, role):
        """What get_address tells: a placeholder is named only where it is one."""
        found = {"address_hash": self.address(role)}
        return {**found, "placeholder": True} if self.state[role] == "made" else found

    def snapshot(self, point, role, **wrong):
        f = self.facts(role)
        s = {"wallet_id": self.wallets[role], "role": role, "is_multisig": f["multisig"], "ready": f["ready"],
             "threshold": f["threshold"], "total": f["total"], "balance": 0, "unlocked_balance": 0, "address_hash": self.address(role),
             "stamp_ok": True, "file_exists": True, "file_perms": "0600", "rpc_port": self.ports[role], "open_wallets_count": 1,
             "collection_time_ms": 2.5}
        if self.state[role] == "made":
            s["placeholder"] = True
        s.update(wrong)
        return self.said(f"SNAPSHOT_{point}", role, ok=True, snapshot=s, round=ROUND_OF.get(point))

    # --- pieces of a life ---------------------------------------------------------

    def enter(self, phase, **members):
        e = self.add("STATE_CHANGE", **members)
        e.update({"from": self.phase, "phase": phase})  # null, too
        self.phase = phase

    def begin(self, wait_ms=2, queue=0, moved=None):
        self.enter("NotStarted")
        self.clock += wait_ms
        self.serve(wait_ms, queue, moved or {})
        self.enter("Preparing")
        self.worker()

    def serve(self, wait_ms=0, queue=0, moved=()):
        """It gets its endpoints; moved: {role: port} of those that are others."""
        self.add("CUSTOM", name="queue", length=queue, wait_ms=wait_ms)
        for r in moved:
            before, self.ports[r], self.names[r] = self.names[r], moved[r], f"wallet-rpc-{moved[r]}"
            self.add("FAILOVER", r, **{"from": before, "to": self.names[r]}, reason="it is down")
        for r in ROLES:
            self.add("LEASE", r, endpoint=self.names[r], port=self.ports[r], wait_ms=wait_ms, spare=self.spare and self.phase == "NotStarted")

    def worker(self, job="setup"):
        self.pid, self.job = self.pid + 1, job
        self.add("WORKER_STARTED", worker=self.pid, job=job)
        self.locks = [*sorted(f"endpoint-http:%2F%2F127.0.0.1:{p}.lock" for p in self.ports.values()), f"escrow-{self.id}.lock"]
        for lock in self.locks:
            self.clock += 0.2
            self.said("LOCK_ACQUIRED", lock=lock, wait_ms=0, busy_tries=0, ok=True)

    def worker_end(self, outcome="done", signal=None):
        for lock in self.locks if signal is None else ():
            self.said("LOCK_RELEASED", lock=lock, hold_ms=round_ms(self.clock))
        last = [e for e in self.events if e.get("worker") == self.pid][-1]
        self.add("WORKER_EXITED", worker=self.pid, job=self.job, duration_ms=100, ok=outcome == "done" and signal is None,
                 outcome=None if signal else outcome, signal=signal, exit_code=None if signal else 0,
                 last={k: last[k] for k in ("type", "role", "method", "round") if k in last})

    def release(self, clean=True, roles=ROLES):
        for r in roles:
            self.add("RELEASE", r, endpoint=self.names[r], port=self.ports[r], hold_ms=self.clock, clean=clean)

    def create(self, role):
        if self.spare:
            self.call(role, "is_multisig", found=self.facts(role))
            self.call(role, "get_attribute", found={"stamp_ok": True, "spare": True})
            self.call(role, "get_address", found=self.address_found(role))
            self.call(role, "set_attribute", 0)
        else:
            self.call(role, "create_wallet", 0)
            self.call(role, "is_multisig", 0, found=self.facts(role))
            self.call(role, "get_address", 0, found=self.address_found(role))
            self.call(role, "validate_address", 0, found={"valid": True, "nettype": self.network})
            self.fail_call(role, "get_attribute", 0, code=-45, expected=True)
            self.call(role, "set_attribute", 0)
        self.call(role, "store", 0)
        self.keys(role, 0)

    def keys(self, role, round):
        self.said("FILE_OPERATION", role, op="read", file=f"{self.wallets[role]}.keys", what="keys", bytes=2312, duration_ms=0.08, ok=True,
                  round=round)

    def say(self, role, step):
        self.messages[role, step] = sha(self.id, self.attempt, role, step)
        return {"length": 197, "sha256": self.messages[role, step]}

    def given(self, step):
        return [{"role": r, "length": 197, "sha256": self.messages[r, step]} for r in ROLES]

    def prepare(self, role):
        self.call(role, "get_attribute", 1, found={"stamp_ok": True})
        self.call(role, "prepare_multisig", 1, message=self.say(role, "prepare"))
        self.state[role] = "prepared"

    def before_make(self, role):
        self.call(role, "is_multisig", 1, found=self.facts(role))
        self.call(role, "get_attribute", 1, found={"stamp_ok": True})

    def make(self, role):
        self.before_make(role)
        self.state[role] = "made"
        self.call(role, "make_multisig", 1, given=self.given("prepare"), message=self.say(role, "make"), found=self.address_found(role))
        self.after(role, 1)

    def exchange(self, role, round):
        self.call(role, "get_attribute", round, found={"stamp_ok": True})
        self.state[role] = "between" if round == 2 else "ready"
        self.call(role, "exchange_multisig_keys", round, given=self.given("make" if round == 2 else f"exchange{round - 1}"),
                  message=self.say(role, f"exchange{round}"), took=60 if round == 2 else 330,
                  found=None if round == 2 else self.address_found(role))
        self.after(role, round)

    def after(self, role, round):
        self.call(role, "is_multisig", round, found=self.facts(role))
        self.call(role, "store", round)
        self.keys(role, round)

    def each(self, step, *args):
        """The three roles in parallel: each begins when all began, and its events come
        in the order of their times."""
        began, parts = self.clock, []
        for role in ROLES:
            first, self.clock = len(self.events), began + self.random.uniform(0, 2)
            step(role, *args)
            parts += self.events[first:]
            del self.events[first:]
            self.ended = max(getattr(self, "ended", 0), self.clock)
        self.clock = max(self.ended, began)
        for e in sorted(parts, key=lambda e: e["t_ms"]):
            e["seq"] = len(self.events) + 1
            self.events.append(e)

    def snapshots(self, point):
        for r in ROLES:
            self.snapshot(point, r)

    def rounds(self, upto=99, since=0):
        steps = [
            lambda: (self.each(self.create), self.snapshots("PRE_ROUND1"), self.each(self.prepare), self.snapshots("POST_PREPARE"),
                     self.enter("Exchanging", multisig_round=2)),
            lambda: (self.each(self.make), self.snapshots("POST_MAKE_MULTISIG"), self.enter("Exchanging", multisig_round=3)),
            lambda: (self.snapshots("PRE_ROUND2"), self.each(self.exchange, 2), self.snapshots("POST_EXPORT_MULTISIG"),
                     self.enter("Exchanging", multisig_round=4)),
            lambda: (self.snapshots("PRE_ROUND3"), self.each(self.exchange, 3), self.snapshots("POST_IMPORT_MULTISIG")),
        ]
        for step in steps[since:upto]:
            step()

    def gate(self):
        def prove(role):
            self.call(role, "get_attribute", found={"stamp_ok": True})
            self.call(role, "is_multisig", found=self.facts(role))
            self.call(role, "get_address", found=self.address_found(role))
            self.call(role, "query_key")
        self.each(prove)
        self.snapshots("FINAL")

    def close(self, role):
        self.call(role, "get_attribute", found={"stamp_ok": True})
        self.call(role, "close_wallet")

    def publish(self):
        self.enter("Ready", address_hash=self.address("buyer"))
        self.add("CUSTOM", name="published", address_hash=self.address("buyer"))

    def finish(self, close=True):
        self.gate()
        self.publish()
        if close:
            self.each(self.close)
        self.worker_end()
        self.release()
        return self

    def blame(self, cause, role, method):
        return {"cause": cause, "error": f"it failed: {cause}", "role": role, "method": method,
                "endpoint": self.names[role] if role else None}

    def failed(self, cause):
        """How each failed attempt ends."""
        self.worker_end("failed")
        self.release(clean=False)
        self.enter("Failed", reason=f"it failed: {cause}", cause=cause)

    def fail(self, cause, role=None, method=None):
        self.failed(cause)
        self.add("ERROR_FINAL", **self.blame(cause, role, method))
        return self

    def retry(self, cause, role=None, method=None, moved=None):
        """With another attempt."""
        self.failed(cause)
        self.add("RETRY", **self.blame(cause, role, method), next_attempt=self.attempt + 1, delay_ms=0)
        self.attempt += 1
        self.state, self.wallets = {r: "new" for r in ROLES}, self.new_wallets()
        self.begin(moved=moved)

    def go_on(self, cause, role=None, method=None):
        """After an interruption: the next worker opens the wallets and looks at them."""
        self.release(clean=False)
        self.add("CUSTOM", name="interrupted", **self.blame(cause, role, method), counts=True)
        self.clock += 40
        self.serve()
        self.worker()

    def take_up(self):
        """The same when msigd was started again."""
        self.add("CUSTOM", name="taken_up", phase=self.phase)
        self.serve()
        self.worker()

    def look(self, role):
        self.call(role, "open_wallet")
        self.call(role, "get_attribute", found={"stamp_ok": True})
        self.call(role, "is_multisig", found=self.facts(role))
        self.call(role, "get_address", found=self.address_found(role))

    def restore(self, role):
        """The wallet is written anew under another name, as it was after its last result."""
        self.wallets[role] += f"-{sha(self.id, role)[:8]}"
        self.said("CUSTOM", role, name="restore", reason="it does not open")
        self.said("FILE_OPERATION", role, op="write", file=f"{self.wallets[role]}.keys", what="keys", bytes=2312, duration_ms=3.5, ok=True)
        self.call(role, "close_wallet")
        self.call(role, "open_wallet")
        self.fail_call(role, "get_attribute", code=-45, expected=True)
        self.call(role, "set_attribute")
        self.call(role, "store")
        self.call(role, "is_multisig", found=self.facts(role))

    # --- files ------------------------------------------------------------------------

    def write(self, folder, blank=False):
        events = [without_texts(e) for e in self.events] if blank else self.events
        path = Path(folder) / f"escrow_{self.id}.json"
        path.write_text(as_document(self.header, events))
        return path

    def lines(self):
        return "".join(json.dumps(line) + "\n" for line in (self.header, *self.events))


def as_document(header, events):
    """A .json as msigd writes it: an event a line."""
    return compact(header)[:-1] + ',"events":[\n' + ",\n".join(map(compact, events)) + "\n]}\n"


def compact(thing):
    return json.dumps(thing, separators=(",", ":"))


def round_ms(ms):
    return round(ms, 3)


def without_texts(thing):
    """Without every text that is for people: the causes must be the same."""
    if isinstance(thing, list):
        return [without_texts(t) for t in thing]
    if not isinstance(thing, dict):
        return thing
    return {k: "" if k in ("error", "reason", "found") and isinstance(v, str) else without_texts(v) for k, v in thing.items()}
