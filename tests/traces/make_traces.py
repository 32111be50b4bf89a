"""Traces as msigd writes them, without msigd: good ones, and ones in which something
was planted. For msigtrace's tests, and to look at by hand:

    python3 tests/traces/make_traces.py FOLDER [SCENARIO...]

Each scenario is a function that gives its traces; SCENARIOS says which cause
msigtrace must name for it. Times are made up, but as on a real machine. With
--blank every error, reason and found text is left out, for the causes must be the
same.
"""
import hashlib
import json
import random
import sys
from pathlib import Path

ROLES = ("buyer", "vendor", "arbiter")
T0 = 1763800000000
COST = {"create_wallet": 900, "prepare_multisig": 0.6, "make_multisig": 302, "exchange_multisig_keys": 60, "is_multisig": 0.5,
        "get_attribute": 0.4, "set_attribute": 0.5, "store": 2.1, "close_wallet": 4, "open_wallet": 800, "get_address": 0.5,
        "validate_address": 0.4, "query_key": 0.7}


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
        self.wallets = {r: f"msigd-{self.id[:8]}-{r}" for r in ROLES}
        self.wallet_sent = {}
        self.messages = {}          # (role, step) -> sha256
        self.state = {r: "new" for r in ROLES}
        self.pid = 4000 + number
        self.spare = spare
        self.network = network

    # --- events ---------------------------------------------------------------

    def add(self, type, role=None, at=None, **members):
        e = {"seq": len(self.events) + 1, "attempt": self.attempt, "t_ms": round(self.clock if at is None else at, 3), "type": type}
        if role is not None:
            e["role"] = role
        e.update({k: v for k, v in members.items() if v is not None})
        self.events.append(e)
        return e

    def place(self, role):
        return {"endpoint": self.names[role], "port": self.ports[role], "wallet": self.wallets[role]}

    def start(self, role, method, round=None, **members):
        return self.add("RPC_CALL_START", role, method=method, round=round, worker=self.pid, **self.place(role), **members)

    def end(self, role, method, round=None, took=None, **members):
        took = COST.get(method, 1) * self.random.uniform(0.9, 1.1) if took is None else took
        self.clock += took
        return self.add("RPC_CALL_END", role, method=method, round=round, ok=True, duration_ms=round_ms(took), worker=self.pid,
                        **self.place(role), **members)

    def error(self, role, method, round=None, outcome="error", code=None, text="the wallet says no", took=1.0, expected=None):
        self.clock += took
        return self.add("RPC_CALL_ERROR", role, method=method, round=round, ok=False, outcome=outcome, code=code, error=text,
                        duration_ms=round_ms(took), worker=self.pid, expected=expected, **self.place(role))

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
        return {"address_hash": self.address(role), "placeholder": self.state[role] == "made"}

    def snapshot(self, point, role, **wrong):
        f = self.facts(role)
        s = {"wallet_id": self.wallets[role], "role": role, "is_multisig": f["multisig"], "ready": f["ready"],
             "threshold": f["threshold"], "total": f["total"], "balance": 0, "unlocked_balance": 0, "address_hash": self.address(role),
             "stamp_ok": True, "file_exists": True, "file_perms": "0600", "rpc_port": self.ports[role], "open_wallets_count": 1,
             "collection_time_ms": 2.5}
        if self.state[role] == "made":
            s["placeholder"] = True
        s.update(wrong)
        return self.add(f"SNAPSHOT_{point}", role, snapshot=s, **self.place(role))

    # --- pieces of a life ---------------------------------------------------------

    def begin(self, wait_ms=2.0, queue=0):
        self.add("STATE_CHANGE", **{"from": "", "phase": "NotStarted"})
        self.clock += wait_ms
        self.add("CUSTOM", name="queue", length=queue, wait_ms=wait_ms)
        self.lease(wait_ms)
        self.add("STATE_CHANGE", **{"from": "NotStarted", "phase": "Preparing"})
        self.worker()

    def lease(self, wait_ms=0.0, roles=ROLES):
        for r in roles:
            self.add("LEASE", r, endpoint=self.names[r], port=self.ports[r], wait_ms=wait_ms, spare=self.spare)

    def worker(self, job="setup"):
        self.pid += 1
        self.add("WORKER_STARTED", worker=self.pid, job=job)
        for lock in ("escrow", *self.ports.values()):
            self.clock += 0.2
            self.add("LOCK_ACQUIRED", lock=f"{lock}-{sha(lock)[:6]}.lock", wait_ms=0.2, busy_tries=0, ok=True)

    def worker_end(self, **how):
        last = self.events[-1]
        self.add("WORKER_EXITED", worker=self.pid, job="setup", duration_ms=100, ok=not how, exit_code=None if how else 0,
                 last={k: last.get(k) for k in ("type", "role", "method", "round")} if how else None, **how)

    def release(self, clean=True, roles=ROLES):
        for r in roles:
            self.add("RELEASE", r, endpoint=self.names[r], port=self.ports[r], hold_ms=self.clock, clean=clean)

    def create(self, role):
        if self.spare:
            self.call(role, "is_multisig", found=self.facts(role))
            self.call(role, "get_attribute", found={"stamp_ok": True})
            self.call(role, "get_address", found={"address_hash": self.address(role), "placeholder": False})
            self.call(role, "set_attribute", 0)
        else:
            self.call(role, "create_wallet", 0)
            self.call(role, "is_multisig", 0, found=self.facts(role))
            self.call(role, "get_address", 0, found={"address_hash": self.address(role), "placeholder": False})
            self.call(role, "validate_address", 0, found={"valid": True, "nettype": self.network})
            self.fail_call(role, "get_attribute", 0, code=-45, expected=True)
            self.call(role, "set_attribute", 0)
        self.call(role, "store", 0)
        self.keys(role, 0)

    def keys(self, role, round):
        self.add("FILE_OPERATION", role, op="read", file=f"{self.wallets[role]}.keys", what="keys", bytes=2312, duration_ms=0.08, ok=True,
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
        self.call(role, "make_multisig", 1, given=self.given("prepare"), message=self.say(role, "make"))
        self.state[role] = "made"
        self.after(role, 1)

    def exchange(self, role, round):
        self.call(role, "get_attribute", round, found={"stamp_ok": True})
        self.call(role, "exchange_multisig_keys", round, given=self.given("make" if round == 2 else f"exchange{round - 1}"),
                  message=self.say(role, f"exchange{round}"), took=60 if round == 2 else 330)
        self.state[role] = "between" if round == 2 else "ready"
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
                     self.add("STATE_CHANGE", **{"from": "Preparing", "phase": "Exchanging"}, multisig_round=1)),
            lambda: (self.each(self.make), self.snapshots("POST_MAKE_MULTISIG")),
            lambda: (self.snapshots("PRE_ROUND2"), self.each(self.exchange, 2), self.snapshots("POST_EXPORT_MULTISIG")),
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
        self.add("CUSTOM", name="published", address_hash=self.address("buyer"))
        self.add("STATE_CHANGE", **{"from": "Exchanging", "phase": "Ready"}, address_hash=self.address("buyer"))

    def finish(self, close=True):
        self.gate()
        self.publish()
        if close:
            self.each(self.close)
        self.worker_end()
        self.release()
        return self

    def fail(self, cause, role=None, method=None):
        self.add("ERROR_FINAL", role, cause=cause, error=f"it failed: {cause}", method=method,
                 endpoint=self.names[role] if role else None)
        self.add("STATE_CHANGE", **{"from": "Exchanging", "phase": "Failed"}, reason=f"it failed: {cause}")
        self.worker_end()
        self.release(clean=False)
        return self

    def go_on(self, cause, job="setup"):
        """After an interruption: the next worker opens the wallets and looks at them."""
        self.release(clean=False)
        self.add("RETRY", next_attempt=self.attempt, cause=cause, error="it was interrupted", delay_ms=0)
        self.clock += 40
        spare, self.spare = self.spare, False
        self.lease()
        self.spare = spare
        self.worker(job)

    def look(self, role):
        self.call(role, "open_wallet")
        self.call(role, "get_attribute", found={"stamp_ok": True})
        self.call(role, "is_multisig", found=self.facts(role))
        self.call(role, "get_address", found=self.address_found(role))

    def restore(self, role):
        """The wallet is written anew under another name, as it was after its last result."""
        self.wallets[role] += "-again"
        self.add("FILE_OPERATION", role, op="write", file=f"{self.wallets[role]}.keys", what="keys", bytes=2312, duration_ms=3.5, ok=True)
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
        path.write_text(json.dumps({**self.header, "events": events}, indent=1))
        return path

    def lines(self):
        return "".join(json.dumps(line) + "\n" for line in (self.header, *self.events))


