"""`calibrate`: the least stagger that shows no error, and nothing left of its
trials; stagger-delay and pollution-delay, kept and measured; polluted wallets."""
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from harness import ROLES, ApiError, Store, UnixConnection, look_at_wallet, section
from machine import LIMIT, free_ports, together, wait_for

BUSY, STOPPING, NOT_CALIBRATED = 11, 8, 14


def files(rpcs):
    return {p.name for p in rpcs[0].wallets.iterdir()}


def trial_files(rpcs):
    return {name for name in files(rpcs) if name.startswith("trial-")}


def calibrate_events(m):
    """Those so far: up to one that is made behind them."""
    m.api("set_endpoint", name="w1", state="out")
    events = m.events()
    events.wait(type="endpoint", name="w1", state="out")
    events.close()
    m.api("set_endpoint", name="w1", state="in")
    m.wait_endpoint("w1", "idle")
    return [e for e in events.seen if e["type"] == "calibrate"]


def metric(m, name):
    text = m.http("GET", "/metrics")[2].decode()
    return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.M).group(1))


class Background:
    """A call that takes long, beside the test."""

    def __init__(self, function):
        self.result = self.error = None

        def run():
            try:
                self.result = function()
            except Exception as error:  # pylint: disable=broad-except
                self.error = error
        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    def wait(self):
        self.thread.join(LIMIT)
        assert not self.thread.is_alive()
        if self.error:
            raise self.error
        return self.result


# --- calibrate ----------------------------------------------------------------------

def test_0_works_and_nothing_is_left(msigd, rpcs):
    m = msigd(rpcs)
    m.wait_idle(3)
    before = files(rpcs)
    found = m.api("calibrate", trials=2)
    step, = found.pop("steps")
    assert found == {"stagger_ms": 0, "trials": 2, "configured_ms": 0, "left": []}
    assert (step["stagger_ms"], step["trials"], step["failed"], step["reasons"]) == (0, 2, 0, []) and step["setup_ms"] > 0
    assert files(rpcs) == before
    for rpc in rpcs:
        with pytest.raises(Exception, match="No wallet file"):
            rpc.call("get_address", account_index=0)
    assert [(e["stagger_ms"], e["trial"], e["trials"], e["ok"]) for e in calibrate_events(m)] == [(0, 1, 2, True), (0, 2, 2, True)]
    m.idle_again()
    assert m.endpoints("idle") == ["w1", "w2", "w3"] and m.endpoint("w1")["escrow_id"] is None
    # the set-up that an escrow has, up to the gate
    assert len(m.logged("wallet_file_removed")) >= 2 * 3 * 2
    m.stop()
    store = Store(m)
    for table in ("escrow", "attempt", "participant", "step", "message", "spare"):
        assert store.rows(f"SELECT * FROM {table}") == [], table
    assert not any("address" in row["data"] for row in store.rows("SELECT data FROM event"))
    store.close()


def test_msigctl_prints_what_to_write(msigd, rpcs):
    m = msigd(rpcs)
    said = m.ctl("calibrate", "--trials", "1")
    assert said.returncode == 0 and said.stderr == ""
    heading, line, advice = said.stdout.splitlines()
    assert heading.split()[:4] == ["STAGGER", "TRIALS", "FAILED", "SET-UP"] and line.split()[:4] == ["0", "ms", "1", "0"]
    assert advice == "stagger-delay = 0, as it is now, works"
    said = m.ctl("-j", "calibrate", "--trials", "1")
    assert json.loads(said.stdout)["stagger_ms"] == 0 and said.stdout.count("\n") == 1
    for trials, word in (("0", "at least 1"), ("21", "trials"), ("x", "whole number")):
        said = m.ctl("calibrate", "--trials", trials)
        assert said.returncode == 2 and word in said.stderr and said.stdout == "", said
    m.idle_again()


