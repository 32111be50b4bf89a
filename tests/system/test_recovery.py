"""Things that die or are disturbed in the middle of an escrow: every escrow ends
Ready, or Failed with a true reason, and nothing is done twice."""
import os
import signal
import threading

from harness import Store, section
from machine import LIMIT, alive, descendants, free_ports, wait_for


def hold(method, nth=1):
    """A rule for a proxy that holds one call back, and what lets it go."""
    go_on = threading.Event()
    return go_on, lambda called, params, number: go_on if (called, number) == (method, nth) else None


def kill_worker_held_by(watched, m):
    """Opens an escrow, whose worker dies while the proxy holds its call back."""
    escrow = m.open()
    assert watched.held.wait(LIMIT)
    pid, = m.workers(f"setup {escrow}")
    os.kill(pid, signal.SIGKILL)
    return escrow


def attempts(m, escrow):
    """What each attempt but the first began with."""
    return [(e["attempt"], e["cause"], e["reason"]) for e in m.history(escrow) if e["type"] == "attempt"]


def interruptions(m, escrow):
    return [(e["cause"], e["reason"]) for e in m.history(escrow) if e["type"] == "interrupted"]


# --- answers that do not come ----------------------------------------------------------

def test_endpoint_that_comes_back_is_waited_for(msigd, rpcs, proxy):
    watched = proxy(rpcs[0], lambda method, params, nth: "leave" if (method, nth) == ("get_attribute", 3) else None)
    m = msigd([watched, *rpcs[1:]], max_attempts=1)
    escrow = m.open()
    m.wait_endpoint("w1", "down")
    watched.listen()
    found = m.ready(escrow)
    assert found["attempt"] == 1 and "w1" in [p["endpoint"] for p in found["participants"]]
    (cause, _), = interruptions(m, escrow)
    assert cause == "endpoint_down"
    assert len(watched.made("create_wallet")) == len(watched.made("make_multisig")) == 1


def test_max_attempts_is_kept_and_retry_begins_anew(msigd, stood, proxy):
    broken = threading.Event()
    broken.set()
    watched = proxy(stood[0], lambda method, params, number: "swallow" if method == "prepare_multisig" and broken.is_set() else None)
    m = msigd([watched, *stood[1:]], max_attempts=2)
    escrow = m.open()
    found = m.failed(escrow)
    assert found["attempt"] == 2 and "attempt 2 of 2" in found["reason"] and "prepare_multisig" in found["reason"]
    assert found["multisig_state"]["phase"] == "Failed" and found["multisig_state"]["reason"] == found["reason"]
    # four times in each attempt it got no further; again for each time that another role did
    assert 2 * 4 <= len(watched.made("prepare_multisig")) <= 2 * 8
    broken.clear()
    assert m.ctl("retry", escrow).returncode == 0
    found = m.ready(escrow)
    assert found["attempt"] == 3 and found["reason"] is None


def test_setup_timeout_ends_an_attempt_and_names_the_call(msigd, rpcs, proxy):
    go_on, rule = hold("create_wallet")
    watched = proxy(rpcs[0], rule)
    m = msigd([watched, *rpcs[1:]], max_attempts=1, setup_timeout="5s")
    reason = m.failed(m.open())["reason"]
    go_on.set()
    assert "create_wallet" in reason and "time was over" in reason


# --- processes that die -----------------------------------------------------------------

def test_worker_killed_in_the_middle(msigd, rpcs, proxy):
    go_on, rule = hold("make_multisig")
    watched = proxy(rpcs[0], rule)
    m = msigd([watched, *rpcs[1:]])
    m.expect("worker_died")
    escrow = kill_worker_held_by(watched, m)
    go_on.set()
    found = m.ready(escrow)
    assert found["attempt"] == 1
    (cause, reason), = interruptions(m, escrow)
    assert cause == "worker_died" and "signal 9" in reason and "make_multisig" in reason