def round_ms(ms):
    return round(ms, 3)


def without_texts(thing):
    """Without every text that is for people: the causes must be the same."""
    if isinstance(thing, list):
        return [without_texts(t) for t in thing]
    if not isinstance(thing, dict):
        return thing
    return {k: "" if k in ("error", "reason", "found") and isinstance(v, str) else without_texts(v) for k, v in thing.items()}


# --- the scenarios ----------------------------------------------------------------------

def good(number=1, **options):
    t = Trace(number, **options)
    t.begin()
    t.rounds()
    return [t.finish()]


def good_fresh():
    return good(2, spare=False)


def good_overtaking():
    """Each role takes its snapshots when it comes there: the last begins when the first has prepared."""
    t = Trace(5)
    t.begin()
    t.each(t.create)

    def prepare(role):
        t.clock += 5 * ROLES.index(role)
        t.snapshot("PRE_ROUND1", role)
        t.prepare(role)
        t.snapshot("POST_PREPARE", role)
    t.each(prepare)
    t.add("STATE_CHANGE", **{"from": "Preparing", "phase": "Exchanging"}, multisig_round=1)
    t.rounds(since=1)
    return [t.finish()]


def good_session():
    """Its wallets stay open for hours, and are asked twice."""
    t = good(3)[0]
    del t.events[-3:]
    for _ in range(2):
        t.clock += 40 * 60 * 1000
        for r in ROLES:
            t.call(r, "get_attribute", found={"stamp_ok": True})
            t.call(r, "get_balance")
    t.release()
    return [t]