class Crowd:
    """Three endpoints that take no two make_multisig of one escrow within `apart` seconds."""

    def __init__(self, proxy, rpcs, apart):
        self.apart, self.times, self.lock = apart, [], threading.Lock()
        self.proxies = [proxy(rpc, self.rule()) for rpc in rpcs]

    def rule(self):
        before = [0]  # when this wallet's call before that came: it was sent after

        def refuses(method, _params, _nth):
            now = time.monotonic()
            if method != "make_multisig":
                before[0] = now
                if method == "create_wallet":
                    self.times.clear()
                return None
            with self.lock:
                crowded = bool(self.times) and now - self.times[-1][1] < self.apart
                self.times.append((before[0], now))
            return {"error": {"code": -1, "message": "crowded"}} if crowded else None
        return refuses


def test_least_stagger_is_found_by_halving(msigd, stood, proxy):
    crowd = Crowd(proxy, stood, 1.5)
    m = msigd(crowd.proxies, stagger_delay="30s")
    before = files(stood)
    found = m.api("calibrate", trials=1, max_ms=4000)
    assert (found["stagger_ms"], found["configured_ms"], found["left"]) == (2000, 30000, [])
    assert [(s["stagger_ms"], s["failed"]) for s in found["steps"]] == [(0, 1), (4000, 0), (2000, 0), (1000, 1)]
    assert all("crowded" in s["reasons"][0] and s["setup_ms"] is None for s in found["steps"] if s["failed"])
    assert [(e["stagger_ms"], e["ok"], "crowded" in e.get("reason", "")) for e in calibrate_events(m)] == [
        (0, False, True), (4000, True, False), (2000, True, False), (1000, False, True)]
    assert files(stood) == before
    m.idle_again()


def test_every_stagger_fails(msigd, stood, proxy):
    m = msigd(Crowd(proxy, stood, 1000).proxies)
    found = m.api("calibrate", trials=1, max_ms=20)
    assert found["stagger_ms"] is None and [s["stagger_ms"] for s in found["steps"]] == [0, 20]
    said = m.ctl("calibrate", "--trials", "1")
    assert said.returncode == 1 and "crowded" in said.stdout and said.stdout.endswith("no stagger-delay helps against that\n")
    assert trial_files(stood) == set()


def test_spare_wallets_are_kept(msigd, rpcs):
    m = msigd(rpcs, spares="true")
    spares = wait_for(lambda: (p := m.endpoints("primed")) == ["w1", "w2", "w3"] and [m.endpoint(n)["spare"] for n in p], "spares")
    assert m.api("calibrate", trials=1)["stagger_ms"] == 0
    again = wait_for(lambda: (p := m.endpoints("primed")) == ["w1", "w2", "w3"] and [m.endpoint(n)["spare"] for n in p], "spares")
    assert again == spares and metric(m, "msigd_spares_made_total") == 3 and metric(m, "msigd_spares_lost_total") == 0
    m.ready(m.open())
    assert metric(m, "msigd_spares_used_total") == 3


# --- what is in its way --------------------------------------------------------------

def test_endpoint_that_is_down_is_told(msigd, rpcs, dead):
    m = msigd([*rpcs[:2], dead])
    with pytest.raises(ApiError, match="3 endpoints.*dead is down") as caught:
        m.api("calibrate")
    assert caught.value.code == NOT_CALIBRATED


def test_lost_answer_is_no_error_of_the_stagger(msigd, rpcs, proxy):
    watched = proxy(rpcs[0], lambda method, params, nth: "swallow" if method == "make_multisig" else None)
    m = msigd([watched, *rpcs[1:]])
    with pytest.raises(ApiError, match="none of the stagger's: .*make_multisig") as caught:
        m.api("calibrate", trials=1)
    assert caught.value.code == NOT_CALIBRATED and "left" not in str(caught.value)
    assert calibrate_events(m) == [] and trial_files(rpcs) == set()
    m.idle_again()
    watched.rule = None
    assert m.api("calibrate", trials=1)["stagger_ms"] == 0


def test_lock_that_is_busy_is_told(msigd, rpcs):
    m = msigd(rpcs)
    m.wait_idle(3)
    lock = next(p for p in m.locks.glob("*.lock") if str(rpcs[1].port) in p.name)
    with open(lock, "rb") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        with pytest.raises(ApiError, match=f"{lock.name} is held by") as caught:
            m.api("calibrate")
        assert caught.value.code == NOT_CALIBRATED
    m.idle_again()


