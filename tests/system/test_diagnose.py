"""What msigtrace reads out of traces that msigd itself wrote: a cause is planted, and
`diagnose` names it, and no other, with the words and without them; in good runs it
names none. The four that are made by hand most easily are on real wallets always; with
MSIGD_FULL the others are, too, where they can be."""
import contextlib
import fcntl
import json
import os
import shutil
import signal
import threading
from pathlib import Path

import pytest

from harness import ApiError, section
from machine import LIMIT, wait_for
from stand_ins import Stood
from test_msigtrace import causes, made_trace, make_traces
from test_pollution import put_foreign_wallet
from test_recovery import hold
from test_stand_in import REAL_ADDRESSES
from test_trace import every_step_in_order, of, read, whole

FULL = "MSIGD_FULL" in os.environ


if FULL:
    @pytest.fixture(params=["stood", "rpcs"])
    def either(request, stood, rpcs):
        """Three endpoints: those of a stand-in, or real ones."""
        return {"stood": stood, "rpcs": rpcs}[request.param]
else:
    @pytest.fixture
    def either(stood):
        return stood


def traced(msigd, endpoints, **options):
    made = msigd(endpoints, instrumentation="true", **{"max_attempts": 1, "pollution_delay": "10ms", **options})
    wait_for(lambda: len(made.endpoints("idle") + made.endpoints("primed")) == len(endpoints), "endpoints that are ready")
    return made


def blank(path, folder):
    """A copy without any text for people."""
    folder.mkdir(exist_ok=True)
    copy = folder / path.name
    lines = [json.loads(path.read_text())] if path.suffix == ".json" else map(json.loads, path.read_text().splitlines())
    copy.write_text("".join(json.dumps(made_trace.without_texts(line)) + "\n" for line in lines))
    return copy


def named_in(paths, expected):
    """The findings in these files when their texts are blanked out, by cause: the same
    as with them."""
    said = causes(paths)
    found = causes([blank(path, path.parents[2] / "blank") for path in paths])
    assert {f["cause"] for f in said} == set(expected), [(f["cause"], f["what"]) for f in said]
    assert [(f["cause"], f.get("role")) for f in found] == [(f["cause"], f.get("role")) for f in said]
    assert all(f["evidence"] and f["remedy"] for f in said)
    return {f["cause"]: f for f in found}


def named(m, escrows, *expected):
    m.idle_again()
    return named_in([whole(m, e)[1] for e in escrows], expected)


def wait_until_told(m, escrow, *event, **members):
    """msigd has written it: what a worker says is on its way until then, and lost with msigd."""
    path = Path(m.api("get_trace", escrow_id=escrow)["path"])
    wait_for(lambda: of(read(path)[1], *event, **members), f"{event} {members} in the trace")


def close_sessions(m):
    for session in m.api("get_sessions"):
        with contextlib.suppress(ApiError):  # it has just made room for something else
            m.api("close_session", escrow_id=session["escrow_id"])


def role_at(m, escrow, endpoint="w1"):
    return next(p["role"] for p in m.get(escrow)["participants"] if p["endpoint"] == endpoint)


# --- the traces that are made up ------------------------------------------------------------

def kind(event):
    """Of these all have the same members, but for those that some have only."""
    if event["type"].startswith("SNAPSHOT_"):
        return "SNAPSHOT"
    if event["type"].startswith("RPC_CALL_"):
        return event["type"], event["method"] if event["type"] == "RPC_CALL_END" else event.get("outcome") == "error"
    return event["type"], event.get("name"), event.get("op"), event.get("ok") if event["type"] == "LOCK_ACQUIRED" else None


def members(thing):
    """Their names, also of those within; but what a killed worker said last is a matter of luck."""
    within = {k: v[0] if isinstance(v, list) and v else v for k, v in thing.items() if k != "last"}
    return set(thing) | {f"{k}.{name}" for k, v in within.items() if isinstance(v, dict) for name in members(v)}


def by_kind(events):
    kinds = {}
    for e in events:
        kinds.setdefault(kind(e), []).append(members(e))
    return {k: (set.intersection(*all_of), set.union(*all_of)) for k, all_of in kinds.items()}