def good_restarted_cleanly():
    """msigd was stopped and started again."""
    t = Trace(4)
    t.begin()
    t.rounds(2)
    t.worker_end()
    t.go_on("interrupted")
    t.each(t.look)
    t.each(t.exchange, 2)
    t.each(t.exchange, 3)
    return [t.finish()]


def good_many():
    """Ten, one after the other on the same wallet-rpcs."""
    return [good(10 + i, began=i * 4000)[0] for i in range(10)]


def left_open(number=21, escrow_of="A"):
    """An escrow whose worker was killed after Ready, with its wallets open."""
    t = Trace(number)
    t.begin()
    t.rounds()
    t.gate()
    t.publish()
    t.worker_end(signal="SIGKILL")
    return t


def pollution():
    """A's wallets were left open; C finds one of them in the place of its own."""
    a, c = left_open(), Trace(23, began=60000, ports=(18085, 18082, 18086), spare=False)
    c.begin()
    c.each(lambda r: c.create(r) if r != "vendor" else None)
    c.call("vendor", "is_multisig", 0, found={"multisig": True, "ready": True, "threshold": 2, "total": 3})
    c.fail_call("vendor", "make_multisig", 1, code=-28, text="already multisig")
    return [a, good(22, began=20000, ports=(18090, 18091, 18092))[0], c.fail("polluted", "vendor", "make_multisig")]


def pollution_alone():
    """The same without A's file: nobody can be named."""
    return pollution()[2:]


