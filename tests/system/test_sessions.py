"""Sessions: the wallets of a Ready escrow kept open, for as long as there is room. On
real wallets, but where it takes many."""
import os
import re
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest

from harness import ROLES, STAGE, ApiError, section
from machine import free_ports, together, wait_for
from stand_ins import Stood
from wallet_rpcs import start_wallet_rpcs


@pytest.fixture(scope="module")
def six(root):
    made = start_wallet_rpcs(root / "six", 6)
    yield made
    for one in made:
        one.kill()


def metric(msigd, name):
    text = msigd.http("GET", "/metrics")[2].decode()
    return int(re.search(rf"^msigd_{name}(?:_total)? (\d+)$", text, re.M).group(1))


def sessions(msigd):
    return {s["escrow_id"]: s for s in msigd.api("get_sessions")}


def refresh(msigd, escrow):
    return msigd.api("get_escrow", escrow_id=escrow, refresh=True)


def wait_sessions(msigd, *escrows):
    wait_for(lambda: set(sessions(msigd)) == set(escrows) and
             not any(e["state"] in ("dirty", "probing") for e in msigd.api("get_endpoints")), f"sessions of {escrows}: {sessions(msigd)}")


def open_ready(msigd):
    return msigd.ready(msigd.open())["escrow_id"]


# --- what a session is ----------------------------------------------------------------

def test_after_ready_the_wallets_stay_open_and_are_asked(msigd, six):
    m = msigd(six, session_max=10)
    escrow = open_ready(m)
    wait_sessions(m, escrow)
    session = sessions(m)[escrow]
    assert session["uses"] == 0 and sorted(session["endpoints"]) == sorted(m.endpoints("leased"))
    worker = m.workers(escrow)
    told = refresh(m, escrow)
    assert [w["role"] for w in told["wallets"]] == ["buyer", "vendor", "arbiter"]
    for wallet in told["wallets"]:
        assert wallet["address"] == told["address"] and wallet["ready"] is True
        assert (wallet["threshold"], wallet["total"], wallet["balance"], wallet["unlocked_balance"]) == (2, 3, 0, 0)
        assert wallet["height"] >= 1
    assert m.workers(escrow) == worker and len(worker) == 1
    after = sessions(m)[escrow]
    assert after["uses"] == 1 and after["last_used"] > session["last_used"] and after["since"] == session["since"]


def verified_at_once(msigd, endpoints):
    """One that looks at no wallet two seconds later, when a session may be wanted: it has done so before."""
    return msigd(endpoints, session_max=10, gate="reopen")


def test_the_second_request_finds_it(msigd, six):
    m = verified_at_once(msigd, six)
    escrow = open_ready(m)
    wait_sessions(m, escrow)
    m.api("close_session", escrow_id=escrow)
    assert sessions(m) == {}
    refresh(m, escrow)
    worker = m.workers(escrow)
    refresh(m, escrow)
    assert m.workers(escrow) == worker and len(worker) == 1
    assert (metric(m, "sessions_kept"), metric(m, "sessions_opened"), metric(m, "sessions_reused")) == (1, 1, 1)
    assert sessions(m)[escrow]["uses"] == 2


def test_ten_at_once_make_one(msigd, six):
    m = verified_at_once(msigd, six)
    escrow = open_ready(m)
    wait_sessions(m, escrow)
    m.api("close_session", escrow_id=escrow)
    seen = set()
    watching = threading.Event()

    def watch():
        while not watching.is_set():
            seen.update(m.workers(escrow))
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        answers = together(*[lambda: refresh(m, escrow)] * 10)
    finally:
        watching.set()
        watcher.join()
    assert all(a["wallets"] == answers[0]["wallets"] for a in answers) and len(seen) == 1
    assert (metric(m, "sessions_opened"), metric(m, "sessions_reused")) == (1, 9)
    assert sessions(m)[escrow]["uses"] == 10


def test_session_max_0_keeps_none_and_still_answers(msigd, six):
    m = msigd(six, session_max=0)
    escrow = open_ready(m)
    wait_sessions(m)
    assert len(refresh(m, escrow)["wallets"]) == 3
    wait_sessions(m)
    m.idle_again()


def test_wallets_of_one_that_is_not_ready_are_not_asked(msigd, dead):
    m = msigd([dead], session_max=10)
    escrow = m.open()
    with pytest.raises(ApiError) as error:
        refresh(m, escrow)
    assert error.value.code == 4 and "Ready" in error.value.message
    with pytest.raises(ApiError) as error:
        m.api("close_session", escrow_id=escrow)
    assert error.value.code == 12
    with pytest.raises(ApiError) as error:
        refresh(m, "123e4567-e89b-42d3-a456-426614174000")
    assert error.value.code == 1