@pytest.fixture
def held(msigd, rpcs, proxy):
    """An msigd with a calibration whose first make_multisig is held back."""
    go_on = threading.Event()
    watched = proxy(rpcs[0], lambda method, params, nth: go_on if method == "make_multisig" and nth == 1 else None)
    m = msigd([watched, *rpcs[1:]])
    calling = Background(lambda: m.api("calibrate", trials=2))
    assert watched.held.wait(LIMIT)
    yield m, go_on, calling
    go_on.set()


def test_stop_ends_it_at_once_and_nothing_is_left(held, rpcs):
    m, go_on, calling = held
    m.process.terminate()
    with pytest.raises(ApiError, match="stopping") as caught:
        calling.wait()
    assert caught.value.code == STOPPING and trial_files(rpcs)
    go_on.set()
    m.ended()
    assert trial_files(rpcs) == set()


def test_drain_does_not_wait_for_it(held, rpcs):
    m, go_on, calling = held
    m.api("stop", drain=True)
    with pytest.raises(ApiError, match="stopping"):
        calling.wait()
    go_on.set()
    m.ended()
    assert trial_files(rpcs) == set()


def test_one_at_a_time(held):
    m, go_on, calling = held
    with pytest.raises(ApiError, match="under way") as caught:
        m.api("calibrate")
    assert caught.value.code == BUSY
    go_on.set()
    assert calling.wait()["stagger_ms"] == 0
    m.idle_again()


def test_client_that_goes_away_does_not_hurt(msigd, rpcs, proxy):
    go_on = threading.Event()
    watched = proxy(rpcs[0], lambda method, params, nth: go_on if method == "make_multisig" and nth == 1 else None)
    m = msigd([watched, *rpcs[1:]])
    connection = UnixConnection(m.socket)
    connection.request("POST", "/json_rpc", json.dumps({"jsonrpc": "2.0", "id": 1, "method": "calibrate", "params": {"trials": 1}}))
    assert watched.held.wait(LIMIT)
    connection.sock.shutdown(socket.SHUT_RDWR)
    connection.close()
    go_on.set()
    wait_for(lambda: m.logged("calibrated", stagger_ms=0), "its end")
    m.idle_again()
    assert trial_files(rpcs) == set()


def test_escrow_comes_between_two_trials(held):
    m, go_on, calling = held
    escrow = m.open()
    go_on.set()
    m.ready(escrow)
    assert calling.wait()["stagger_ms"] == 0
    events = m.events()
    began = events.wait(escrow_id=escrow, phase="Preparing")["seq"]
    assert events.wait(type="calibrate", trial=1)["seq"] < began < events.wait(type="calibrate", trial=2)["seq"]
    events.close()
    m.idle_again()


def test_what_a_killed_trial_left_is_told_and_removed_by_the_next(held, rpcs):
    m, go_on, calling = held
    m.expect("worker_died")
    pid, = m.workers("trial")
    left = trial_files(rpcs)
    assert len(left) >= 6
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ApiError, match="killed by signal 9.*wallets that may be left: trial-") as caught:
        calling.wait()
    assert caught.value.code == NOT_CALIBRATED
    go_on.set()
    m.idle_again()
    m.wait_idle(3)
    assert {name for name in left if name.endswith(".keys")} <= trial_files(rpcs)
    # those of an hour ago go; younger ones may be another msigd's
    names = sorted({name.split(".")[0] for name in left})
    for name in names[:2]:
        os.utime(rpcs[0].wallets / f"{name}.keys", (time.time() - 3700,) * 2)
    assert m.api("calibrate", trials=1)["left"] == []
    assert {line["wallet"] for line in m.logged("trial_leftover_removed")} == set(names[:2])
    young = trial_files(rpcs)
    assert young == {name for name in left if name.startswith(names[2])}
    for name in young:
        (rpcs[0].wallets / name).unlink()


def test_wallets_that_cannot_be_removed_are_named(msigd, rpcs):
    m = msigd([section("w1", rpcs[0], wallet_dir=""), *rpcs[1:]])
    found = m.api("calibrate", trials=1)
    name, = found["left"]
    assert trial_files(rpcs) == {name, f"{name}.keys"} | ({f"{name}.address.txt"} & trial_files(rpcs))
    said = m.ctl("calibrate", "--trials", "1")
    assert said.returncode == 0 and "trial-" in said.stderr and "by hand" in said.stderr
    m.stop()
    for file in trial_files(rpcs):
        (rpcs[0].wallets / file).unlink()