def written_by_msigd(msigd, stood, stand_in, proxy):
    """The events of escrows to which as much happens as to those that are made up."""
    acts, no = {}, {"error": {"code": -48, "message": "no"}}
    watched = proxy(stood[0], lambda method, params, nth: acts[method].pop(0) if acts.get(method) else None)
    m = traced(msigd, [watched, *stood[1:]], max_attempts=2)
    m.expect("worker_died")
    escrows = []

    def run(meanwhile=None, at="make_multisig", nth=1, **happens):
        gate = threading.Event()
        acts.clear()
        acts.update({at: [*[None] * (nth - 1), gate]} if meanwhile else happens)
        watched.held.clear()
        escrows.append(m.open())
        if meanwhile:
            assert watched.held.wait(LIMIT)
            meanwhile(escrows[-1], gate)
        gate.set()
        m.end_of(escrows[-1])
        m.idle_again()

    def as_it_goes_on(gate, has_begun, what, **how):
        side = threading.Thread(target=what, kwargs=how)
        side.start()
        wait_for(has_begun, f"{what} has begun")
        gate.set()
        side.join()

    def stop_and_start(escrow, gate):
        as_it_goes_on(gate, lambda: m.logged("stopping"), m.stop)
        m.start()

    def cancel(escrow, gate):
        as_it_goes_on(gate, lambda: m.get(escrow)["status"] == "being cancelled", m.api, method="cancel_escrow", escrow_id=escrow)
    run()
    run(exchange_multisig_keys=["swallow"])                     # interrupted, and restored
    for _ in range(12):  # whoever is longest free is taken: sometimes for the same role again
        run(make_multisig=[no])                                 # RETRY, FAILOVER
        if of(whole(m, escrows[-1])[0], "FAILOVER"):
            break
    run(make_multisig=[no, no], prepare_multisig=[no, no])      # ERROR_FINAL
    run(lambda escrow, gate: put_foreign_wallet(stood[0], f"foreign-{escrow}"), "get_attribute", 3)
    run(lambda escrow, gate: os.kill(m.workers(f"setup {escrow}")[0], signal.SIGKILL))
    run(stop_and_start)                                         # taken_up
    run(cancel)
    spares = stand_in()
    other = traced(msigd, [Stood(spares, n) for n in range(3)], spares="true", session_max=1)
    wait_for(lambda: len(other.endpoints("primed")) == 3, "spare wallets")
    session = other.open()
    other.ready(session)
    other.api("get_escrow", escrow_id=session, refresh=True)    # get_balance
    close_sessions(other)
    other.idle_again()
    slow, go_on = stand_in(), threading.Event()
    late = traced(msigd, [proxy(Stood(slow, 0), lambda method, params, nth: go_on if method == "prepare_multisig" else None),
                          *[Stood(slow, n) for n in (1, 2)]], setup_timeout="5s")
    timed_out = late.open()
    late.failed(timed_out)
    go_on.set()
    late.idle_again()
    told = [*((m, e) for e in escrows), (other, session), (late, timed_out)]
    return [e for at, escrow in told for e in whole(at, escrow)[0]]


HARD_TO_HAVE = {("LOCK_ACQUIRED", None, None, False)}  # it takes ten seconds: test_lock_of_another


def test_what_is_made_up_is_as_msigd_writes_it(msigd, stood, stand_in, proxy):
    """Or the tests of msigtrace would be of traces that nobody has."""
    real = by_kind(written_by_msigd(msigd, stood, stand_in, proxy))
    made = by_kind([e for scenario, _ in make_traces.SCENARIOS.values() for t in scenario() for e in t.events])
    for k, (always, ever) in made.items():
        if k not in HARD_TO_HAVE:
            assert k in real, f"msigd writes no {k}"
            assert ever <= real[k][1], f"{k}: members that msigd does not write"
            assert real[k][0] <= always, f"{k}: members that msigd always writes"


# --- good runs --------------------------------------------------------------------------

def test_in_ten_good_runs_nothing_is_found(msigd, either):
    m = traced(msigd, either)
    escrows = []
    for _ in range(10):
        escrows.append(m.open())
        m.ready(escrows[-1])
        m.idle_again()  # or it would wait for what is being given back
    named(m, escrows)
    for escrow in escrows:
        every_step_in_order(whole(m, escrow)[0])


def test_spares_sessions_and_a_stop_are_no_causes(msigd, stood, stand_in, proxy):
    go_on, rule = hold("make_multisig", 2)
    watched = proxy(stood[0], rule)
    others = stand_in()
    m = traced(msigd, [watched, *stood[1:], *[Stood(others, n) for n in range(3)]], spares="true", session_max=1)
    wait_for(lambda: len(m.endpoints("primed")) == 6, "spare wallets")
    escrows = [m.open() for _ in range(4)]
    wait_for(lambda: watched.held.is_set() or all(m.get(e)["phase"] == "Ready" for e in escrows), "the second make_multisig on w1")
    stopped = threading.Thread(target=m.stop)
    stopped.start()
    go_on.set()
    stopped.join()
    m.start()
    m.ready(*escrows)
    m.api("get_escrow", escrow_id=escrows[0], refresh=True)
    close_sessions(m)
    wait_for(lambda: m.get(escrows[-1])["verified_at"], "its wallets were opened from disk")
    named(m, escrows)