# --- room -------------------------------------------------------------------------------

def stood_threes(stand_in, count):
    sides = [stand_in() for _ in range(count)]
    return [Stood(side, number) for side in sides for number in range(3)]


def test_the_least_recently_used_goes_first(msigd, stand_in):
    m = verified_at_once(msigd, stood_threes(stand_in, 3))
    first, second = open_ready(m), open_ready(m)
    wait_sessions(m, first, second)
    refresh(m, first)           # now the second is the one not used for longest
    third = open_ready(m)       # needs the last three: then none would be left
    wait_sessions(m, first, third)
    wait_for(lambda: metric(m, "sessions_evicted") == 1, "the other has gone")


def test_three_endpoints_are_left_for_the_next_escrow(msigd, six):
    m = verified_at_once(msigd, six)
    first = open_ready(m)
    wait_sessions(m, first)
    assert len(m.endpoints("idle")) == 3
    second = open_ready(m)
    wait_sessions(m, second)
    wait_for(lambda: len(m.endpoints("idle")) == 3, "three idle ones again")
    assert metric(m, "sessions_evicted") == 1


def test_three_endpoints_alone_keep_no_session(msigd, rpcs):
    m = msigd(rpcs, session_max=10)
    escrow = open_ready(m)
    m.idle_again()
    assert sessions(m) == {} and metric(m, "sessions_kept") == 0
    refresh(m, escrow)
    m.idle_again()
    assert sessions(m) == {} and metric(m, "sessions_opened") == 1


def test_more_than_session_max_are_evicted(msigd, folder):
    nine = start_wallet_rpcs(folder / "nine", 9)
    try:
        m = msigd(nine, session_max=1)
        open_ready(m)
        last = open_ready(m)
        wait_sessions(m, last)
        wait_for(lambda: metric(m, "sessions_evicted") == 1, "the other has gone")
    finally:
        for one in nine:
            one.kill()


def test_the_time_to_live_is_counted_from_the_last_use(msigd, six):
    m = msigd(six, session_max=10, session_ttl="1500ms")
    escrow = open_ready(m)
    wait_for(lambda: metric(m, "sessions_expired") == 1, "the session has expired")
    assert sessions(m) == {}
    m.idle_again()
    refresh(m, escrow)
    ended = m.logged("session_ended")[-1]
    assert ended["cause"] == "expired"
    wait_for(lambda: metric(m, "sessions_expired") == 2, "and so has the next")


def test_it_is_not_evicted_during_a_call(msigd, six, proxy):
    gate = threading.Event()
    held = [proxy(rpc, lambda method, params, nth: gate if method == "get_height" else None) for rpc in six]
    m = msigd(held, session_max=10)
    first = open_ready(m)
    wait_sessions(m, first)
    results = []
    asking = threading.Thread(target=lambda: results.append(refresh(m, first)))
    asking.start()
    try:
        wait_for(lambda: any(p.held.is_set() for p in held), "a call that is held back")
        open_ready(m)                       # would need the first to go
        assert first in sessions(m) and m.workers(f"setup {first}") and not results
    finally:
        gate.set()
        asking.join()
    assert len(results) == 1 and len(results[0]["wallets"]) == 3
    wait_for(lambda: len(sessions(m)) <= 1, "one of the two goes once it was answered")


def test_one_that_waits_for_its_own_endpoints_gets_them(msigd, six):
    """The wallets of the first lie on endpoints of which another session has some."""
    m = msigd([section(f"w{i}", rpc, wallet_dir="") for i, rpc in enumerate(six)], session_max=10)
    first = open_ready(m)
    second = open_ready(m)
    third = open_ready(m)
    wait_sessions(m, third)
    for escrow in (first, second, third, first):
        assert len(refresh(m, escrow)["wallets"]) == 3


def test_one_whose_endpoint_is_out_is_told_soon_and_holds_nobody_up(msigd, six):
    m = msigd([section(f"w{i}", rpc, wallet_dir="") for i, rpc in enumerate(six[:5])], session_max=10)
    m.wait_idle(5)
    first = m.ready(m.open())
    m.idle_again()
    home = first["participants"][0]["endpoint"]
    m.api("set_endpoint", name=home, state="out")
    errors = []

    def ask():
        try:
            refresh(m, first["escrow_id"])
        except ApiError as error:
            errors.append(error)
    asking = threading.Thread(target=ask)
    asking.start()
    m.ready(m.open())                       # on the four that are left
    asking.join()
    assert errors[0].code == 13 and home in errors[0].message and "out" in errors[0].message


