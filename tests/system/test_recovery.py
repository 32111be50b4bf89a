"""Things that die or are disturbed in the middle of an escrow: every escrow ends
Ready, or Failed with a true reason, and nothing is done twice."""
import os
import signal
import threading

from harness import Store, look_at_wallet, section
from machine import LIMIT, alive, descendants, free_ports, wait_for


def hold(method, nth=1):
    """A rule for a proxy that holds one call back, and what lets it go."""
    go_on = threading.Event()
    return go_on, lambda called, params, number: go_on if (called, number) == (method, nth) else None


def attempts(m, escrow):
    """What each attempt but the first began with."""
    return [(e["attempt"], e["cause"], e["reason"]) for e in m.history(escrow) if e["type"] == "attempt"]


# --- somebody else at the same wallet-rpc --------------------------------------------

def test_wallet_put_there_behind_our_back_is_not_touched(msigd, rpcs, proxy):
    watched = proxy(rpcs[0])
    m = msigd([watched, *rpcs[1:]], max_attempts=4)
    other = m.ready(m.open())
    assert m.ctl("backup", m.folder / "copy").returncode == 0
    store = Store(m, m.folder / "copy")
    party = next(p for p in store.parties(other["escrow_id"], 1).values() if p["endpoint"] == "w1")
    store.close()
    m.idle_again()
    calls = len(watched.calls)
    looks = watched.counts["get_attribute"]
    # The proof before prepare, make and the second exchange of three attempts is
    # held back; get_attribute is asked once in create, and before each changing call.
    places = {looks + 2: "prepare_multisig", looks + 2 + 3: "make_multisig", looks + 2 + 3 + 5: "exchange_multisig_keys"}
    gates = {place: threading.Event() for place in places}
    watched.rule = lambda method, params, nth: gates.get(nth) if method == "get_attribute" else None
    escrow, foreign = m.open(), []
    for number, place in enumerate(places):
        wait_for(lambda: watched.counts["get_attribute"] >= place and watched.held.is_set(), f"call {place}")
        watched.held.clear()
        if number == 1:  # one of ours, of another escrow: only its stamp tells
            rpcs[0].call("open_wallet", filename=party["wallet"], password=party["password"])
        else:
            foreign.append(f"foreign-{number}-{escrow}")
            rpcs[0].call("create_wallet", filename=foreign[-1], password="", language="English")
        gates[place].set()
        wait_for(lambda: m.get(escrow)["attempt"] == number + 2, "the next attempt")
    found = m.ready(escrow)
    assert found["attempt"] == 4 and found["address"] != other["address"]
    for _, cause, reason in attempts(m, escrow):
        assert cause == "stamp_mismatch" and "open there" in reason and watched.url in reason
    changed = [(method, wallet) for method, _, wallet in watched.calls[calls:] if method in places.values()]
    ours = [f"{escrow}-{n}-" for n in (1, 2, 3, 4)]
    assert [sum(wallet.startswith(one) for _, wallet in changed) for one in ours] == [0, 1, 3, 4]
    m.stop()
    for name in foreign:
        rpcs[0].call("open_wallet", filename=name, password="")
        assert rpcs[0].call("is_multisig")["multisig"] is False
    assert look_at_wallet(rpcs[0], party)["address"] == other["address"]


# --- answers that do not come ----------------------------------------------------------

def test_lost_answer_is_never_asked_for_again(msigd, rpcs, proxy):
    """In each attempt the answer to another call is lost; in the last but one a
    call was never sent, and that costs nothing of max-attempts."""
    lost = [("create_wallet", 1), ("make_multisig", 1), ("exchange_multisig_keys", 1), ("exchange_multisig_keys", 2), ("store", 2)]
    watched = proxy(rpcs[0])
    counts = {}

    def rule(method, params, nth):
        attempt = len(watched.made("create_wallet"))
        counts[attempt, method] = counts.get((attempt, method), 0) + 1
        if attempt <= len(lost):
            return "swallow" if (method, counts[attempt, method]) == lost[attempt - 1] else None
        if attempt == len(lost) + 1 and method == "get_attribute" and counts[attempt, method] == 2:
            return "leave"  # the proof before prepare_multisig still gets its answer
    watched.rule = rule
    m = msigd([watched, *rpcs[1:]], max_attempts=len(lost) + 1)
    escrow = m.open()
    wait_for(lambda: m.get(escrow)["attempt"] == len(lost) + 2, "the attempts")
    watched.listen()
    m.ready(escrow)
    *unknown, refused = attempts(m, escrow)
    for (method, _), (_, cause, reason) in zip(lost, unknown):
        assert cause == "outcome_unknown" and method in reason and watched.url in reason
    assert refused[1] == "endpoint_down" and "prepare_multisig" in refused[2]
    for method, most in (("create_wallet", 1), ("prepare_multisig", 1), ("make_multisig", 1), ("exchange_multisig_keys", 2)):
        wallets = [wallet for _, _, wallet in watched.made(method)]
        assert all(wallets.count(w) <= most for w in wallets), (method, wallets)
    for number, (method, nth) in enumerate(lost):
        assert counts[number + 1, method] == nth, "nothing was sent again"


