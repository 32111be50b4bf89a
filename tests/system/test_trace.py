"""Traces: every step of an escrow is in its file, in order, of each role, also of
a worker that was killed; nothing secret is; and without one nothing is written or
asked. Most of it on the stand-in; what the wallets say of themselves, on real ones."""
import base64
import contextlib
import hashlib
import json
import os
import signal
import stat
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness import ROLES, ApiError, Store, fake, unseal
from machine import LIMIT, descendants, wait_for
from test_escrow import what_others_see_of
from test_pollution import once_polluted, put_foreign_wallet
from wallet_rpcs import WalletError

SNAPSHOTS = ["SNAPSHOT_PRE_ROUND1", "SNAPSHOT_POST_PREPARE", "SNAPSHOT_POST_MAKE_MULTISIG", "SNAPSHOT_PRE_ROUND2",
             "SNAPSHOT_POST_EXPORT_MULTISIG", "SNAPSHOT_PRE_ROUND3", "SNAPSHOT_POST_IMPORT_MULTISIG", "SNAPSHOT_FINAL"]
MAIN = ["create_wallet", "prepare_multisig", "make_multisig", "exchange_multisig_keys", "exchange_multisig_keys"]
MEMBERS = {"wallet_id", "role", "is_multisig", "ready", "threshold", "total", "balance", "unlocked_balance", "address_hash",
           "stamp_ok", "file_exists", "file_perms", "rpc_port", "open_wallets_count", "collection_time_ms"}


def read(path):
    """Header and events, from either form."""
    path = Path(path)
    if path.suffix == ".json":
        document = json.loads(path.read_text())
        return document, document["events"]
    header, *events = [json.loads(line) for line in path.read_text().splitlines()]
    return header, events


def of(events, *types, **wanted):
    return [e for e in events if (not types or e["type"] in types) and all(e.get(k) == v for k, v in wanted.items())]


def sound(header, events, escrow):
    """What holds of each."""
    assert header["version"] == 1 and header["escrow_id"] == escrow and header["trace_id"] == escrow.replace("-", "")
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    assert all(isinstance(e["type"], str) and e["attempt"] >= 1 and e["t_ms"] >= -1 for e in events)
    for call in of(events, "RPC_CALL_START"):  # each has an end, after it, or its worker died
        ends = of(events, "RPC_CALL_END", "RPC_CALL_ERROR", worker=call["worker"], role=call["role"], method=call["method"])
        in_order = [e["ok"] for e in of(events, "WORKER_EXITED", worker=call["worker"])]  # none: msigd was killed, too
        assert [e for e in ends if e["seq"] > call["seq"]] or in_order != [True], call
    for exited in of(events, "WORKER_EXITED"):
        assert of(events, "WORKER_STARTED", worker=exited["worker"])