def pollution_by_address():
    """The port had two users since; whose wallet it is the address tells."""
    a, _, c = pollution()
    c.events = [e for e in c.events if e.get("method") != "make_multisig" or e["type"] == "ERROR_FINAL"]
    c.clock -= 1
    c.snapshot("PRE_ROUND1", "vendor", is_multisig=True, ready=True, threshold=2, total=3, address_hash=a.address("buyer"), stamp_ok=False)
    at = next(i for i, e in enumerate(c.events) if e["type"] == "ERROR_FINAL")
    c.events.insert(at, c.events.pop())
    later = good(24, began=30000, ports=(18082, 18093, 18094))[0]
    return [a, later, c]


def two_parties():
    """Another program opens its wallet in the place of ours, and makes ours multisig."""
    t = Trace(31)
    t.begin()
    t.each(t.create)
    t.each(t.prepare)
    t.call("buyer", "is_multisig", 1, found={"multisig": True, "ready": False, "threshold": 2, "total": 2})
    t.call("buyer", "get_attribute", 1, found={"stamp_ok": False})
    t.add("CACHE_POLLUTION_DETECTED", "buyer", **t.place("buyer"), found="a wallet without a stamp")
    return [t.fail("polluted", "buyer", "make_multisig")]


def two_msigds():
    """Two msigd on one endpoint, at the same time."""
    return [good(32)[0], good(33, began=300)[0]]


def addresses_differ():
    t = Trace(41)
    t.begin()
    t.rounds()
    right = t.address
    t.address = lambda role: sha("another") if role == "arbiter" else right(role)
    t.gate()
    return [t.fail("gate", "arbiter", "get_address")]


def foreign_message():
    """buyer is given what the vendor of another escrow said."""
    a, t = good(51)[0], Trace(52, began=30000)
    t.begin()
    t.rounds(2)
    given = t.given("make")
    given[1]["sha256"] = a.messages["vendor", "make"]
    t.fail_call("buyer", "exchange_multisig_keys", 2, given=given, code=-1)
    return [a, t.fail("wallet_error", "buyer", "exchange_multisig_keys")]


def foreign_answer():
    """vendor's wallet answers with what another escrow's said."""
    a, t = good(53)[0], Trace(54, began=30000)
    t.begin()
    say = t.say
    def liar(role, step):
        if (role, step) != ("vendor", "prepare"):
            return say(role, step)
        t.messages[role, step] = a.messages[role, step]
        return {"length": 197, "sha256": t.messages[role, step]}
    t.say = liar
    t.rounds(2)
    t.fail_call("buyer", "exchange_multisig_keys", 2, given=t.given("make"), code=-1)
    return [a, t.fail("wallet_error", "buyer", "exchange_multisig_keys")]


def old_message():
    """vendor is given a message of the attempt before."""
    t = Trace(55)
    t.begin()
    t.rounds(1)
    old = t.messages["arbiter", "prepare"]
    t.add("RETRY", next_attempt=2, cause="wallet_error", error="again", delay_ms=0)
    t.worker_end()
    t.release()
    t.attempt, t.state = 2, {r: "new" for r in ROLES}
    t.begin()
    t.rounds(1)
    given = t.given("prepare")
    given[2]["sha256"] = old
    t.fail_call("vendor", "make_multisig", 1, given=given, code=-1)
    return [t.fail("wallet_error", "vendor", "make_multisig")]


def refused_messages():
    """Changed on the way: what msigd has on record is right."""
    t = Trace(56)
    t.begin()
    t.rounds(2)
    t.fail_call("arbiter", "exchange_multisig_keys", 2, given=t.given("make"), code=-1)
    return [t.fail("wallet_error", "arbiter", "exchange_multisig_keys")]


def fourth_message():
    t = Trace(57)
    t.begin()
    t.rounds(1)
    t.before_make("buyer")
    t.call("buyer", "make_multisig", 1, given=t.given("prepare"), message=t.say("buyer", "make"))
    t.call("buyer", "is_multisig", 1, found={"multisig": True, "ready": False, "threshold": 2, "total": 4})
    return [t.fail("gate", "buyer", "is_multisig")]


