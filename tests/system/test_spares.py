"""Spare wallets: made while nobody waits, proven when they are taken, thrown
away when they are not what they should be."""
import os
import re
import signal
import threading

import pytest

from harness import ApiError, Store, look_at_wallet, section, unseal
from machine import LIMIT, wait_for
from wallet_rpcs import WalletError, start_wallet_rpcs


@pytest.fixture
def three(folder):
    """Three wallet-rpcs of the test's own, that take their time to make a wallet."""
    made = start_wallet_rpcs(folder / "own", 3, quick=False)
    yield made
    for one in made:
        one.kill()


def all_primed(msigd, count=3):
    wait_for(lambda: len(msigd.endpoints("primed")) >= count, f"{count} primed endpoints", step=0.1)
    return {e["name"]: e["spare"] for e in msigd.api("get_endpoints")}


def metric(msigd, name):
    text = msigd.http("GET", "/metrics")[2].decode()
    return int(re.search(rf"^msigd_{name}(?:_total)? (\d+)$", text, re.M).group(1))


def wallet_files(rpc):
    return {p.name for p in rpc.wallets.glob("*.keys")}


# --- making and using them ---------------------------------------------------------

def test_idle_endpoints_get_a_spare_and_an_escrow_uses_it(msigd, three):
    m = msigd(three, spares="true")
    spares = all_primed(m)
    assert all(re.fullmatch(r"msigd-[0-9a-f-]{36}", s) for s in spares.values()) and len(set(spares.values())) == 3
    before = wallet_files(three[0])
    escrow = m.ready(m.open())
    used = {p["endpoint"]: p["wallet"] for p in escrow["participants"]}
    assert used == spares
    assert metric(m, "spares_used") == 3 and metric(m, "spares_lost") == 0
    assert wallet_files(three[0]) >= before
    m.stop()
    store = Store(m)
    wallets = {role: look_at_wallet(three[0], party) for role, party in store.parties(escrow["escrow_id"], 1).items()}
    store.close()
    assert {w["address"] for w in wallets.values()} == {escrow["address"]}
    for role, wallet in wallets.items():
        assert escrow["escrow_id"] in wallet["stamp"] and role in wallet["stamp"]


def test_a_used_spare_is_nobodys_spare_any_more(msigd, three):
    m = msigd(three, spares="true")
    first_spares = set(all_primed(m).values())
    first = m.ready(m.open())
    second_spares = set(all_primed(m).values())
    assert not first_spares & second_spares
    second = m.ready(m.open())
    assert not {p["wallet"] for p in first["participants"]} & {p["wallet"] for p in second["participants"]}
    assert first["address"] != second["address"]


def test_without_spares_no_wallet_is_made_in_advance(msigd, three):
    m = msigd(three, spares="false")
    m.wait_idle(3)
    m.idle_again()
    assert wallet_files(three[0]) == set() and all(e["spare"] is None for e in m.api("get_endpoints"))
    assert metric(m, "spares_made") == 0
    escrow = m.ready(m.open())
    assert all(p["wallet"] == f'{escrow["escrow_id"]}-1-{p["role"]}' for p in escrow["participants"])


def test_spares_are_switched_on_and_off_by_reload(msigd, three):
    m = msigd(three, spares="false")
    m.wait_idle(3)
    m.keys["spares"] = "true"
    m.configure(three)
    assert "spares" in m.api("reload")["changed"]
    all_primed(m)
    m.keys["spares"] = "false"
    m.configure(three)
    m.api("reload")
    m.ready(m.open())           # what is there is used up
    m.idle_again()
    assert m.endpoints("primed") == [] and metric(m, "spares_made") == 3


def test_who_waits_inherits_the_wallet_that_is_being_made(msigd, three):
    m = msigd(three, spares="true")
    wait_for(lambda: len({line["endpoint"] for line in m.logged("endpoint", state="tending")}) == 3, "all three tended")
    escrow = m.ready(m.open())
    assert all(p["wallet"].startswith("msigd-") for p in escrow["participants"])
    assert metric(m, "spares_used") == 3


def test_while_one_waits_no_new_tending_starts(msigd, three, proxy):
    """Four endpoints; one escrow needs a vendor that is not there yet."""
    sections = [proxy(rpc) for rpc in three]
    m = msigd([section("b", sections[0], role="buyer"), section("a", sections[1], role="arbiter"),
               section("v", sections[2], role="vendor")], spares="false")
    m.wait_idle(3)
    m.api("set_endpoint", name="v", state="out")
    escrow = m.open()
    m.keys["spares"] = "true"
    m.configure([section("b", sections[0], role="buyer"), section("a", sections[1], role="arbiter"),
                 section("v", sections[2], role="vendor")])
    m.api("reload")
    m.api("set_endpoint", name="b", state="out")
    m.api("set_endpoint", name="b", state="in")   # probed, and idle again
    wait_for(lambda: m.endpoint("b")["state"] == "idle" and m.api("get_status")["workers"] == 0, "b idle again")
    assert m.endpoints("tending") == [] and m.endpoints("primed") == []
    m.api("set_endpoint", name="v", state="in")
    m.ready(escrow)
    all_primed(m)               # and once nobody waits, it starts