def test_one_that_is_asked_without_pause_makes_room_too(msigd, six):
    m = msigd(six[:5], session_max=10, spares="false")
    m.wait_idle(5)
    escrow = open_ready(m)
    m.idle_again()
    stop = threading.Event()

    def ask():
        while not stop.is_set():
            refresh(m, escrow)
    asking = [threading.Thread(target=ask) for _ in range(4)]
    for thread in asking:
        thread.start()
    try:
        wait_for(lambda: sessions(m), "its session")
        m.ready(m.open())
    finally:
        stop.set()
        for thread in asking:
            thread.join()


def test_a_request_sends_no_other_session_away_for_nothing(msigd, stand_in):
    m = verified_at_once(msigd, stood_threes(stand_in, 4))
    first, second, third = (open_ready(m) for _ in range(3))
    wait_sessions(m, first, second, third)
    m.api("close_session", escrow_id=first)
    refresh(m, first)
    wait_sessions(m, first, second, third)
    assert metric(m, "sessions_evicted") == 0


# --- ends -------------------------------------------------------------------------------

def test_an_endpoint_that_is_taken_out_ends_its_session(msigd, six):
    m = msigd(six, session_max=10)
    escrow = open_ready(m)
    wait_sessions(m, escrow)
    name = sessions(m)[escrow]["endpoints"][0]
    m.api("set_endpoint", name=name, state="out")
    m.wait_endpoint(name, "out")
    wait_sessions(m)


def test_a_session_whose_worker_is_killed_ends_and_the_next_request_opens_another(msigd, six):
    m = msigd(six, session_max=10)
    m.expect("worker_died")
    escrow = open_ready(m)
    wait_sessions(m, escrow)
    os.kill(m.workers(escrow)[0], signal.SIGKILL)
    wait_for(lambda: sessions(m) == {}, "the session is gone")
    assert metric(m, "sessions_failed") == 1
    assert len(refresh(m, escrow)["wallets"]) == 3


def test_a_stale_session_is_opened_anew(msigd, six):
    """Somebody has closed one of its wallets: the first request already gets its answer."""
    m = msigd(six, session_max=10)
    escrow = open_ready(m)
    wait_sessions(m, escrow)
    name = sessions(m)[escrow]["endpoints"][1]
    rpc = next(r for r in six if r.url == m.endpoint(name)["url"])
    rpc.call("close_wallet")
    assert len(refresh(m, escrow)["wallets"]) == 3
    assert (metric(m, "sessions_failed"), metric(m, "sessions_opened")) == (1, 1)
    reason = m.logged("session_ended")[0]["reason"]
    assert "vendor" in reason and rpc.url in reason


def test_wallets_that_cannot_be_opened_are_told(msigd, six):
    m = verified_at_once(msigd, six)
    escrow = open_ready(m)
    wait_sessions(m, escrow)
    m.api("close_session", escrow_id=escrow)
    wallet = m.get(escrow)["participants"][2]["wallet"]
    keys = six[0].wallets / f"{wallet}.keys"
    keys.rename(keys.with_suffix(".away"))
    with pytest.raises(ApiError) as error:
        refresh(m, escrow)
    assert error.value.code == 13 and "arbiter" in error.value.message and wallet in error.value.message
    keys.with_suffix(".away").rename(keys)
    m.idle_again()
    assert len(refresh(m, escrow)["wallets"]) == 3


def test_sessions_end_with_msigd_and_their_wallets_are_closed(msigd, six):
    m = msigd(six, session_max=10)
    escrow = open_ready(m)
    wait_sessions(m, escrow)
    m.stop()
    assert m.logged("session_ended")[-1]["cause"] in ("stopping", "")
    m.start()
    m.wait_idle(6)
    assert len(refresh(m, escrow)["wallets"]) == 3


def test_drain_does_not_wait_for_sessions(msigd, six):
    m = msigd(six, session_max=10)
    escrow = open_ready(m)
    wait_sessions(m, escrow)
    m.api("stop", drain=True)
    m.ended()