def test_wallet_rpc_killed_in_the_middle_and_others_take_over(msigd, rpcs, wallet_rpc, proxy):
    go_on, rule = hold("exchange_multisig_keys")
    mine = wallet_rpc("mine").wait()
    watched = proxy(mine, rule)
    m = msigd([section("mine", watched, role="buyer"), *rpcs])
    m.wait_idle(4)
    escrow = m.open()
    assert watched.held.wait(LIMIT)
    mine.kill()
    go_on.set()
    found = m.ready(escrow)
    assert found["attempt"] == 1 and "mine" not in [p["endpoint"] for p in found["participants"]]
    (cause, reason), = interruptions(m, escrow)
    assert cause in ("outcome_unknown", "endpoint_down") and "exchange_multisig_keys" in reason
    assert m.wait_endpoint("mine", "down")["reason"]


def test_killed_or_stopped_msigd_goes_on_where_it_was(msigd):
    m = msigd(managed={"count": 3, "port-base": free_ports(3)})
    first = m.ready(m.open())
    second, third = m.open(), m.open()
    resumed = 0
    for end in (m.kill, m.stop):
        wait_for(lambda: (e := m.get(second))["phase"] == "Ready" or (e["phase"] == "Exchanging" and m.workers(f"setup {second}")),
                 "the second is under way")
        left = descendants(m.process.pid)
        assert len(left) >= 3
        end()
        wait_for(lambda: not any(alive(pid) for pid in left), "all that is msigd's ends with it")
        store = Store(m)
        resumed += store.rows("SELECT phase FROM attempt WHERE escrow_id = ?", second)[0]["phase"] != "Ready"
        store.close()
        m.start()
        again = m.get(first["escrow_id"])
        assert (again["address"], again["attempt"], again["finalized_at"]) == (first["address"], 1, first["finalized_at"])
    found = m.ready(second, third)
    assert len({first["address"], *[e["address"] for e in found]}) == 3
    assert [e["attempt"] for e in found] == [1, 1] and attempts(m, second) == []
    assert [e["type"] for e in m.history(second)].count("resume") == resumed
    m.idle_again()
    assert sorted(m.endpoints("idle")) == ["managed-1", "managed-2", "managed-3"]


def test_managed_wallet_rpc_that_dies_is_started_again(msigd):
    m = msigd(managed={"count": 3, "port-base": free_ports(3)})
    m.expect("managed_died")
    m.wait_idle(3)

    def kill(name):
        os.kill(next(p for p, command in descendants(m.process.pid).items() if f"{name}.conf" in command), signal.SIGKILL)
    kill("managed-2")
    line, = wait_for(lambda: m.logged("managed_died", endpoint="managed-2"), "its end")
    assert "signal 9" in line["reason"]
    escrow = m.open()
    wait_for(lambda: m.get(escrow)["phase"] in ("Exchanging", "Ready"), "the exchange")
    kill("managed-1")
    found = m.ready(escrow)
    assert {p["endpoint"] for p in found["participants"]} == {"managed-1", "managed-2", "managed-3"}
    m.idle_again()


# --- cancel -----------------------------------------------------------------------------

def test_cancel_in_the_middle_and_in_the_queue(msigd, rpcs, proxy):
    go_on, rule = hold("prepare_multisig")
    watched = proxy(rpcs[0], rule)
    m = msigd([watched, *rpcs[1:]])
    under_way, waiting, last = m.open(), m.open(), m.open()
    assert watched.held.wait(LIMIT)
    assert m.api("cancel_escrow", escrow_id=waiting)["reason"] == "cancelled"
    cancelled = threading.Thread(target=m.api, args=("cancel_escrow",), kwargs={"escrow_id": under_way})
    cancelled.start()
    wait_for(lambda: m.get(under_way)["status"] == "being cancelled", "it is being cancelled")
    go_on.set()
    cancelled.join()
    found = m.failed(under_way)
    assert (found["reason"], found["attempt"]) == ("cancelled", 1)
    assert not interruptions(m, under_way) and not m.logged("attempt_interrupted")
    assert not [wallet for _, _, wallet in watched.made("make_multisig") if wallet.startswith(under_way)]
    assert m.ready(last)["attempt"] == 1