def whole(m, escrow):
    """The sound events of one that is complete, and its path."""
    found = wait_for(lambda: (t := m.api("get_trace", escrow_id=escrow))["complete"] and
                     not Path(t["path"]).with_suffix(".jsonl").exists() and t, "a complete trace")
    path = Path(found["path"])
    assert path == m.state / f"traces/escrow_{escrow}.json" and found["trace_id"] == escrow.replace("-", "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    header, events = read(path)
    sound(header, events, escrow)
    return events, path


def of_the_setup(events):
    """Without what a verification, two seconds later, has added."""
    ready = of(events, "STATE_CHANGE", phase="Ready")[0]["seq"]
    later = [e["seq"] for e in of(events, "LEASE") if e["seq"] > ready]
    return events[:later[0] - 1] if later else events


def verified(m, escrow):
    """Its wallets were looked at, and that is over: nothing more is done to it."""
    wait_for(lambda: m.get(escrow)["verified_at"], "its verification")
    m.idle_again()


def every_step_in_order(events, attempt=1):
    """Of each role: its calls, its snapshots, and what they show."""
    for role in ROLES:
        mine = of(events, role=role, attempt=attempt)
        calls = of(mine, "RPC_CALL_END")
        assert [e["method"] for e in calls if e["method"] in MAIN] == MAIN
        assert [e["round"] for e in calls if e["method"] in MAIN] == [0, 1, 1, 2, 3]
        shots = [e for e in mine if e["type"].startswith("SNAPSHOT")]
        assert [e["type"] for e in shots] == SNAPSHOTS
        assert all(e["ok"] and MEMBERS <= set(e["snapshot"]) and None not in e["snapshot"].values() for e in shots)
        assert all(e["snapshot"]["stamp_ok"] and e["snapshot"]["open_wallets_count"] == 1 for e in shots)
        assert [e["snapshot"]["is_multisig"] for e in shots] == [False, False, *[True] * 6]
        assert [e["snapshot"]["ready"] for e in shots] == [*[False] * 6, True, True]
        assert [e["snapshot"].get("placeholder", False) for e in shots] == [False, False, True, True, *[False] * 4]
        assert {e["snapshot"]["threshold"] for e in shots[2:]} == {2} and {e["snapshot"]["total"] for e in shots[2:]} == {3}
        # between the steps that they are named for
        order = [e["type"] if e["type"].startswith("SNAPSHOT") else e["method"] for e in mine
                 if e["type"].startswith("SNAPSHOT") or (e["type"] == "RPC_CALL_END" and e["method"] in MAIN)]
        assert order == [MAIN[0], SNAPSHOTS[0], MAIN[1], SNAPSHOTS[1], MAIN[2], *SNAPSHOTS[2:4], MAIN[3], *SNAPSHOTS[4:6], MAIN[4],
                         *SNAPSHOTS[6:]]
        for op, what in (("read", "keys"), ("stat", "cache"), ("stat", "keys"), ("fsync", "keys"), ("fsync", "cache"), ("fsync", "folder")):
            assert of(mine, "FILE_OPERATION", op=op, what=what, ok=True), (op, what)
    phases = [(e["from"], e["phase"]) for e in of(events, "STATE_CHANGE", attempt=attempt)]
    assert phases == [(None if attempt == 1 else "Failed", "NotStarted"), ("NotStarted", "Preparing"), ("Preparing", "Exchanging"),
                      ("Exchanging", "Exchanging"), ("Exchanging", "Exchanging"), ("Exchanging", "Ready")]
    said = {e["role"]: e["message"]["sha256"] for e in of(events, "RPC_CALL_END", method="prepare_multisig", attempt=attempt)}
    for call in of(events, "RPC_CALL_START", method="make_multisig", attempt=attempt):
        assert {g["role"]: g["sha256"] for g in call["given"]} == said


def nothing_secret(m, *paths):
    text = b"".join(p.read_bytes() for p in paths)
    m.stop()
    store = Store(m)
    secrets = store.secrets()
    store.close()
    key = (m.state / "key").read_bytes()
    assert len(secrets) >= 3 * 3
    # any(), for an assertion that fails prints what it compared
    assert not any(secret in text for secret in [*secrets, key, key.hex().encode(), base64.b64encode(key), b"Multisig", b"password"])


# --- a good one ---------------------------------------------------------------------------

def test_every_step_of_each_role_is_there_in_order(msigd, stood):
    m = msigd(stood, instrumentation="true")
    escrow = m.open(label="a label")
    address = m.ready(escrow)["address"]
    m.idle_again()
    events, path = whole(m, escrow)
    assert read(path)[0]["label"] == "a label"
    every_step_in_order(events)
    events = of_the_setup(events)
    place = {e["type"]: e["seq"] for e in reversed(events)}
    last = {e["type"]: e["seq"] for e in events}
    assert last["LEASE"] < place["WORKER_STARTED"] < place["LOCK_ACQUIRED"] < place["RPC_CALL_START"]
    assert last["RPC_CALL_END"] < place["LOCK_RELEASED"] < place["WORKER_EXITED"] < place["RELEASE"]
    for kind, count in (("LEASE", 3), ("RELEASE", 3), ("LOCK_ACQUIRED", 4), ("LOCK_RELEASED", 4)):
        assert len(of(events, kind)) == count
    assert {(e["role"], e["endpoint"]) for e in of(events, "LEASE")} == {
        (p["role"], p["endpoint"]) for p in m.get(escrow)["participants"]}
    exited, = of(events, "WORKER_EXITED")
    assert exited["ok"] and exited["exit_code"] == 0 and exited["last"]["type"] == "LOCK_RELEASED"
    assert of(events, "STATE_CHANGE", phase="Ready")[0]["address_hash"] == hashlib.sha256(address.encode()).hexdigest()
    assert {e["snapshot"]["address_hash"] for e in of(events, "SNAPSHOT_FINAL")} == {hashlib.sha256(address.encode()).hexdigest()}
    assert address not in path.read_text()
    # the same id in the lines of the log, msigd's and the worker's
    assert all(line["trace"] == escrow.replace("-", "") for line in m.log_lines() if line.get("escrow") == escrow)
    assert m.ctl("trace", escrow).stdout == f"{path}\n"
    nothing_secret(m, path)


def watch_processes(m, escrow, over, gate):
    """All arguments and environments of msigd and its children, sampled until it is over. Its worker is seen three times
    before the gate is opened."""
    seen, workers = set(), 0
    while not over.is_set():
        words = {pid: what_others_see_of(pid) for pid in [m.process.pid, *descendants(m.process.pid)]}
        seen.update(filter(None, words.values()))
        workers += any(f"setup {escrow}".encode() in text for text in words.values() if text)
        if workers >= 3:
            gate.set()
        over.wait(0.02)
    return b"".join(seen)


def keys_of_wallet(rpc, party):
    """What the wallet gives away to whom knows its password; of a multisig one perhaps not all."""
    found = []
    rpc.call("open_wallet", filename=party["wallet"], password=party["password"])
    for kind in ("view_key", "spend_key", "mnemonic"):
        try:
            found.append(rpc.call("query_key", key_type=kind)["key"])
        except WalletError:
            pass
    rpc.call("close_wallet")
    assert found
    return [key for key in found if key.strip("0")]  # it may show zeros in the place of one


def forms(secret):
    """A secret as it is, in hexadecimal and in base64."""
    secret = secret if isinstance(secret, bytes) else secret.encode()
    return {secret, secret.hex().encode(), base64.b64encode(secret), base64.b64encode(secret).rstrip(b"=")}


@pytest.mark.parametrize("log", ["json", "text"])
def test_nothing_secret_of_real_wallets_is_anywhere(msigd, rpcs, stood, proxy, log):
    """One real escrow with its log as JSON; as text, on the stand-in."""
    over, gate = threading.Event(), threading.Event()
    first, *others = rpcs if log == "json" else stood
    watched = proxy(first, lambda name, params, nth: gate if (name, nth) == ("exchange_multisig_keys", 1) else None)
    m = msigd([watched, *others], instrumentation="true", log_format=log)
    with ThreadPoolExecutor(1) as side:
        escrow = m.open()
        watching = side.submit(watch_processes, m, escrow, over, gate)
        try:
            m.ready(escrow)
        finally:
            over.set()
        processes = watching.result()
    m.idle_again()
    assert gate.is_set()
    events, path = whole(m, escrow)
    every_step_in_order(events)
    if log == "json":
        assert {e["snapshot"]["balance"] for e in events if "snapshot" in e} == {0}
    nothing_secret(m, path)
    store = Store(m)
    parties = store.parties(escrow, 1)
    secrets = [*store.secrets(), (m.state / "key").read_bytes()]
    secrets += [unseal(store.key, escrow, 1, r["role"], r["keys_round"], "keys", r["keys"]) for r in store.rows("SELECT * FROM participant")]
    store.close()
    for party in parties.values():
        secrets += [(first.wallets / f"{party['wallet']}.keys").read_bytes(), *keys_of_wallet(first, party)]
    assert len(secrets) >= 3 * (1 + 1 + 4 + 1 + 1 + 2) + 1  # passwords, seeds, messages, .keys twice, keys; the master key
    seen = {"arguments and environments": processes, "the log": m.log.read_bytes(), "the trace": path.read_bytes(),
            "the store": b"".join(p.read_bytes() for p in m.state.glob("msigd.db*"))}
    assert all(seen.values()) and escrow.encode() in seen["the log"] and escrow.encode() in seen["arguments and environments"]
    for where, text in seen.items():
        for secret in secrets:
            assert not any(form in text for form in forms(secret)), f"a secret of {len(secret)} bytes is in {where}"


def test_a_spare_is_known_as_one(msigd, stood):
    m = msigd(stood, instrumentation="true", spares="true")
    wait_for(lambda: len(m.endpoints("primed")) == 3, "spare wallets")
    escrow = m.open()
    m.ready(escrow)
    events = of_the_setup(whole(m, escrow)[0])
    assert [e["spare"] for e in of(events, "LEASE")] == [True] * 3
    found = [e["found"] for e in of(events, "RPC_CALL_END", method="get_attribute")]
    assert {f["stamp_ok"] for f in found} == {True} and any(f.get("spare") for f in found)
    assert not of(events, "RPC_CALL_END", method="create_wallet")
    assert len(of(events, "FILE_OPERATION", op="write", what="spare")) == 3


# --- off ----------------------------------------------------------------------------------

def calls_of(m, watched, **options):
    """What each endpoint is asked by one escrow."""
    escrow = m.open(**options)
    m.ready(escrow)
    verified(m, escrow)
    counts = [Counter(w.counts) for w in watched]
    for w in watched:
        w.counts.clear()
    return counts


def test_without_one_nothing_is_written_asked_or_answered(msigd, stood, proxy):
    watched = [proxy(s) for s in stood]
    m = msigd(watched)
    m.wait_idle(3)
    for w in watched:
        w.counts.clear()
    off = calls_of(m, watched)
    assert not (m.state / "traces").exists()
    on = calls_of(m, watched, trace=True)
    shots = Counter(dict.fromkeys(("is_multisig", "get_address", "get_balance", "get_attribute"), len(SNAPSHOTS)))
    # but for those of the gate that only the buyer's wallet is asked, they are the same
    assert sum(on, Counter()) - sum(off, Counter()) == Counter({k: 3 * v for k, v in shots.items()})
    assert not any(w["get_balance"] for w in off)
    assert len(list((m.state / "traces").iterdir())) == 1
    m.conf.write_text(m.conf.read_text() + 'instrumentation = "true"\n')
    m.api("reload")
    calls_of(m, watched)
    assert len(list((m.state / "traces").iterdir())) == 2


def test_one_that_was_not_traced_says_how_it_would_be(msigd, stood):
    m = msigd(stood)
    plain = m.open()
    said = m.ctl("open", "--trace", "--wait", "-q")
    assert said.returncode == 0, said.stderr
    m.ready(plain)
    m.idle_again()
    said = m.ctl("trace", plain)
    assert said.returncode == 1 and "open --trace" in said.stderr and "instrumentation" in said.stderr and said.stdout == ""
    traced = next(e["escrow_id"] for e in m.api("list_escrows")["escrows"] if e["escrow_id"] != plain)
    verified(m, traced)
    _, path = whole(m, traced)
    path.unlink()
    assert "trace-keep" in m.ctl("trace", traced).stderr
    assert json.loads(m.ctl("-j", "list").stdout)


# --- what is killed -----------------------------------------------------------------------

def held_at(msigd, stood, proxy, method, **options):
    """An escrow whose call of that method on w1 is held back."""
    gate = threading.Event()
    watched = proxy(stood[0], lambda name, params, nth: gate if (name, nth) == (method, 1) else None)
    m = msigd([watched, *stood[1:]], instrumentation="true", **options)
    escrow = m.open()
    assert watched.held.wait(LIMIT)
    return m, escrow, gate


def test_what_a_killed_worker_came_to_is_there(msigd, stood, proxy):
    m, escrow, gate = held_at(msigd, stood, proxy, "make_multisig")
    m.expect("worker_died")
    # the others' are done, and the last that is said is a snapshot of theirs
    path = Path(m.api("get_trace", escrow_id=escrow)["path"])
    assert path.suffix == ".jsonl" and not m.api("get_trace", escrow_id=escrow)["complete"]
    wait_for(lambda: len(of(read(path)[1], "SNAPSHOT_POST_MAKE_MULTISIG")) == 2, "the others' make_multisig")
    pid, = m.workers(f"setup {escrow}")
    os.kill(pid, signal.SIGKILL)
    gate.set()
    m.ready(escrow)
    m.idle_again()
    events, path = whole(m, escrow)
    events = of_the_setup(events)
    first, second = of(events, "WORKER_EXITED")
    assert first["worker"] == pid and first["signal"] == "SIGKILL" and not first["ok"] and second["ok"]
    mine = of(events, worker=pid)
    assert first["last"]["type"] == mine[-2]["type"] and first["last"]["role"] == mine[-2]["role"] and mine[-1] is first
    pending = [e for e in of(mine, "RPC_CALL_START", method="make_multisig") if e["endpoint"] == "w1"]
    assert pending and not of(mine, "RPC_CALL_END", method="make_multisig", endpoint="w1")
    interrupted, = of(events, "CUSTOM", name="interrupted")
    assert interrupted["cause"] == "worker_died" and first["seq"] < interrupted["seq"] < of(events, "WORKER_STARTED")[1]["seq"]
    assert len(of(events, "WORKER_STARTED")) == 2 and {e["attempt"] for e in events} == {1}
    nothing_secret(m, path)


def test_msigd_that_was_killed_goes_on_with_the_same_file(msigd, stood, proxy):
    m, escrow, gate = held_at(msigd, stood, proxy, "make_multisig")
    m.kill()
    path = m.state / f"traces/escrow_{escrow}.jsonl"
    header, before = read(path)
    with open(path, "ab") as lines:
        lines.write(b'{"seq":1000000,"type":"CUST')  # as if it had been in the midst of one
    gate.set()
    m.start()
    m.ready(escrow)
    m.idle_again()
    events, path = whole(m, escrow)
    events = of_the_setup(events)
    assert events[:len(before)] == before and {**read(path)[0], "events": 0} == {**header, "events": 0}
    assert of(events, "CUSTOM", name="taken_up", phase="Exchanging")
    assert len(of(events, "WORKER_STARTED")) == 2  # how the first one ended nobody saw


# --- what goes wrong ----------------------------------------------------------------------

def held_in_a_snapshot(msigd, stood, proxy, nth, **options):
    """An escrow whose nth snapshot of the wallet on w1 waits for its get_balance."""
    gate = threading.Event()
    watched = proxy(stood[0], lambda name, params, count: gate if (name, count) == ("get_balance", nth) else None)
    m = msigd([watched, *stood[1:]], instrumentation="true", **options)
    escrow = m.open()
    assert watched.held.wait(LIMIT)
    return m, escrow, watched, gate


@pytest.mark.parametrize("nth", [3, 5])  # behind make and an exchange
def test_a_worker_killed_in_a_snapshot_leaves_no_outcome_unknown(msigd, stood, proxy, nth):
    m, escrow, watched, gate = held_in_a_snapshot(msigd, stood, proxy, nth)
    m.expect("worker_died")
    pid, = m.workers(f"setup {escrow}")
    os.kill(pid, signal.SIGKILL)
    gate.set()
    m.ready(escrow)
    m.idle_again()
    assert len(watched.made("make_multisig")) == 1 and len(watched.made("exchange_multisig_keys")) == 2
    events, _ = whole(m, escrow)
    assert not of(events, "CUSTOM", name="restore", endpoint="w1")  # of the others a call may have been under way


def test_nothing_is_intended_before_the_snapshot_is_over(msigd, stood, proxy):
    m, escrow, watched, gate = held_in_a_snapshot(msigd, stood, proxy, 4)
    m.kill()
    gate.set()
    store = Store(m)
    steps = store.rows("SELECT round, result_at FROM step WHERE escrow_id = ?", escrow)
    store.close()
    assert {s["round"] for s in steps} == {0, 1, 2} and all(s["result_at"] for s in steps)
    m.start()
    m.ready(escrow)
    m.idle_again()
    assert len(watched.made("make_multisig")) == 1


def test_the_deadline_in_a_snapshot_is_no_failure_of_it(msigd, stood, proxy):
    m, escrow, _, gate = held_in_a_snapshot(msigd, stood, proxy, 3, setup_timeout="4s", max_attempts=1)
    failed = m.failed(escrow)
    gate.set()
    assert "the time was over" in failed["reason"] and "get_balance" not in failed["reason"], failed["reason"]
    assert "unknown" not in failed["reason"]


def test_a_stop_in_a_snapshot_leaves_nothing_open(msigd, stood, proxy):
    m, escrow, watched, gate = held_in_a_snapshot(msigd, stood, proxy, 3)
    m.process.terminate()
    wait_for(lambda: m.logged("stopping"), "its stop")
    gate.set()
    m.ended()
    store = Store(m)
    steps = store.rows("SELECT round, result_at FROM step WHERE escrow_id = ?", escrow)
    store.close()
    assert all(s["result_at"] for s in steps if s["round"] <= 2)  # it may have ended before the stop came
    m.start()
    m.ready(escrow)
    assert len(watched.made("make_multisig")) == 1


def test_a_snapshot_that_fails_changes_nothing(msigd, stood, proxy):
    answers = iter(["swallow", {"error": {"code": -1, "message": "no balance today"}}])
    watched = proxy(stood[0], lambda name, params, nth: next(answers, None) if name == "get_balance" else None)
    m = msigd([watched, *stood[1:]], instrumentation="true", max_attempts=1)
    escrow = m.open()
    assert m.ready(escrow)["attempt"] == 1
    m.idle_again()
    events, _ = whole(m, escrow)
    assert not m.logged("attempt_interrupted") and not of(events, "CUSTOM", name="interrupted")
    bad = [e for e in events if e["type"].startswith("SNAPSHOT") and not e["ok"]]
    assert [e["type"] for e in bad] == SNAPSHOTS[:2]
    assert all(e["endpoint"] == "w1" and e["snapshot"]["balance"] is None and e["snapshot"]["is_multisig"] is False for e in bad)
    assert [e["snapshot"]["stamp_ok"] for e in bad] == [None, True]  # without an answer it is over
    lost, refused = of(events, "RPC_CALL_ERROR", method="get_balance")
    assert lost["outcome"] == "unknown" and refused["outcome"] == "error" and refused["code"] == -1
    assert lost["expected"] and refused["expected"]


def test_pollution_and_its_delay(msigd, stood, proxy):
    m, watched, escrow, gate = once_polluted(lambda *args, **keys: msigd(*args, instrumentation="true", **keys), stood, proxy, 4)
    put_foreign_wallet(stood[0], "foreign")
    gate.set()
    m.ready(escrow)
    m.idle_again()
    events, _ = whole(m, escrow)
    found, = of(events, "CACHE_POLLUTION_DETECTED")
    assert found["endpoint"] == "w1" and found["port"] == watched.port and "without a stamp" in found["found"]
    delay, = of(events, "DELAY")
    assert (delay["kind"], delay["asked_ms"], delay["role"]) == ("pollution", 10, found["role"]) and delay["measured_ms"] >= 10
    shot = next(e for e in events if e["type"].startswith("SNAPSHOT") and not e["snapshot"]["stamp_ok"])
    assert shot["endpoint"] == "w1"


def test_a_failed_one_tells_cause_and_place(msigd, stood, proxy):
    watched = proxy(stood[0], lambda name, params, nth: {"error": {"code": -1, "message": "no"}} if name == "prepare_multisig" else None)
    m = msigd([watched, *stood[1:]], instrumentation="true", max_attempts=2)
    escrow = m.open()
    reason = m.failed(escrow)["reason"]
    m.idle_again()
    events, _ = whole(m, escrow)
    retry, = of(events, "RETRY")
    final, = of(events, "ERROR_FINAL")
    assert (retry["attempt"], retry["next_attempt"], retry["cause"]) == (1, 2, "wallet_error")
    assert final["attempt"] == 2 and final["error"] == reason and final["cause"] == "wallet_error"
    assert final["method"] == "prepare_multisig" and final["endpoint"] == "w1"
    failed = [(e["attempt"], e["from"]) for e in of(events, "STATE_CHANGE", phase="Failed")]
    assert failed == [(1, "Preparing"), (2, "Preparing")]
    error = of(events, "RPC_CALL_ERROR", method="prepare_multisig")[-1]
    assert error["role"] == final["role"] and error["code"] == -1 and "expected" not in error
    # tried again: the same file goes on
    watched.rule = None
    m.api("retry_escrow", escrow_id=escrow)
    m.ready(escrow)
    m.idle_again()
    again, _ = whole(m, escrow)
    assert again[:len(events)] == events
    retry, = of(again[len(events):], "RETRY")
    assert retry["next_attempt"] == 3 and "retry_escrow" in retry["error"]
    every_step_in_order(again, attempt=3)


def test_another_endpoint_is_a_failover(msigd, stood, stand_in, proxy):
    """Two that fail every prepare and three that do not: w1 serves no second attempt."""
    watched = proxy(stood[0], lambda name, params, nth: {"error": {"code": -1, "message": "no"}} if name == "prepare_multisig" else None)
    other = type(stood[0])(stand_in(), 0)
    m = msigd([watched, *stood[1:], other], instrumentation="true", max_attempts=3)
    m.wait_idle(4)
    for _ in range(4):  # whoever is longest free is taken: one of these has w1 in its first attempt
        escrow = m.open()
        m.end_of(escrow)
        m.idle_again()
        events, _ = whole(m, escrow)
        if of(events, "FAILOVER"):
            break
    moves = of(events, "FAILOVER")
    leases = of(events, "LEASE")
    blamed = {e["next_attempt"]: e["role"] for e in of(events, "RETRY")}
    assert moves
    for move in moves:
        before = [e["endpoint"] for e in leases if e["role"] == move["role"] and e["seq"] < move["seq"]]
        after = [e["endpoint"] for e in leases if e["role"] == move["role"] and e["seq"] > move["seq"]]
        assert before[-1] == move["from"] and after[0] == move["to"]
        assert ("prepare_multisig" in move["reason"]) == (move["role"] == blamed[move["attempt"]]), move


def test_one_that_cannot_be_written_changes_nothing_and_is_said_once(msigd, stood):
    m = msigd(stood, instrumentation="true")
    m.ready(m.open())
    m.idle_again()
    traces = m.state / "traces"
    traces.rename(m.state / "elsewhere")
    traces.write_text("no folder")
    m.ready(m.open(), m.open())
    m.idle_again()
    assert len(m.logged("trace_not_written")) == 1 and "remedy" in m.logged("trace_not_written")[0]
    traces.unlink()
    (m.state / "elsewhere").rename(traces)
    escrow = m.open()
    m.ready(escrow)
    m.idle_again()
    every_step_in_order(whole(m, escrow)[0])
    assert len(m.logged("trace_written_again")) == 1


def test_a_folder_that_cannot_be_had_ends_nothing(msigd, stood, folder):
    place = folder / "deep/traces"
    place.parent.mkdir()
    place.write_text("no folder")
    m = msigd(stood, instrumentation="true", trace_dir=place)
    m.ready(m.open())
    m.idle_again()
    said, = m.logged("trace_not_written")
    assert said["trace_dir"] == str(place) and said["error"] == "Not a directory" and "trace-dir" in said["remedy"]
    place.unlink()
    place.parent.rmdir()
    escrow = m.open()
    m.ready(escrow)
    m.idle_again()
    wait_for(lambda: (place / f"escrow_{escrow}.json").exists(), "its trace")
    assert stat.S_IMODE(place.stat().st_mode) == 0o700


def test_what_is_the_supervisors_to_say_a_worker_cannot(with_worker):
    for asked, mode in (("true", "LEASE 5"), ("true", "SURPRISE 5"), ("true", "CUSTOM 1e300"), ("true", "CUSTOM -1"), ("false", "CUSTOM 5")):
        m = with_worker(fake(f"false event {mode}"), instrumentation=asked, max_attempts=1)
        escrow = m.open()
        reason = wait_for(lambda m=m: m.logged("attempt_interrupted"), "its end")[0]["reason"]
        assert "an event that is none of a worker's" in reason, mode
        with contextlib.suppress(ApiError):  # it may have failed by now
            m.api("cancel_escrow", escrow_id=escrow)
        m.stop()
    m = with_worker(fake("false event CUSTOM 5"), instrumentation="true", max_attempts=1)
    escrow = m.open()
    said = wait_for(lambda: of(read(m.api("get_trace", escrow_id=escrow)["path"])[1], "CUSTOM", job="setup"), "its event")[0]
    assert said["seq"] > 1 and said["attempt"] == 1 and said["t_ms"] < -9 and said["worker"] == m.workers(f"setup {escrow}")[0]
    os.kill(said["worker"], signal.SIGKILL)  # it hears of no stop


@pytest.mark.parametrize("by", ["cancel", "stop"])
def test_a_worker_that_was_not_wanted_before_its_hello_did_not_die(by, with_worker):
    m = with_worker(fake("silent setup"), instrumentation="true")
    escrow = m.open()
    wait_for(lambda: m.workers(f"setup {escrow}"), "its worker")
    if by == "cancel":
        assert m.api("cancel_escrow", escrow_id=escrow)["reason"] == "cancelled"
        numbers = m.http("GET", "/metrics")[2].decode()
        assert "msigd_worker_deaths_total 0\n" in numbers and 'msigd_worker_exits_total{cause="stopped"} 1\n' in numbers
    m.stop()
    assert not m.logged("worker_died")
    exited, = of(read(next((m.state / "traces").glob(f"escrow_{escrow}.json*")))[1], "WORKER_EXITED")
    assert (exited["signal"], exited.get("stopped"), exited.get("fault")) == ("SIGTERM", True, None)


# --- after it -----------------------------------------------------------------------------

def test_a_session_adds_to_it(msigd, stood, stand_in):
    others = stand_in()
    m = msigd([*stood, *[type(stood[0])(others, n) for n in range(3)]], instrumentation="true", session_max=1)
    m.wait_idle(6)
    escrow = m.open()
    m.ready(escrow)
    events, _ = whole(m, escrow)  # complete, though its worker goes on
    assert not of(events, "WORKER_EXITED")
    m.api("get_escrow", escrow_id=escrow, refresh=True)
    assert m.open(escrow_id=escrow) == escrow
    assert not m.api("get_trace", escrow_id=escrow)["complete"]
    m.api("close_session", escrow_id=escrow)
    m.idle_again()
    again, _ = whole(m, escrow)
    assert again[:len(events)] == events
    races = of(again, "RACE_DETECTED")
    assert [e["method"] for e in races] == ["get_escrow", "open_escrow"] and {e["pid"] for e in races} == {os.getpid()}
    assert len(of(again, "RPC_CALL_END", method="get_balance", job="session")) == 3
    assert len(of(again, "WORKER_EXITED", job="session")) == 1
    # and one that is opened from disk
    m.api("get_escrow", escrow_id=escrow, refresh=True)
    m.api("close_session", escrow_id=escrow)
    m.idle_again()
    last, _ = whole(m, escrow)
    assert last[:len(again)] == again and len(of(last, "RPC_CALL_END", method="open_wallet", job="session")) == 3
    assert len(of(last, "LEASE")) == len(of(last, "RELEASE")) == 6 + 3 * len(of(last, "WORKER_STARTED", job="check"))


def test_a_verification_adds_to_it_and_has_not_waited(msigd, stood):
    m = msigd(stood, instrumentation="true")
    escrow = m.open()
    m.ready(escrow)
    m.idle_again()
    m.stop()
    m.start()
    wait_for(lambda: m.logged("escrow_verified", escrow=escrow), "a look at its wallets")
    m.wait_idle(3)
    leases = of(whole(m, escrow)[0], "LEASE")
    assert len(leases) == 6 and all(0 <= e["wait_ms"] < 60000 for e in leases)


def test_it_is_kept_for_as_long_as_it_should_be(msigd, stood):
    m = msigd(stood, instrumentation="true")
    escrow = m.open()
    m.ready(escrow)
    m.idle_again()
    _, path = whole(m, escrow)
    m.stop()
    m.start()
    m.wait_idle(3)
    assert path.exists()
    verified(m, escrow)
    whole(m, escrow)
    m.stop()
    m.keys["trace-keep"] = "0"
    m.configure(stood)
    m.start()
    wait_for(lambda: not path.exists(), "its end")
