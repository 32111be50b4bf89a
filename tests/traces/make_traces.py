"""Traces as msigd writes them, without msigd: good ones, and ones in which something
was planted. For msigtrace's tests, and to look at by hand:

    python3 tests/traces/make_traces.py FOLDER [SCENARIO...]

Each scenario is a function that gives its traces; SCENARIOS says which cause
msigtrace must name for it. Times are made up, but as on a real machine. With
--blank every error, reason and found text is left out, for the causes must be the
same.
"""
import sys
from pathlib import Path

from made_trace import ROLES, Trace, sha


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
    t.enter("Exchanging", multisig_round=2)
    t.rounds(since=1)
    return [t.finish()]


def good_session():
    """Its wallets stay open for hours, and are asked twice."""
    t = Trace(3)
    t.begin()
    t.rounds()
    t.gate()
    t.publish()
    for _ in range(2):
        t.clock += 40 * 60 * 1000
        for r in ROLES:
            t.call(r, "get_attribute", found={"stamp_ok": True})
            t.call(r, "get_balance")
    t.each(t.close)
    t.worker_end()
    t.release()
    return [t]


def good_restarted_cleanly():
    """msigd was stopped and started again."""
    t = Trace(4)
    t.begin()
    t.rounds(2)
    t.worker_end("stopped")
    t.release(clean=False)
    t.take_up()
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


def finds_another():
    """C, whose vendor finds a wallet that A left open in the place of its own."""
    c = Trace(23, began=60000, ports=(18085, 18082, 18086), spare=False)
    c.begin()
    c.each(lambda r: c.create(r) if r != "vendor" else None)
    c.call("vendor", "is_multisig", 0, found={"multisig": True, "ready": True, "threshold": 2, "total": 3})
    return c


def pollution():
    """A's wallets were left open; C finds one of them in the place of its own."""
    a, c = left_open(), finds_another()
    for r in ROLES:
        c.say(r, "prepare")
    c.fail_call("vendor", "make_multisig", 1, given=c.given("prepare"), code=-28, text="already multisig")
    return [a, good(22, began=20000, ports=(18090, 18091, 18092))[0], c.fail("polluted", "vendor", "make_multisig")]


def pollution_alone():
    """The same without A's file: nobody can be named."""
    return pollution()[2:]


def pollution_by_address():
    """The port had two users since; whose wallet it is the address tells."""
    a, c = left_open(), finds_another()
    c.snapshot("PRE_ROUND1", "vendor", is_multisig=True, ready=True, threshold=2, total=3, address_hash=a.address("buyer"), stamp_ok=False)
    later = good(24, began=30000, ports=(18082, 18093, 18094))[0]
    return [a, later, c.fail("polluted", "vendor", "make_multisig")]


def two_parties():
    """Another program opens its wallet in the place of ours, and makes ours multisig."""
    t = Trace(31)
    t.begin()
    t.each(t.create)
    t.each(t.prepare)
    t.call("buyer", "is_multisig", 1, found={"multisig": True, "ready": False, "threshold": 2, "total": 2})
    t.call("buyer", "get_attribute", 1, found={"stamp_ok": False})
    t.add("CACHE_POLLUTION_DETECTED", "buyer", **t.place("buyer"), found="another one is open there: a wallet without a stamp")
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
    t.retry("wallet_error", "buyer", "make_multisig")
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
    t.state["buyer"] = "made"
    t.call("buyer", "make_multisig", 1, given=t.given("prepare"), message=t.say("buyer", "make"), found=t.address_found("buyer"))
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
    t.worker_end("failed")
    t.go_on("outcome_unknown", "vendor", "exchange_multisig_keys")
    t.look("buyer")
    t.look("arbiter")
    t.fail_call("vendor", "open_wallet", code=-1, text="Failed to open wallet", took=700, expected=True)
    t.restore("vendor")
    t.exchange("vendor", 2)
    t.each(t.exchange, 3)
    return [t.finish()]


def cache_lost():
    """The machine lost its power: a wallet opens from its .keys, without its stamp, and is brought back."""
    t = Trace(64)
    t.begin()
    t.rounds(2)
    t.clock += 60000
    t.take_up()
    t.look("buyer")
    t.look("arbiter")
    t.call("vendor", "open_wallet")
    t.fail_call("vendor", "get_attribute", code=-45, expected=True)
    t.restore("vendor")
    t.rounds(since=2)
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
    t.worker_end("failed")
    t.state["buyer"] = "made"
    t.go_on("outcome_unknown", "buyer", "make_multisig")
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
    t.worker_end("failed")
    t.go_on("outcome_unknown", "buyer", "make_multisig")
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
    t.take_up()
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
    t.take_up()
    t.each(t.look)
    t.rounds(since=2)
    return [t.finish()]


def wrong_network():
    t = Trace(81, spare=False)
    t.begin()
    t.create("buyer")
    t.call("vendor", "create_wallet", 0)
    t.call("vendor", "validate_address", 0, found={"valid": True, "nettype": "stagenet"})
    return [t.fail("wrong_network", "vendor", "validate_address")]


def saturation():
    """Four on one triple of wallet-rpcs: the last waits for three others."""
    out = []
    for i in range(4):
        t = Trace(90 + i, began=i * 10)
        t.begin(wait_ms=2 if i == 0 else 900 * i, queue=3 - i)
        t.rounds()
        out.append(t.finish())
    return out


def lock_contention():
    t = Trace(101)
    t.begin()
    t.said("LOCK_ACQUIRED", lock=t.locks.pop(0), wait_ms=10000, busy_tries=200, ok=False, holder="pid 4711, msigd-worker setup")
    return [t.fail("locks")]


def restarted():
    t = Trace(111)
    t.begin()
    t.rounds(2)
    t.fail_call("vendor", "get_attribute", 2, code=-13, text="No wallet file")
    t.worker_end("failed")
    t.go_on("wallet_closed", "vendor", "get_attribute")
    t.each(t.look)
    t.each(t.exchange, 2)
    t.each(t.exchange, 3)
    return [t.finish()]


def down():
    t = Trace(112)
    t.begin()
    t.rounds(2)
    t.fail_call("vendor", "get_attribute", 2, outcome="down")
    t.retry("endpoint_down", "vendor", "get_attribute", moved={"vendor": 18099})
    t.each(t.create)
    t.fail_call("vendor", "get_attribute", 1, outcome="down")
    return [t.fail("endpoint_down", "vendor", "get_attribute")]


def refused():
    t = Trace(113)
    t.begin()
    t.each(t.create)
    t.fail_call("buyer", "get_attribute", 1, outcome="refused")
    return [t.fail("endpoint_refused", "buyer", "get_attribute")]


def timed_out():
    t = Trace(114)
    t.begin()
    t.rounds(1)
    t.start("buyer", "make_multisig", 1, given=t.given("prepare"))
    t.error("buyer", "make_multisig", 1, outcome="unknown", took=600000, cause="timeout")
    return [t.fail("timeout", "buyer", "make_multisig")]


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
    "cache_lost": (cache_lost, ["msigd_interrupted"]),
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
