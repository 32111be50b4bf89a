"""Another program at the same wallet-rpc: what it put in the place of a wallet is
closed without saving, ours is opened again, and no call that changes a wallet is
made before its stamp is seen. Wallets that it made multisig are in
test_calibrate.py, spare wallets in test_spares.py."""
import os
import re
import signal
import threading

import pytest

from harness import section
from machine import LIMIT, wait_for
from stand_ins import Stood

CHANGING = ("prepare_multisig", "make_multisig", "exchange_multisig_keys")


def metric(msigd, name):
    text = msigd.http("GET", "/metrics")[2].decode()
    return int(re.search(rf"^msigd_{name}_total (\d+)$", text, re.M).group(1))


def told(m, escrow):
    return [e for e in m.history(escrow) if e["type"] == "pollution"]


def put_foreign_wallet(rpc, name):
    rpc.call("create_wallet", filename=name, password="", language="English")


def assert_untouched(rpc, *names):
    for name in names:
        rpc.call("open_wallet", filename=name, password="")
        assert rpc.call("is_multisig")["multisig"] is False
        rpc.call("close_wallet")


def once_polluted(m, rpcs, proxy, nth):
    """Before the answer to the nth get_attribute of an escrow another wallet is
    opened there. The first asks the new wallet, and there is one before each call
    of CHANGING."""
    gate = threading.Event()
    watched = proxy(rpcs[0], lambda method, params, number: gate if (method, number) == ("get_attribute", nth) else None)
    m = m([watched, *rpcs[1:]], pollution_delay="10ms", max_attempts=1)
    escrow = m.open()
    assert watched.held.wait(LIMIT)
    return m, watched, escrow, gate


@pytest.mark.parametrize("nth, changing", [(2, "prepare_multisig"), (3, "make_multisig"), (4, "exchange_multisig_keys")])
def test_another_wallet_in_its_place_is_closed_and_ours_opened_again(msigd, stood, proxy, nth, changing):
    m, watched, escrow, gate = once_polluted(msigd, stood, proxy, nth)
    put_foreign_wallet(stood[0], "foreign")
    seen = len(watched.calls)
    gate.set()
    found = m.ready(escrow)
    assert found["attempt"] == 1
    event, = told(m, escrow)
    mine = next(p for p in found["participants"] if p["endpoint"] == "w1")
    assert (event["role"], event["name"], event["wallet"]) == (mine["role"], "w1", mine["wallet"])
    assert "another one is open there: a wallet without a stamp" in event["found"] and "found_escrow" not in event
    assert metric(m, "pollutions") == 1 and not m.logged("attempt_interrupted")
    # nothing was asked of the other wallet but to close it
    methods = [call[0] for call in watched.calls[seen:]]
    before = ["prepare_multisig"] if changing != "exchange_multisig_keys" else []
    proof = ["is_multisig"] if changing == "make_multisig" else []
    assert methods[:len(before + proof) + 6] == ["close_wallet", "open_wallet", "is_multisig", "get_attribute", *before,
                                                 *proof, "get_attribute", changing]
    assert watched.made("close_wallet")[0][1] == {"autosave_current": False}
    m.stop()
    assert_untouched(stood[0], "foreign")


def test_wallet_of_an_earlier_escrow_is_named(msigd, stood, proxy):
    """Another escrow's wallet, open in the place of this one's."""
    gates = {}
    watched = proxy(stood[0], lambda method, params, number: gates.get(number) if method == "get_attribute" else None)
    m = msigd([watched, *stood[1:]], pollution_delay="10ms", max_attempts=1)
    other = m.ready(m.open())
    m.idle_again()
    theirs = next(p for p in other["participants"] if p["endpoint"] == "w1")
    gates[watched.counts["get_attribute"] + 3] = gate = threading.Event()
    calls = len(watched.calls)
    escrow = m.open()
    assert watched.held.wait(LIMIT)
    password = next(params["password"] for method, params, _ in watched.calls
                    if method == "create_wallet" and params["filename"] == theirs["wallet"])
    stood[0].call("open_wallet", filename=theirs["wallet"], password=password)
    gate.set()
    found = m.ready(escrow)
    assert found["attempt"] == 1 and found["address"] != other["address"]
    event, = told(m, escrow)
    assert f"the {theirs['role']}'s wallet of escrow {other['escrow_id']}, attempt 1" in event["found"]
    assert event["found_escrow"] == other["escrow_id"]
    changed = [(method, wallet) for method, _, wallet in watched.calls[calls:] if method in CHANGING]
    assert all(wallet.startswith(f"{escrow}-1-") for _, wallet in changed) and "make_multisig" in dict(changed)
    m.idle_again()


