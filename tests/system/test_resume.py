"""An attempt that was interrupted goes on where it stood: the same attempt, the
wallets that were there or copies of them under new names, and no call made twice
on one wallet."""
import os
import threading

import pytest

from harness import STAGE_SANITIZED, section
from machine import LIMIT, wait_for
from test_recovery import hold, kill_worker_held_by

EVERY = [("create_wallet", 1), ("set_attribute", 1), ("prepare_multisig", 1), ("make_multisig", 1), ("store", 2),
         ("exchange_multisig_keys", 1), ("exchange_multisig_keys", 2), ("query_key", 1)]
CALLS = EVERY if "MSIGD_FULL" in os.environ else [("make_multisig", 1), ("exchange_multisig_keys", 2)]


def assert_never_twice(watched):
    """On one wallet make is made once, and exchange twice."""
    for method, most in (("create_wallet", 1), ("make_multisig", 1), ("exchange_multisig_keys", 2)):
        wallets = [wallet for _, _, wallet in watched.made(method)]
        assert all(wallets.count(w) <= most for w in wallets), (method, wallets)


def assert_whole(m, escrow, endpoints=3):
    found = m.ready(escrow)
    assert found["attempt"] == 1 and len({p["wallet"] for p in found["participants"]}) == 3
    m.idle_again()
    wait_for(lambda: m.get(escrow)["verified_at"], "its wallets were opened from disk")
    return found


@pytest.mark.parametrize("method, nth", CALLS)
def test_killed_msigd_goes_on(msigd, rpcs, proxy, method, nth):
    go_on, rule = hold(method, nth)
    watched = proxy(rpcs[0], rule)
    m = msigd([watched, *rpcs[1:]])
    escrow = m.open()
    assert watched.held.wait(LIMIT)
    m.kill()
    go_on.set()
    m.start()
    assert_whole(m, escrow)
    assert_never_twice(watched)


@pytest.mark.parametrize("method, nth", CALLS)
def test_a_lost_answer_is_recovered(msigd, rpcs, proxy, method, nth):
    watched = proxy(rpcs[0], lambda called, params, number: "swallow" if (called, number) == (method, nth) else None)
    m = msigd([watched, *rpcs[1:]])
    escrow = m.open()
    assert_whole(m, escrow)
    assert_never_twice(watched)
    restored = [e for e in m.history(escrow) if e["type"] == "restore"]
    assert bool(restored) == (method in ("make_multisig", "exchange_multisig_keys") or (method, nth) == ("store", 2)), restored


@pytest.mark.parametrize("method, nth", CALLS)
def test_a_killed_worker_is_followed_by_another(msigd, rpcs, proxy, method, nth):
    go_on, rule = hold(method, nth)
    watched = proxy(rpcs[0], rule)
    m = msigd([watched, *rpcs[1:]])
    m.expect("worker_died")
    escrow = kill_worker_held_by(watched, m)
    go_on.set()
    assert_whole(m, escrow)
    assert_never_twice(watched)


@pytest.mark.parametrize("method, nth", CALLS)
def test_an_endpoint_that_is_gone_is_done_without(msigd, rpcs, wallet_rpc, proxy, method, nth):
    """Its files cannot be had any more either: only the copies in the store."""
    go_on, rule = hold(method, nth)
    mine = wallet_rpc("mine").wait()
    watched = proxy(mine, rule)
    m = msigd([section("mine", watched, role="buyer"), *rpcs])
    m.wait_idle(4)
    escrow = m.open()
    assert watched.held.wait(LIMIT)
    mine.kill()
    go_on.set()
    found = assert_whole(m, escrow)
    assert "mine" not in [p["endpoint"] for p in found["participants"]]


@pytest.mark.skipif(STAGE_SANITIZED is None, reason="MSIGD_STAGE_SANITIZED is not given")
def test_msigd_that_ends_while_one_waits_to_go_on_leaves_nothing_in_the_queue(msigd, stood, proxy):
    """What is freed first is not looked at by what is freed later."""
    gate = threading.Event()
    watched = proxy(stood[0], lambda method, params, nth: gate if method == "make_multisig" else None)
    m = msigd([watched, *stood[1:]], stage=STAGE_SANITIZED)
    m.expect("worker_died")
    escrow = kill_worker_held_by(watched, m)
    watched.close()
    gate.set()
    wait_for(lambda: "waits" in (s := m.get(escrow)["status"]) and s, "it waits for its endpoint")
    m.stop()