# --- the wallet-rpc of somebody else ------------------------------------------------------

def test_second_client_with_the_wallet_of_an_earlier_escrow(msigd, rpcs, proxy):
    """It opens a copy of that wallet, without a stamp: only the other file tells whose it
    is. make_multisig meets it."""
    gates = {}
    watched = proxy(rpcs[0], lambda method, params, nth: gates.get((method, nth)))
    m = traced(msigd, [watched, *rpcs[1:]])
    earlier = m.open()
    mine = next(p for p in m.ready(earlier)["participants"] if p["endpoint"] == "w1")
    m.idle_again()
    gate = gates["make_multisig", 2] = threading.Event()
    escrow = m.open()
    assert watched.held.wait(LIMIT)
    shutil.copy(rpcs[0].wallets / f"{mine['wallet']}.keys", rpcs[0].wallets / f"copy-{escrow}.keys")
    password = next(p["password"] for method, p, _ in watched.calls if method == "create_wallet" and p["filename"] == mine["wallet"])
    rpcs[0].call("open_wallet", filename=f"copy-{escrow}", password=password)
    gate.set()
    m.end_of(escrow)
    found = named(m, [escrow, earlier], "pollution", "two_parties")["pollution"]
    assert found["other_escrow"] == earlier and found["port"] == watched.port and "already multisig" in found["what"]
    assert f"wallet of escrow {earlier}" in found["what"]
    alone = named(m, [escrow], "pollution", "two_parties")["pollution"]
    assert "other_escrow" not in alone and "the other escrows" in alone["remedy"]


def test_second_client_with_a_wallet_of_its_own(msigd, either, proxy):
    go_on, rule = hold("get_attribute", 3)  # before make_multisig
    watched = proxy(either[0], rule)
    m = traced(msigd, [watched, *either[1:]])
    escrow = m.open()
    assert watched.held.wait(LIMIT)
    put_foreign_wallet(either[0], f"foreign-{escrow}")
    go_on.set()
    m.ready(escrow)
    found = named(m, [escrow], "pollution", "two_parties")
    assert {f["port"] for f in found.values()} == {watched.port} and {f["role"] for f in found.values()} == {role_at(m, escrow)}


def test_two_msigd_on_one_wallet_rpc(msigd, stood, proxy):
    """Each with a lock-dir of its own."""
    go_on, rule = hold("make_multisig")
    watched = proxy(stood[0], rule)
    one, other = traced(msigd, [watched, *stood[1:]]), traced(msigd, [Stood(stood[0].side, 0), *stood[1:]])
    first = one.open()
    assert watched.held.wait(LIMIT)
    path = Path(one.api("get_trace", escrow_id=first)["path"])
    wait_for(lambda: len(of(read(path)[1], "SNAPSHOT_POST_MAKE_MULTISIG")) == 2, "the others' make_multisig")
    second = other.open()
    other.ready(second)
    other.idle_again()
    theirs = whole(other, second)[1]
    other.stop()  # or its verification comes in between
    go_on.set()
    one.end_of(first)
    one.idle_again()
    found = named_in([whole(one, first)[1], theirs], ["two_parties", "wallet_closed"])
    assert found["two_parties"]["other_escrow"] in (first, second)


def test_wallet_rpc_of_another_network(msigd, rpcs, wallet_rpc):
    other = wallet_rpc("other", network="stagenet").wait()
    m = traced(msigd, [section("other", other, role="buyer"), *[section(f"w{n}", rpcs[n], role="any") for n in (1, 2)]])
    escrow = m.open()
    m.wait_endpoint("other", "out")
    path = Path(m.api("get_trace", escrow_id=escrow)["path"])
    assert path.suffix == ".jsonl"  # it waits for another endpoint
    found = named_in([path], ["wrong_network"])["wrong_network"]
    assert found["port"] == other.port and found["role"] == "buyer" and "stagenet" in found["what"]
    m.api("cancel_escrow", escrow_id=escrow)
    named(m, [escrow], "wrong_network")


# --- what is killed -----------------------------------------------------------------------