def test_endpoint_that_is_polluted_twice_goes_out_and_the_escrow_goes_elsewhere(msigd, stand_in, stood, proxy):
    gates = {number: threading.Event() for number in (3, 4)}
    watched = proxy(stood[0], lambda method, params, number: gates.get(number) if method == "get_attribute" else None)
    elsewhere = Stood(stand_in(), 0)
    m = msigd([section("w1", watched, role="buyer"), *stood[1:], elsewhere], pollution_delay="10ms", max_attempts=1)
    m.wait_idle(4)
    m.api("set_endpoint", name="w4", state="out")
    escrow = m.open()  # the only ones that have the files of the buyer's wallet are the others' homes
    assert watched.held.wait(LIMIT)
    m.api("set_endpoint", name="w4", state="in")
    for number, gate in gates.items():
        wait_for(lambda: watched.counts.get("get_attribute") == number and watched.held.is_set(), "the proof")
        put_foreign_wallet(stood[0], f"foreign-{number}")
        watched.held.clear()
        gate.set()
    found = m.ready(escrow)
    assert found["attempt"] == 1 and {p["endpoint"] for p in found["participants"]} == {"w2", "w3", "w4"}
    assert watched.made("make_multisig") == [] and len(told(m, escrow)) == 1 and metric(m, "pollutions") == 2
    cause, = [e["cause"] for e in m.history(escrow) if e["type"] == "interrupted"]
    assert cause == "polluted"
    endpoint = m.wait_endpoint("w1", "out")
    assert endpoint["reason"].startswith("polluted twice") and endpoint["reason"].endswith("msigctl endpoint w1 in")
    m.api("set_endpoint", name="w1", state="in")
    m.wait_endpoint("w1", "idle")
    m.stop()
    assert_untouched(stood[0], "foreign-3", "foreign-4")


def test_wallet_that_is_another_right_after_it_was_made_is_told_and_left(msigd, stood, proxy):
    m, watched, escrow, gate = once_polluted(msigd, stood, proxy, 1)
    put_foreign_wallet(stood[0], "foreign")
    stood[0].call("set_attribute", key="msigd", value='{"spare":"00000000-0000-4000-8000-000000000000"}')
    gate.set()
    found = m.ready(escrow)
    event, = told(m, escrow)
    assert event["name"] == "w1" and "the spare wallet msigd-00000000-0000-4000-8000-000000000000" in event["found"]
    assert found["attempt"] == 1 and metric(m, "pollutions") == 1 and len(watched.made("create_wallet")) == 2
    m.stop()
    assert_untouched(stood[0], "foreign")


def test_wallet_found_open_where_there_was_none_is_told(msigd, stood):
    m = msigd(stood)
    m.wait_idle(3)
    put_foreign_wallet(stood[0], "foreign")
    m.keys["spares"] = "true"
    m.configure(stood)
    m.api("reload")
    events = m.events()
    event = events.wait(type="pollution")
    events.close()
    assert (event["name"], event["found"]) == ("w1", "a wallet without a stamp") and metric(m, "pollutions") == 1
    wait_for(lambda: len(m.endpoints("primed")) == 3, "spares")
    assert len(m.logged("endpoint_polluted")) == 1


def test_wallet_that_a_dead_worker_left_open_is_no_pollution(msigd, stood, proxy):
    m, _, escrow, gate = once_polluted(msigd, stood, proxy, 3)
    m.expect("worker_died")
    pid, = m.workers(f"setup {escrow}")
    os.kill(pid, signal.SIGKILL)
    gate.set()
    m.ready(escrow)
    line, = m.logged("leftover_closed", endpoint="w1")
    assert line["found_escrow"] == escrow and metric(m, "pollutions") == 0


def test_wallet_that_is_another_when_the_restored_one_is_stamped_is_not_used(msigd, stood, proxy):
    gate, lost = threading.Event(), []

    def rule(method, _, number):
        if (method, number) == ("prepare_multisig", 1):
            wallet = stood[0].wallets / watched.open_wallet
            for file in (wallet, wallet.with_suffix(".keys")):
                file.rename(f"{file}.lost")
            lost.append(method)
            return "swallow"
        return gate if (method, number) == ("set_attribute", 2) else None
    watched = proxy(stood[0], rule)
    m = msigd([watched, *stood[1:]], max_attempts=1)
    escrow = m.open()
    assert watched.held.wait(LIMIT)
    put_foreign_wallet(stood[0], "foreign")
    gate.set()
    found = m.ready(escrow)
    event, = told(m, escrow)
    assert "the stamp did not go into the file of the restored wallet" in event["found"]
    assert found["attempt"] == 1 and lost
    m.stop()
    assert_untouched(stood[0], "foreign")