# --- a spare that is not what it should be -----------------------------------------

def test_a_spare_polluted_behind_our_back_is_thrown_away(msigd, three):
    m = msigd(three, spares="true")
    spares = all_primed(m)
    victim = next(e for e in m.api("get_endpoints") if e["url"] == three[0].url)
    mine = three[0].call("prepare_multisig", enable_multisig_experimental=True)["multisig_info"]
    others = [rpc.call("prepare_multisig", enable_multisig_experimental=True)["multisig_info"] for rpc in three[1:]]
    # past msigd: with the password it could not do it, so the wallet is ruined as by a mix-up of endpoints
    three[0].call("make_multisig", multisig_info=[mine, *others], threshold=2, password="not ours")
    m.expect("spare_polluted")
    escrow = m.ready(m.open())
    used = {p["endpoint"]: p["wallet"] for p in escrow["participants"]}
    assert used[victim["name"]] != spares[victim["name"]]
    assert metric(m, "spares_lost") == 1 and metric(m, "pollutions") == 1 and metric(m, "spares_used") == 2
    lost = [e for e in m.history(escrow["escrow_id"]) if e["type"] == "spare_lost"]
    assert len(lost) == 1 and lost[0]["polluted"] and lost[0]["name"] == victim["name"] and "multisig" in lost[0]["reason"]


def test_a_spare_that_was_closed_is_replaced(msigd, three):
    m = msigd(three, spares="true")
    spares = all_primed(m)
    three[1].call("close_wallet")
    escrow = m.ready(m.open())
    name = next(e["name"] for e in m.api("get_endpoints") if e["url"] == three[1].url)
    used = {p["endpoint"]: p["wallet"] for p in escrow["participants"]}
    assert used[name] == f'{escrow["escrow_id"]}-1-' + next(p["role"] for p in escrow["participants"] if p["endpoint"] == name)
    assert all(used[other] == spares[other] for other in spares if other != name)
    assert escrow["failed_attempts"] == []


def test_another_wallet_in_its_place_is_not_touched(msigd, three):
    m = msigd(three, spares="true")
    all_primed(m)
    three[2].call("create_wallet", filename="foreign", password="p", language="English")
    three[2].call("set_attribute", key="msigd", value="foreign stamp")
    three[2].call("store")
    escrow = m.ready(m.open())
    assert "foreign" not in {p["wallet"] for p in escrow["participants"]}
    m.stop()
    three[2].call("open_wallet", filename="foreign", password="p")
    assert three[2].call("is_multisig")["multisig"] is False
    assert three[2].call("get_attribute", key="msigd")["value"] == "foreign stamp"
    three[2].call("close_wallet")


# --- ends of processes --------------------------------------------------------------

def test_a_spare_is_used_after_a_restart_of_msigd(msigd, three):
    m = msigd(three, spares="true")
    spares = all_primed(m)
    opened = {rpc.port: rpc.call("get_address")["address"] for rpc in three}
    m.stop()
    m.start()
    assert all_primed(m) == spares and metric(m, "spares_made") == 0
    assert {rpc.port: rpc.call("get_address")["address"] for rpc in three} == opened
    escrow = m.ready(m.open())
    assert {p["wallet"] for p in escrow["participants"]} == set(spares.values())


def test_a_spare_is_opened_again_after_a_restart_of_its_wallet_rpc(msigd, three):
    m = msigd(three, spares="true")
    spares = all_primed(m)
    m.stop()
    three[0].stop()
    three[0].spawn()
    three[0].wait()
    m.start()
    assert all_primed(m) == spares and metric(m, "spares_made") == 0


def test_a_tending_worker_that_is_killed_leaves_nothing(msigd, three, proxy):
    made, go_on = [], threading.Event()

    def rule(method, _params, nth):
        if method != "set_attribute" or nth > 1:
            return None
        made.append(nth)
        go_on.wait(LIMIT)
        return "drop"  # or it would come to another wallet
    m = msigd([proxy(rpc, rule) for rpc in three], spares="true")
    m.expect("worker_died")
    wait_for(lambda: len(made) == 3, "a wallet at each")
    for pid in m.workers("tend"):
        os.kill(pid, signal.SIGKILL)
    go_on.set()
    spares = all_primed(m)
    m.ready(m.open())
    m.stop()
    store = Store(m)
    escrows = {r["wallet"] for r in store.rows("SELECT wallet FROM participant")}
    assert store.rows("SELECT wallet FROM spare WHERE wallet IN (SELECT wallet FROM participant)") == []
    store.close()
    assert set(spares.values()) <= escrows