def test_killed_worker(msigd, rpcs, proxy):
    go_on, rule = hold("make_multisig")
    watched = proxy(rpcs[0], rule)
    m = traced(msigd, [watched, *rpcs[1:]])
    m.expect("worker_died")
    escrow = m.open()
    assert watched.held.wait(LIMIT)
    pid, = m.workers(f"setup {escrow}")
    os.kill(pid, signal.SIGSTOP)
    answered = watched.answered
    go_on.set()
    wait_for(lambda: watched.answered > answered, "the answer")
    os.kill(pid, signal.SIGKILL)
    m.ready(escrow)
    found = named(m, [escrow], "worker_killed")["worker_killed"]
    assert "SIGKILL" in found["what"] and f"make_multisig on the wallet-rpc on port {watched.port}" in found["what"]
    assert "it had run" in found["what"]


def test_killed_msigd(msigd, either, proxy):
    go_on, rule = hold("make_multisig")
    watched = proxy(either[0], rule)
    m = traced(msigd, [watched, *either[1:]])
    escrow = m.open()
    assert watched.held.wait(LIMIT)
    wait_until_told(m, escrow, "RPC_CALL_START", method="make_multisig", endpoint="w1")
    m.kill()
    go_on.set()
    m.start()
    m.ready(escrow)
    assert "make_multisig" in named(m, [escrow], "msigd_interrupted")["msigd_interrupted"]["what"]


def test_wallet_rpc_that_was_restarted(msigd, stood, proxy):
    """Between two calls of ours: the vendor's waits for another role."""
    go_on, rule = hold("prepare_multisig")
    watched = proxy(stood[1], rule)
    m = traced(msigd, [stood[0], watched, stood[2]])
    escrow = m.open()
    assert watched.held.wait(LIMIT)
    wait_until_told(m, escrow, "SNAPSHOT_POST_PREPARE", endpoint="w1")
    stood[0].side.kill_and_restart(0)
    go_on.set()
    m.ready(escrow)
    assert named(m, [escrow], "wallet_closed")["wallet_closed"]["role"] == role_at(m, escrow)


# --- messages -----------------------------------------------------------------------------

def test_message_of_an_earlier_round(msigd, rpcs, proxy):
    """On its way to the wallet one is replaced: it gets what it was given a round before."""
    before = {}

    def rule(method, params, nth):
        if method == "make_multisig":
            before.update(params)
        return {"params": {**params, "multisig_info": before["multisig_info"]}} if (method, nth) == ("exchange_multisig_keys", 1) else None
    watched = proxy(rpcs[0], rule)
    m = traced(msigd, [watched, *rpcs[1:]])
    escrow = m.open()
    m.failed(escrow)
    found = named(m, [escrow], "foreign_message")["foreign_message"]
    assert found["role"] == role_at(m, escrow) and found["method"] == "exchange_multisig_keys" and found["port"] == watched.port


def answers_the_first(method):
    """A rule: the answers to all calls of that method are the first one's."""
    said = []

    def first(answer):
        said.append(answer["result"]["multisig_info"])
        return {**answer, "result": {**answer["result"], "multisig_info": said[0]}}
    return lambda called, params, nth: first if called == method else None


def test_message_of_an_earlier_escrow(msigd, either, proxy):
    watched = proxy(either[0], answers_the_first("make_multisig"))
    m = traced(msigd, [watched, *either[1:]])
    m.expect("report_refused", "worker_died")
    earlier = m.open()
    m.ready(earlier)
    m.idle_again()
    escrow = m.open()
    assert f"make_multisig on w1 gave a message that attempt 1 of escrow {earlier} has" in m.failed(escrow)["reason"]
    found = named(m, [escrow, earlier], "foreign_message")["foreign_message"]
    assert found["other_escrow"] == earlier and found["role"] == role_at(m, escrow)
    # the other file is not there: msigd would not have it
    assert "it said what cannot be" in named(m, [escrow], "worker_refused")["worker_refused"]["what"]


def test_message_of_an_earlier_attempt(msigd, stood, proxy):
    repeated = answers_the_first("make_multisig")

    def rule(method, params, nth):
        refused = {"error": {"code": -48, "message": "no"}} if (method, nth) == ("exchange_multisig_keys", 1) else None
        return refused or repeated(method, params, nth)
    watched = proxy(stood[0], rule)
    m = traced(msigd, [watched, *stood[1:]], max_attempts=2)
    m.expect("report_refused", "worker_died")
    escrow = m.open()
    m.failed(escrow)
    assert "attempt 1" in named(m, [escrow], "foreign_message")["foreign_message"]["what"]


def test_message_too_many(msigd, either, proxy):
    put_foreign_wallet(either[0], "fourth")
    fourth = either[0].call("prepare_multisig", enable_multisig_experimental=True)["multisig_info"]
    either[0].call("close_wallet")
    watched = proxy(either[0], lambda method, params, nth: {"params": {**params, "multisig_info": [*params["multisig_info"], fourth]}}
                    if method == "make_multisig" else None)
    m = traced(msigd, [watched, *either[1:]])
    escrow = m.open()
    m.failed(escrow)
    assert "2 of 4" in named(m, [escrow], "not_two_of_three")["not_two_of_three"]["what"]