# --- delays --------------------------------------------------------------------------

def test_stagger_delay_is_kept_and_measured(msigd, rpcs, proxy):
    crowd = Crowd(proxy, rpcs, 0)
    m = msigd(crowd.proxies, stagger_delay="300ms")
    escrow = m.open()
    m.ready(escrow)
    gaps = [b[1] - a[0] for a, b in zip(crowd.times, crowd.times[1:])]
    assert len(gaps) == 2 and min(gaps) >= 0.3, gaps
    delays = m.logged("delay", escrow=escrow, kind="stagger")
    assert [(d["role"], d["asked_ms"]) for d in delays] == [("vendor", 300), ("arbiter", 300)]
    assert all(d["measured_ms"] >= 300 and d["level"] == "info" for d in delays)
    assert metric(m, 'msigd_delay_seconds_count{kind="stagger"}') == 2
    total = metric(m, 'msigd_delay_seconds_sum{kind="stagger"}')
    assert total == pytest.approx(sum(d["measured_ms"] for d in delays) / 1000)
    assert metric(m, 'msigd_delay_seconds_count{kind="pollution"}') == 0
    m.idle_again()


# --- pollution -------------------------------------------------------------------------

@pytest.fixture
def polluted(msigd, rpcs, proxy):
    """An escrow whose first wallet another program has made multisig, before
    msigd could; msigd has not looked yet."""
    go_on = threading.Event()
    proxies = [proxy(rpc, lambda method, params, nth: go_on if method == "is_multisig" and nth == 2 else None) for rpc in rpcs]
    m = msigd(proxies, pollution_delay="200ms", max_attempts=1)
    escrow = m.open()
    for p in proxies:
        assert p.held.wait(LIMIT)
    created = proxies[0].made("create_wallet")[0][1]
    keys = rpcs[0].wallets / f"{created['filename']}.keys"
    clean = {path: path.read_bytes() for path in (keys, keys.with_suffix(""))}
    infos = [rpc.call("prepare_multisig", enable_multisig_experimental=True)["multisig_info"] for rpc in rpcs[1:]]
    rpcs[0].call("make_multisig", multisig_info=infos, threshold=2, password=created["password"])
    yield m, escrow, proxies, go_on, keys, clean
    go_on.set()


def test_polluted_twice_takes_the_endpoint_out_and_the_escrow_goes_on(polluted):
    m, escrow, proxies, go_on, keys, clean = polluted
    polluted_keys = keys.read_bytes()
    assert polluted_keys != clean[keys]
    go_on.set()
    endpoint = m.wait_endpoint("w1", "out")
    assert "polluted twice" in endpoint["reason"] and endpoint["reason"].endswith("msigctl endpoint w1 in")
    events = m.events(escrow=escrow)
    interrupted = events.wait(type="interrupted", cause="polluted")
    assert "multisig before its make_multisig, also after it was opened again" in interrupted["reason"]
    assert proxies[0].made("make_multisig") == [] and len(proxies[0].made("open_wallet")) == 1
    event, = [e for e in events.seen if e["type"] == "pollution"]
    role = next(p["role"] for p in m.get(escrow)["participants"] if p["endpoint"] == "w1")
    assert (event["role"], event["name"], event["attempt"]) == (role, "w1", 1)
    delay, = m.logged("delay", kind="pollution")
    assert delay["measured_ms"] >= delay["asked_ms"] == 200
    assert metric(m, "msigd_pollutions_total") == 2
    assert metric(m, 'msigd_delay_seconds_count{kind="pollution"}') == 1
    # there are not three endpoints left for it, until somebody has looked after this one
    wait_for(lambda: "1 out" in m.get(escrow)["status"], "that it waits for an endpoint")
    assert m.ctl("endpoint", "w1", "in").returncode == 0
    found = m.ready(escrow)
    assert found["attempt"] == 1
    assert role in [e["role"] for e in events.seen if e["type"] == "restore"]   # others had their make under way
    events.close()
    # nothing was saved over what the other program made
    m.idle_again()
    assert keys.read_bytes() == polluted_keys