def test_msigd_killed_with_primed_endpoints(msigd, three):
    m = msigd(three, spares="true")
    spares = all_primed(m)
    m.kill()
    m.start()
    assert all_primed(m) == spares
    escrow = m.ready(m.open())
    assert {p["wallet"] for p in escrow["participants"]} == set(spares.values())


def test_msigd_stops_at_once_while_it_tends(msigd, three, proxy):
    """An answer that never comes is not waited for."""
    never = threading.Event()
    held = proxy(three[0], lambda method, params, nth: never if method == "create_wallet" else None)
    m = msigd([held, three[1], three[2]], spares="true")
    try:
        wait_for(held.held.is_set, "a create_wallet without an answer")
        m.stop()
        assert not m.logged("worker_died", job="tend")
    finally:
        never.set()


def test_an_endpoint_that_cannot_be_tended_still_serves_and_is_tried_again(msigd, three, proxy):
    """The answer of its first create_wallet is lost."""
    first = proxy(three[0], lambda method, params, nth: "swallow" if method == "create_wallet" and nth == 1 else None)
    m = msigd([first, three[1], three[2]], spares="true")
    wait_for(lambda: m.logged("tend_failed"), "a tending that fails")
    spares = all_primed(m)
    assert len(m.logged("tend_failed", endpoint="w1")) == 1 and m.endpoint("w1")["failures"] == 1
    lost = first.made("create_wallet")[0][1]["filename"]
    assert spares["w1"] != lost
    m.ready(m.open())


def test_a_spare_that_is_lost_is_told_though_no_new_one_can_be_made(msigd, three, proxy):
    """Its file is gone, and then wallet-rpc makes no other."""
    broken = []
    first = proxy(three[0], lambda method, params, nth: {"error": {"code": -1, "message": "no space left"}}
                  if broken and method == "create_wallet" else None)
    m = msigd([first, three[1], three[2]], spares="true")
    lost = all_primed(m)["w1"]
    m.stop()
    broken.append(True)
    three[0].call("close_wallet")
    (three[0].wallets / f"{lost}.keys").unlink()
    m.start()
    wait_for(lambda: len(m.logged("tend_failed", endpoint="w1")) >= 2, "a new one that fails twice")
    told, = m.logged("spare_lost", endpoint="w1")   # once
    event = (events := m.events(since=0)).wait(type="spare_lost", name="w1")
    events.close()
    assert "open wallet" in told["reason"]
    assert (event["reason"], event["polluted"], metric(m, "spares_lost")) == (told["reason"], False, 1)
    broken.clear()
    assert all_primed(m)["w1"] != lost and metric(m, "spares_lost") == 1
    m.ready(m.open())


# --- secrets -------------------------------------------------------------------------

def test_a_spares_password_is_sealed_and_opens_it(msigd, three):
    m = msigd(three, spares="true")
    all_primed(m)
    m.stop()
    store = Store(m)
    rows = store.rows("SELECT * FROM spare")
    assert len(rows) == 3
    for row in rows:
        password = unseal(store.key, row["spare_id"], 0, "any", 0, "password", row["password"]).decode()
        rpc = next(r for r in three if r.port == int(re.search(r"\d+$", _url(m, row["endpoint"])).group(0)))
        with pytest.raises(WalletError):
            rpc.call("open_wallet", filename=row["wallet"], password="x" * 64)
        rpc.call("open_wallet", filename=row["wallet"], password=password)
        assert rpc.call("get_address")["address"] == row["address"]
        rpc.call("close_wallet")
        assert not any(password in text for text in [m.log.read_text()])  # any(): what an assertion compares is printed
    store.close()


def _url(msigd, endpoint):
    text = msigd.conf.read_text()
    return re.search(rf'endpoint "{endpoint}" {{[^}}]*url = "([^"]+)"', text).group(1)


def test_an_endpoint_taken_out_while_it_is_tended_goes_out_afterwards(msigd, three, proxy):
    go_on = threading.Event()
    watched = proxy(three[0], lambda method, params, nth: go_on if (method, nth) == ("create_wallet", 1) else None)
    m = msigd([watched, *three[1:]], spares="true")
    assert watched.held.wait(LIMIT)
    assert m.endpoint("w1")["state"] == "tending"
    m.api("set_endpoint", name="w1", state="out")
    go_on.set()
    m.wait_endpoint("w1", "out")
    m.api("set_endpoint", name="w1", state="in")
    m.wait_endpoint("w1", "primed")
    with pytest.raises(ApiError):
        m.api("set_endpoint", name="nobody", state="in")