def test_addresses_that_differ(msigd, either, proxy):
    def another(answer):
        return {**answer, "result": {**answer["result"], "address": REAL_ADDRESSES[2]}}
    watched = proxy(either[0], lambda method, params, nth: another
                    if method == "get_address" and watched.counts.get("exchange_multisig_keys") == 2 else None)
    m = traced(msigd, [watched, *either[1:]])
    escrow = m.open()
    m.failed(escrow)
    found = named(m, [escrow], "addresses_differ")["addresses_differ"]
    assert f"{role_at(m, escrow)}'s has another address" in found["what"]


# --- calls that were not answered -----------------------------------------------------------

@pytest.mark.parametrize("act, ran", [("swallow", "it had run"), ("drop", "it had not run")])
def test_answer_and_request_that_were_lost(msigd, either, proxy, act, ran):
    watched = proxy(either[0], lambda method, params, nth: act if (method, nth) == ("make_multisig", 1) else None)
    m = traced(msigd, [watched, *either[1:]])
    escrow = m.open()
    m.ready(escrow)
    found = named(m, [escrow], "unknown_outcome")["unknown_outcome"]
    assert ran in found["what"] and found["port"] == watched.port and found["method"] == "make_multisig"


def test_torn_wallet(msigd, either, proxy):
    """The files of a wallet whose answer was lost are not of one time."""
    watched = proxy(either[0], lambda method, params, nth: "swallow" if (method, nth) == ("exchange_multisig_keys", 1) else None)
    m = traced(msigd, [watched, *either[1:]])
    escrow = m.open()
    m.ready(escrow)
    found = named(m, [escrow], "torn_wallet", "unknown_outcome")
    assert "brought back as" in found["torn_wallet"]["what"] and "in part at least" in found["unknown_outcome"]["what"]


def test_wallet_rpc_that_is_gone(msigd, either, proxy):
    watched = proxy(either[0], lambda method, params, nth: "leave" if (method, nth) == ("get_attribute", 3) else None)
    m = traced(msigd, [watched, *either[1:]])
    escrow = m.open()
    m.wait_endpoint("w1", "down")
    watched.listen()
    m.ready(escrow)
    assert named(m, [escrow], "endpoint_down")["endpoint_down"]["port"] == watched.port


def test_wallet_rpc_that_refuses(msigd, stood):
    stood[0].side.fault("prepare_multisig", "http", value=401, times=-1)
    m = traced(msigd, stood)
    escrow = m.open()
    m.failed(escrow)
    assert named(m, [escrow], "endpoint_refused")["endpoint_refused"]["port"] == stood[0].port


def test_time_that_ran_out(msigd, either, proxy):
    go_on, rule = hold("prepare_multisig")
    watched = proxy(either[0], rule)
    m = traced(msigd, [watched, *either[1:]], setup_timeout="20s" if FULL else "5s")
    escrow = m.open()
    m.failed(escrow)
    go_on.set()
    found = named(m, [escrow], "timeout")["timeout"]
    assert f"prepare_multisig on the wallet-rpc on port {watched.port}" in found["what"]
    call, = of(whole(m, escrow)[0], "RPC_CALL_ERROR", method="prepare_multisig")
    assert (call["outcome"], call["cause"], call["endpoint"]) == ("unknown", "timeout", "w1") and call["duration_ms"] > 0


# --- what was waited for ----------------------------------------------------------------------

def test_too_few_endpoints(msigd, stand_in):
    side = stand_in("--delay", "create_wallet=600")
    m = traced(msigd, [Stood(side, n) for n in range(3)])
    escrows = [m.open() for _ in range(4)]
    m.ready(*escrows)
    found = named(m, escrows, "saturation")["saturation"]
    assert found["escrow_id"] in escrows[2:]


def test_lock_of_another(msigd, stood):
    m = traced(msigd, stood)
    lock, = m.locks.glob(f"endpoint-*{stood[0].port}.lock")
    with open(lock, "rb") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        escrow = m.open()
        path = wait_for(lambda: m.get(escrow)["started_at"] and Path(m.api("get_trace", escrow_id=escrow)["path"]), "its trace")
        wait_for(lambda: of(read(path)[1], "LOCK_ACQUIRED", ok=False), "it is given up")
    m.ready(escrow)
    assert lock.name in named(m, [escrow], "lock_contention")["lock_contention"]["what"]