def torn_wallet():
    """wallet-rpc was killed between the exchange and its store; the wallet is restored."""
    t = Trace(61)
    t.begin()
    t.rounds(2)
    t.each(lambda r: t.exchange(r, 2) if r != "vendor" else None)
    t.call("vendor", "get_attribute", 2, found={"stamp_ok": True})
    t.start("vendor", "exchange_multisig_keys", 2, given=t.given("make"))
    t.error("vendor", "exchange_multisig_keys", 2, outcome="unknown", took=20)
    t.worker_end()
    t.go_on("outcome_unknown")
    t.look("buyer")
    t.look("arbiter")
    t.fail_call("vendor", "open_wallet", code=-1, text="Failed to open wallet", took=700)
    t.restore("vendor")
    t.exchange("vendor", 2)
    t.each(t.exchange, 3)
    return [t.finish()]


def unknown_had_run():
    t = Trace(62)
    t.begin()
    t.rounds(1)
    t.make("vendor")
    t.make("arbiter")
    t.before_make("buyer")
    t.start("buyer", "make_multisig", 1, given=t.given("prepare"))
    t.error("buyer", "make_multisig", 1, outcome="unknown", took=30000)
    t.worker_end()
    t.state["buyer"] = "made"
    t.go_on("outcome_unknown")
    t.each(t.look)
    return [t]


def unknown_had_not_run():
    t = Trace(63)
    t.begin()
    t.rounds(1)
    t.make("vendor")
    t.make("arbiter")
    t.before_make("buyer")
    t.start("buyer", "make_multisig", 1, given=t.given("prepare"))
    t.error("buyer", "make_multisig", 1, outcome="unknown", took=400)
    t.worker_end()
    t.go_on("outcome_unknown")
    t.each(t.look)
    t.make("buyer")
    t.each(t.exchange, 2)
    t.each(t.exchange, 3)
    return [t.finish()]


def worker_killed():
    t = Trace(71)
    t.begin()
    t.rounds(2)
    t.each(lambda r: t.exchange(r, 2) if r != "arbiter" else None)
    t.start("arbiter", "exchange_multisig_keys", 2, given=t.given("make"))
    t.worker_end(signal="SIGKILL")
    t.state["arbiter"] = "between"
    t.go_on("worker_died")
    t.each(t.look)
    return [t]


def msigd_killed():
    t = Trace(72)
    t.begin()
    t.rounds(2)
    t.start("arbiter", "exchange_multisig_keys", 2, given=t.given("make"))
    t.clock += 3000
    t.lease()
    t.worker()
    t.each(t.look)
    t.each(t.exchange, 2)
    t.each(t.exchange, 3)
    return [t.finish()]


def msigd_killed_unheard():
    """Each make_multisig had gone out, and msigd did not live to write that down."""
    t = Trace(73)
    t.begin()
    t.rounds(1)
    heard = len(t.events)
    t.each(t.make)
    del t.events[heard:]
    t.clock += 3000
    t.add("CUSTOM", name="taken_up", phase="Exchanging")
    t.lease()
    t.worker()
    t.each(t.look)
    t.rounds(since=2)
    return [t.finish()]


def wrong_network():
    t = Trace(81, spare=False)
    t.begin()
    t.create("buyer")
    t.call("vendor", "create_wallet", 0)
    t.call("vendor", "validate_address", 0)
    t.add("ERROR_FINAL", "vendor", cause="wrong_network", error="no", method="validate_address", endpoint=t.names["vendor"],
          port=t.ports["vendor"])
    t.add("STATE_CHANGE", **{"from": "Preparing", "phase": "Failed"}, reason="no")
    return [t]


def saturation():
    """Four on one triple of wallet-rpcs: the last waits for three others."""
    out = []
    for i in range(4):
        t = Trace(90 + i, began=i * 10)
        t.begin(wait_ms=2.0 if i == 0 else 900.0 * i, queue=3 - i)
        t.rounds()
        out.append(t.finish())
    return out