def test_max_attempts_is_kept_and_retry_begins_anew(msigd, rpcs, proxy):
    broken = threading.Event()
    broken.set()
    watched = proxy(rpcs[0], lambda method, params, number: "swallow" if method == "prepare_multisig" and broken.is_set() else None)
    m = msigd([watched, *rpcs[1:]], max_attempts=2)
    escrow = m.open()
    found = m.failed(escrow)
    assert found["attempt"] == 2 and "attempt 2 of 2" in found["reason"] and "prepare_multisig" in found["reason"]
    assert found["multisig_state"]["phase"] == "Failed" and found["multisig_state"]["reason"] == found["reason"]
    assert len(watched.made("prepare_multisig")) == 2
    broken.clear()
    assert m.ctl("retry", escrow).returncode == 0
    found = m.ready(escrow)
    assert found["attempt"] == 3 and found["reason"] is None


def test_setup_timeout_ends_an_attempt_and_names_the_call(msigd, rpcs, proxy):
    go_on, rule = hold("create_wallet")
    watched = proxy(rpcs[0], rule)
    m = msigd([watched, *rpcs[1:]], max_attempts=1, setup_timeout="500ms")
    reason = m.failed(m.open())["reason"]
    go_on.set()
    assert "create_wallet" in reason and "time was over" in reason


# --- processes that die -----------------------------------------------------------------

def test_worker_killed_in_the_middle_costs_an_attempt(msigd, rpcs, proxy):
    go_on, rule = hold("make_multisig")
    watched = proxy(rpcs[0], rule)
    m = msigd([watched, *rpcs[1:]])
    m.expect("worker_died")
    escrow = m.open()
    assert watched.held.wait(LIMIT)
    pid, = m.workers(f"setup {escrow}")
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: m.get(escrow)["attempt"] == 2, "the next attempt")
    go_on.set()
    found = m.ready(escrow)
    assert found["attempt"] == 2
    (_, cause, reason), = attempts(m, escrow)
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
    assert found["attempt"] == 2 and "mine" not in [p["endpoint"] for p in found["participants"]]
    (_, cause, reason), = attempts(m, escrow)
    assert cause in ("outcome_unknown", "endpoint_down") and "exchange_multisig_keys" in reason
    assert m.wait_endpoint("mine", "down")["reason"]


def test_killed_or_stopped_msigd_goes_on_where_it_was(msigd):
    m = msigd(managed={"count": 3, "port-base": free_ports(3)})
    first = m.ready(m.open())
    second, third = m.open(), m.open()
    for end in (m.kill, m.stop):
        attempt = m.get(second)["attempt"]
        wait_for(lambda: m.get(second)["phase"] == "Exchanging", "the second is under way")
        left = descendants(m.process.pid)
        assert len(left) >= 4
        end()
        wait_for(lambda: not any(alive(pid) for pid in left), "all that is msigd's ends with it")
        m.start()
        again = m.get(first["escrow_id"])
        assert (again["address"], again["attempt"], again["finalized_at"]) == (first["address"], 1, first["finalized_at"])
        assert m.get(second)["attempt"] == attempt + 1
    found = m.ready(second, third)
    assert len({first["address"], *[e["address"] for e in found]}) == 3
    for _, cause, reason in attempts(m, second):
        assert cause == "interrupted" and "msigd ended" in reason
    m.idle_again()
    assert sorted(m.endpoints("idle")) == ["managed-1", "managed-2", "managed-3"]


def test_managed_wallet_rpc_that_dies_is_started_again(msigd):
    m = msigd(managed={"count": 3, "port-base": free_ports(3)})
    m.expect("managed_died")
    m.wait_idle(3)

    def kill(name):
        os.kill(next(p for p, command in descendants(m.process.pid).items() if f"{name}.conf" in command), signal.SIGKILL)
    kill("managed-2")
    assert "signal 9" in m.wait_endpoint("managed-2", "down")["reason"]
    escrow = m.open()
    wait_for(lambda: m.get(escrow)["phase"] == "Exchanging", "the exchange")
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
    assert watched.made("make_multisig") == []
    assert m.ready(last)["attempt"] == 1