def test_a_managed_wallet_rpc_that_dies_ends_its_session(msigd):
    m = msigd(managed={"count": 6, "port-base": free_ports(6)}, session_max=10)
    m.expect("managed_died")
    m.wait_idle(6)
    escrow = open_ready(m)
    wait_sessions(m, escrow)
    name = sessions(m)[escrow]["endpoints"][0]
    pid = int((m.run / f"{name}.pid").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: sessions(m) == {}, "the session ends")
    m.wait_idle(6)
    assert len(refresh(m, escrow)["wallets"]) == 3


def test_a_ready_escrow_is_verified_once_its_session_has_ended(msigd, six):
    m = msigd(six, session_max=10)
    escrow = open_ready(m)
    wait_sessions(m, escrow)
    m.api("close_session", escrow_id=escrow)
    wait_for(lambda: m.get(escrow)["verified_at"], "the proof from disk")


def test_a_worker_that_dies_right_after_it_has_published(msigd, six, proxy):
    """Its address and its end reach msigd in the same turn of the loop."""
    go_on = threading.Event()
    held = [proxy(rpc, lambda method, params, nth: go_on if method == "query_key" else None) for rpc in six]
    m = msigd(held, session_max=10)
    m.expect("worker_died")
    escrow = m.open()
    wait_for(lambda: sum(len(p.made("query_key")) for p in held) == 3, "the last calls of the gate")
    worker = m.workers(escrow)[0]
    os.kill(m.process.pid, signal.SIGSTOP)
    try:
        go_on.set()
        # it has said what it had to say once it has every answer, sleeps on its descriptors, and goes on sleeping
        wait_for(lambda: all(p.answered == len(p.calls) for p in held) and
                 all(asleep(worker) or time.sleep(0.01) for _ in range(50)), "the worker waits for its ack")
        os.kill(worker, signal.SIGKILL)
    finally:
        os.kill(m.process.pid, signal.SIGCONT)
    assert m.ready(escrow)["address"]
    m.idle_again()
    assert sessions(m) == {}


def asleep(pid):
    time.sleep(0.002)
    try:
        return open(f"/proc/{pid}/stat", encoding="ascii").read().rsplit(")", 1)[1].split()[0] == "S"
    except OSError:
        return True


# --- a worker that lies -----------------------------------------------------------------

LIES = {
    "no wallets": ("del reply['wallets']", "does not tell of each wallet"),
    "one wallet less": ("wallets.pop()", "does not tell of each wallet"),
    "one wallet more": ("wallets.append(wallets[0])", "does not tell of each wallet"),
    "a role twice": ("wallets[2]['role'] = 'buyer'", "does not tell of each wallet"),
    "a role that no wallet has": ("wallets[0]['role'] = 'any'", "does not tell of each wallet"),
    "no role": ("del wallets[0]['role']", "does not tell of each wallet"),
    "no address": ("del wallets[1]['address']", "does not tell of each wallet"),
    "an answer to another request": ("reply['request_id'] += 1", "nobody asked for"),
}


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a lying worker over the installed one")
def test_a_worker_whose_reply_cannot_be_is_ended_and_the_request_told(msigd, rpcs, folder):
    real, liar, lie, installed = folder / "real", folder / "liar", folder / "lie", STAGE / "libexec/msigd/msigd-worker"
    shutil.copy(installed, real)
    text = (Path(__file__).parent / "lying_worker.py").read_text()
    liar.write_text(text.replace("@REAL@", str(real)).replace("@LIE@", str(lie)))
    liar.chmod(0o755)
    m = msigd(rpcs, wrap=["unshare", "-m", "sh", "-c", f'mount --bind {liar} {installed} && exec "$@"', "sh"], session_max=10)
    m.expect("worker_died")
    escrow = open_ready(m)
    m.idle_again()
    before, events = m.get(escrow), m.history(escrow)
    for number, (what, (statement, why)) in enumerate(LIES.items(), 1):
        lie.write_text(statement)
        with pytest.raises(ApiError) as error:
            refresh(m, escrow)
        assert error.value.code == 13 and why in error.value.message, what
        died = m.logged("worker_died")
        assert len(died) == number and why in died[-1]["why"], what
        assert (died[-1]["job"], died[-1]["escrow"]) == ("session", escrow), what
        assert metric(m, "sessions_failed") == number and sessions(m) == {} and m.workers(escrow) == [], what
    lie.write_text("pass")
    told = refresh(m, escrow)
    assert [(w["role"], w["address"]) for w in told["wallets"]] == [(role, before["address"]) for role in ROLES]
    m.idle_again()
    assert m.history(escrow) == events and m.get(escrow)["attempt"] == before["attempt"]
    assert len(m.logged("worker_died")) == len(LIES) and metric(m, "sessions_opened") == len(LIES) + 1