def lock_contention():
    t = Trace(101)
    t.begin()
    t.add("LOCK_ACQUIRED", "buyer", lock="endpoint-1a2b3c.lock", wait_ms=10000, busy_tries=200, ok=False, holder="pid 4711 (msigd-worker)")
    return [t.fail("locks")]


def restarted():
    t = Trace(111)
    t.begin()
    t.rounds(2)
    t.fail_call("vendor", "get_attribute", 2, code=-13, text="No wallet file")
    t.worker_end()
    t.go_on("wallet_closed")
    t.each(t.look)
    t.each(t.exchange, 2)
    t.each(t.exchange, 3)
    return [t.finish()]


def down():
    t = Trace(112)
    t.begin()
    t.rounds(2)
    t.fail_call("vendor", "get_attribute", 2, outcome="down")
    t.add("FAILOVER", "vendor", **{"from": t.names["vendor"], "to": "wallet-rpc-18099"}, reason="it is down")
    return [t.fail("endpoint_down", "vendor")]


def refused():
    t = Trace(113)
    t.begin()
    t.fail_call("buyer", "is_multisig", outcome="refused")
    return [t.fail("endpoint_refused", "buyer")]


def timed_out():
    t = Trace(114)
    t.begin()
    t.rounds(1)
    t.start("buyer", "make_multisig", 1, given=t.given("prepare"))
    t.clock += 600000
    return [t.fail("timeout")]


def cancelled():
    t = Trace(115)
    t.begin()
    return [t.fail("cancelled")]


# scenario: (traces, the causes that must be named)
SCENARIOS = {
    "good": (good, []),
    "good_fresh": (good_fresh, []),
    "good_overtaking": (good_overtaking, []),
    "good_session": (good_session, []),
    "good_restarted_cleanly": (good_restarted_cleanly, []),
    "good_many": (good_many, []),
    "pollution": (pollution, ["worker_killed", "pollution"]),
    "pollution_alone": (pollution_alone, ["pollution"]),
    "pollution_by_address": (pollution_by_address, ["worker_killed", "pollution"]),
    "two_parties": (two_parties, ["two_parties", "pollution"]),
    "two_msigds": (two_msigds, ["two_parties"]),
    "addresses_differ": (addresses_differ, ["addresses_differ"]),
    "foreign_message": (foreign_message, ["foreign_message"]),
    "foreign_answer": (foreign_answer, ["foreign_message"]),
    "old_message": (old_message, ["foreign_message"]),
    "refused_messages": (refused_messages, ["foreign_message"]),
    "fourth_message": (fourth_message, ["not_two_of_three"]),
    "torn_wallet": (torn_wallet, ["torn_wallet", "unknown_outcome"]),
    "unknown_had_run": (unknown_had_run, ["unknown_outcome"]),
    "unknown_had_not_run": (unknown_had_not_run, ["unknown_outcome"]),
    "worker_killed": (worker_killed, ["worker_killed"]),
    "msigd_killed": (msigd_killed, ["msigd_interrupted"]),
    "msigd_killed_unheard": (msigd_killed_unheard, ["msigd_interrupted"]),
    "wrong_network": (wrong_network, ["wrong_network"]),
    "saturation": (saturation, ["saturation"]),
    "lock_contention": (lock_contention, ["lock_contention"]),
    "restarted": (restarted, ["wallet_closed"]),
    "down": (down, ["endpoint_down"]),
    "refused": (refused, ["endpoint_refused"]),
    "timed_out": (timed_out, ["timeout"]),
    "cancelled": (cancelled, ["failed"]),
}


def write(folder, names=None, blank=False):
    """{scenario: [paths]}, a folder for each."""
    written = {}
    for name in names or SCENARIOS:
        place = Path(folder) / name
        place.mkdir(parents=True, exist_ok=True)
        written[name] = [t.write(place, blank) for t in SCENARIOS[name][0]()]
    return written


if __name__ == "__main__":
    arguments = [a for a in sys.argv[1:] if a != "--blank"]
    if not arguments:
        sys.exit(__doc__)
    write(arguments[0], arguments[1:], "--blank" in sys.argv)