def test_wallet_that_is_clean_on_disk_goes_on(polluted, rpcs):
    m, escrow, proxies, go_on, keys, clean = polluted
    for path, data in clean.items():  # what is multisig now is only in the wallet-rpc's memory
        path.write_bytes(data)
    go_on.set()
    found = m.ready(escrow)
    assert found["attempt"] == 1 and metric(m, "msigd_pollutions_total") == 1
    methods = [c[0] for c in proxies[0].calls]
    assert proxies[0].made("close_wallet")[0][1] == {"autosave_current": False}
    at = methods.index("open_wallet")
    # proven before the prepare that brings back the flag, and again before its make
    assert methods[at:at + 7] == ["open_wallet", "is_multisig", "get_attribute", "prepare_multisig", "is_multisig", "get_attribute",
                                  "make_multisig"]
    made = [p.made("make_multisig")[0][1]["multisig_info"] for p in proxies]
    assert made[0] == made[1] == made[2] and len(made[0]) == 3
    event, = [e for e in m.history(escrow) if e["type"] == "pollution"]
    assert event["wallet"] == next(p["wallet"] for p in found["participants"] if p["endpoint"] == "w1")
    m.idle_again()
    m.stop()
    store = Store(m)
    parties = store.parties(escrow, 1)
    looks = together(*[lambda i=i, role=role: look_at_wallet(rpcs[i], parties[role]) for i, role in enumerate(ROLES)])
    assert {look["address"] for look in looks} == {found["address"]} and all(look["ready"] for look in looks)
    store.close()


def digest_call(url, login, method, **params):
    body = json.dumps({"jsonrpc": "2.0", "id": 0, "method": method, "params": params})
    said = subprocess.run(["curl", "-sS", "--digest", "-u", login, "-d", body, f"{url}/json_rpc"], check=True, stdout=subprocess.PIPE)
    reply = json.loads(said.stdout)
    assert "error" not in reply, reply
    return reply["result"]


def test_managed_endpoint_that_is_polluted_twice_is_restarted(msigd, rpcs):
    m = msigd(managed={"count": 3, "port-base": free_ports(3)}, stagger_delay="8s", pollution_delay="50ms", max_attempts=1)
    m.wait_idle(3)
    events = m.events()
    escrow = m.open()
    for role in ROLES:
        events.wait(escrow_id=escrow, type="step", role=role, call="prepare_multisig")
    events.close()
    names = {p["role"]: p["endpoint"] for p in m.get(escrow)["participants"]}
    worker, = m.workers(f"setup {escrow}")

    def call(role, method, **params):
        login = re.search(r"rpc-login=(\S+)", (m.run / f"{names[role]}.conf").read_text()).group(1)
        return digest_call(m.endpoint(names[role])["url"], login, method, **params)
    # the vendor's turn comes eight seconds after the buyer's, and not before this is done
    os.kill(worker, signal.SIGSTOP)
    rpcs[0].call("create_wallet", filename="stranger", password="", language="English")
    infos = [rpcs[0].call("prepare_multisig", enable_multisig_experimental=True)["multisig_info"],
             call("arbiter", "prepare_multisig", enable_multisig_experimental=True)["multisig_info"]]
    rpcs[0].call("close_wallet")
    pid = int((m.run / f"{names['vendor']}.pid").read_text().split()[0])
    call("vendor", "make_multisig", multisig_info=infos, threshold=2, password="another")
    os.kill(worker, signal.SIGCONT)
    wait_for(lambda: m.logged("managed_restarted", endpoint=names["vendor"]), "its restart")
    assert names["vendor"] in str(m.logged("wallet_polluted"))
    found = m.ready(escrow)     # from the copy of its wallet
    assert found["attempt"] == 1 and "vendor" in [e["role"] for e in m.history(escrow) if e["type"] == "restore"]
    m.idle_again()
    assert int((m.run / f"{names['vendor']}.pid").read_text().split()[0]) != pid
    assert metric(m, "msigd_managed_deaths_total") == 0 and metric(m, "msigd_pollutions_total") == 2
