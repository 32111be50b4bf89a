"""Who is served when, on which endpoints; and that nobody is woken for nothing."""
import os
import re
import threading
import time
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest

from harness import ApiError, section
from machine import wait_for
from stand_ins import Stood
from wallet_rpcs import start_wallet_rpcs


@pytest.fixture(scope="module")
def six(root):
    made = start_wallet_rpcs(root / "sched", 6)
    yield made
    for one in made:
        one.kill()


if "MSIGD_FULL" in os.environ:
    @pytest.fixture
    def busy(six):
        return six
else:
    @pytest.fixture
    def busy(stand_in):
        """Six that take a while: twenty escrows on real ones are for make check-full."""
        sides = [stand_in("--delay", "changing=100") for _ in range(2)]
        return [Stood(side, number) for side in sides for number in range(3)]


def at(line):
    """When it was logged, in milliseconds since the epoch."""
    return round(datetime.fromisoformat(line["time"].replace("Z", "+00:00")).timestamp() * 1000)


def test_a_queue_of_twenty_on_six_endpoints_is_served_in_order(msigd, busy):
    m = msigd(busy, spares="true", session_max=10)
    replies = m.post([{"jsonrpc": "2.0", "id": n, "method": "open_escrow", "params": {"label": str(n)}} for n in range(20)])
    ids = [reply["result"]["escrow_id"] for reply in replies]
    found = m.ready(*ids)
    assert len({e["address"] for e in found}) == 20
    started = [e["started_at"] for e in found]
    assert len([s for s in started if s > found[-1]["created_at"]]) >= 14
    assert started == sorted(started)
    served = Counter(p["endpoint"] for e in found for p in e["participants"])
    assert set(served) == {f"w{n}" for n in range(1, 7)} and max(served.values()) <= 2 * min(served.values()), served
    assert m.api("get_status")["queue"]["length"] == 0
    # while one waited no endpoint was given a spare, and no session was kept
    first, last = max(e["created_at"] for e in found), started[-1]
    wait_for(lambda: any(at(line) > last for line in m.logged("endpoint", state="tending")), "a spare once nobody waits")
    assert [line for line in m.logged("endpoint", state="tending") if first < at(line) < last] == []
    assert [line for event in ("session_closing", "session_ended") for line in m.logged(event) if at(line) < last] == []
    assert all(s["since"] >= last for s in m.api("get_sessions"))
    kept = int(re.search(r"^msigd_sessions_kept_total (\d+)$", m.http("GET", "/metrics")[2].decode(), re.M).group(1))
    assert kept <= len([e for e in found if e["finalized_at"] >= last])


def test_roles_that_are_spread_unevenly(msigd, six):
    roles = ["buyer", "vendor", "vendor", "any", "any", "arbiter"]
    m = msigd([section(f"e{n}", rpc, role=role) for n, (rpc, role) in enumerate(zip(six, roles))])
    m.wait_idle(6)
    ids = [m.open() for _ in range(4)]
    found = m.ready(*ids)
    serves = {f"e{n}": role for n, role in enumerate(roles)}
    for escrow in found:
        for party in escrow["participants"]:
            assert serves[party["endpoint"]] in (party["role"], "any")
    started = [e["started_at"] for e in found]
    assert started == sorted(started)
    # what two can be served with at a time was used by two at a time
    spans = [(e["started_at"], e["finalized_at"]) for e in found]
    assert any(a[0] < b[1] and b[0] < a[1] for i, a in enumerate(spans) for b in spans[:i])


def test_one_that_cannot_be_served_holds_nobody_up_who_can(msigd, six):
    """The wallets of the first can only be opened where they are, and those endpoints are out."""
    m = msigd([section(f"w{n}", rpc, wallet_dir="") for n, rpc in enumerate(six)], session_max=10)
    m.wait_idle(6)
    first = m.ready(m.open())
    m.api("close_session", escrow_id=first["escrow_id"])
    homes = [p["endpoint"] for p in first["participants"]]
    for name in homes:
        m.api("set_endpoint", name=name, state="out")
    told = []

    def ask():
        try:
            told.append(m.api("get_escrow", escrow_id=first["escrow_id"], refresh=True))
        except ApiError:
            pass    # on a busy machine its patience may be over before the other is ready
    asking = threading.Thread(target=ask)
    asking.start()
    try:
        other = m.ready(m.open())
        assert not told and not {p["endpoint"] for p in other["participants"]} & set(homes)
        started = next(e for e in m.history(other["escrow_id"]) if e.get("phase") == "Preparing")
        assert started["at"] - other["created_at"] < 4000   # who holds it up would do so for five seconds
    finally:
        for name in homes:
            m.api("set_endpoint", name=name, state="in")
        asking.join()
    ask()
    assert len(told[-1]["wallets"]) == 3


def test_endpoints_take_turns(msigd, six):
    m = msigd(six)
    m.wait_idle(6)
    for _ in range(4):
        m.ready(m.open())
        m.idle_again()
    assert {e["leases"] for e in m.api("get_endpoints")} <= {2, 3}


def test_an_idle_msigd_is_not_woken(msigd, six):
    m = msigd(six, spares="true", session_max=10)
    m.ready(m.open())
    wait_for(lambda: len(m.endpoints("primed")) == 3 and m.api("get_status")["workers"] == 1, "a session, and three primed")

    def switches():
        text = Path(f"/proc/{m.process.pid}/status").read_text()
        return [line for line in text.splitlines() if "voluntary_ctxt_switches" in line]
    wait_for(lambda: (a := switches(), time.sleep(1), a == switches())[2], "the last of what was under way")
    before = switches()
    time.sleep(10)      # what is looked for is that nothing happens
    assert switches() == before
