"""What a repair must not do: make a second copy of a wallet that may be open
somewhere, forget the name of a good one, believe a stamp that went elsewhere, or
hold up others."""
import hashlib
import os
import threading

import pytest

from harness import ROLES, ApiError, Store, fake, section
from machine import LIMIT, free_ports, wait_for
from stand_ins import Stood
from test_check import SOME_ID, add_ready, change_store, ready_on_dead
from test_recovery import hold
from test_repair import CLI, NOT_REPAIRED, damage, lose, verified, wallets_of

STOPPING = 8


def in_background(call, *args, **options):
    """What it gives, or its ApiError, once it is over; .thread."""
    told = []

    def run():
        try:
            told.append(call(*args, **options))
        except ApiError as error:
            told.append(error)
    thread = threading.Thread(target=run)
    thread.start()

    def result():
        thread.join(LIMIT)
        assert told, "it is not over"
        return told[0]
    return result


def batch(m, *calls):
    """Calls of which each is begun before the next; what each gives."""
    requests = [{"jsonrpc": "2.0", "id": n, "method": method, "params": params} for n, (method, params) in enumerate(calls)]
    return sorted(m.post(requests), key=lambda answer: answer["id"])


REFRESH = ("get_escrow", {"escrow_id": SOME_ID, "refresh": True})


# --- sessions -------------------------------------------------------------------------

def test_session_that_waits_does_not_hold_up_a_repair_for_ever(msigd, dead):
    m = msigd([dead], start=False).start()
    m.stop()
    add_ready(m)
    m.start()
    m.expect(NOT_REPAIRED)
    refreshed, told = batch(m, REFRESH, ("check", {"repair": True}))
    problems = [p for p in told["result"]["problems"] if p["kind"] == "not_repaired"]
    assert [p["role"] for p in problems] == list(ROLES)
    assert all("is not in the configuration" in p["what"] and "--elsewhere" in p["remedy"] for p in problems)
    assert "closed meanwhile" in refreshed["error"]["message"]


def test_session_waits_while_its_wallets_are_repaired(with_worker, folder):
    fifo = folder / "go-on"
    os.mkfifo(fifo)
    m = with_worker(fake(f"repairs {fifo}"), start=False).start()
    m.stop()
    add_ready(m)
    change_store(m, "UPDATE attempt SET verified_at = 1")
    m.start()
    m.wait_idle(3)
    check = in_background(m.api, "check", repair=True)
    wait_for(lambda: m.logged("worker_started", job="repair"), "the repair")
    refresh = in_background(batch, m, REFRESH, ("set_endpoint", {"name": "w1", "state": "in"}))
    wait_for(lambda: m.logged("request", method="set_endpoint"), "what was begun after it")
    fifo.write_text("go on")
    assert not [p for p in check()["problems"] if p["kind"] == "not_repaired"]
    assert "it only repairs" in refresh()[0]["error"]["message"]
    assert [e["job"] for e in m.logged("worker_started") if e["job"] in ("repair", "session")] == ["repair"] * 3 + ["session"]


def test_stop_of_a_repair_whose_worker_has_no_turn_yet_is_no_failure(with_worker):
    m = with_worker(fake("silent at x"), start=False)
    m.configure([section("w1", "http://127.0.0.1:1"), *[section(f"x{n}", f"http://127.0.0.1:1{n}") for n in range(24)]])
    m.start()
    m.stop()
    add_ready(m)
    change_store(m, "UPDATE participant SET endpoint = 'w1'", "UPDATE attempt SET verified_at = 1")
    m.start()
    m.wait_endpoint("w1", "idle")
    wait_for(lambda: len(m.workers("tend x")) == 4, "nobody else can start")
    check = in_background(m.api, "check", repair=True)
    m.wait_endpoint("w1", "leased")
    assert not m.logged("worker_started", job="repair")
    m.stop()
    assert check().code == STOPPING and not m.logged(NOT_REPAIRED)


# --- endpoints --------------------------------------------------------------------------

def test_endpoint_that_is_not_there_is_waited_for_once(msigd, dead):
    m = ready_on_dead(msigd, dead)
    m.expect(NOT_REPAIRED)
    events = m.events(since=0, escrow=SOME_ID)
    told = m.api("check", repair=True)
    assert len([p for p in told["problems"] if p["kind"] == "not_repaired"]) == 3
    at = [events.wait(type="not_repaired", role=role)["at"] for role in ROLES]
    events.close()
    assert at[2] - at[0] < 5000, "the second and third were not waited for"


# --- on a stand-in: names, stamps, guesses -------------------------------------------------

@pytest.fixture
def three(stand_in):
    side = stand_in()
    return [Stood(side, number) for number in range(3)]


def sections(endpoints, **options):
    return [section(role, one, role=role, **options) for role, one in zip(ROLES, endpoints)]


def ready(m):
    return verified(m, m.ready(m.open())["escrow_id"])


def not_repaired(told):
    problem, = [p for p in told["problems"] if p["kind"] == "not_repaired"]
    return problem


def test_good_wallet_that_did_not_open_once_keeps_its_name(msigd, three):
    m = msigd(sections(three))
    m.expect(NOT_REPAIRED)
    found = ready(m)
    m.stop()
    damage(m, found["escrow_id"], "keys", "vendor")
    m.start()
    m.wait_idle(3)
    cache = three[0].wallets / wallets_of(found)["vendor"]
    good = cache.read_bytes()
    cache.write_bytes(b"torn" * 100)
    assert not_repaired(m.api("check", repair=True))["role"] == "vendor"
    assert wallets_of(m.get(found["escrow_id"])) == wallets_of(found), "nothing came of another name"
    cache.write_bytes(good)
    told = m.api("check", repair=True)
    assert told["ok"] and told["repaired"] == [], told
    assert wallets_of(found)["vendor"] not in {w["wallet"] for w in told["attic"]["wallets"]}


@pytest.mark.parametrize("restored", [False, True])
def test_stamp_that_went_into_another_wallet_is_not_believed(restored, msigd, three, proxy):
    armed = []

    def rule(method, params, nth):
        if armed and method == "set_attribute":
            armed.clear()
            three[0].call("create_wallet", filename="another", password="x", language="English")
    m = msigd(sections([proxy(three[0], rule), *three[1:]]))
    m.expect(NOT_REPAIRED)
    found = ready(m)
    buyer = wallets_of(found)["buyer"]
    if restored:
        lose(three, buyer)
    else:
        (three[0].wallets / buyer).unlink()  # and with it the stamp
    armed.append(True)
    problem = not_repaired(m.api("check", repair=True))
    assert problem["role"] == "buyer" and "did not go into wallet" in problem["what"] and not armed
    told = m.api("check", repair=True)
    assert told["ok"] and wallets_of(m.get(found["escrow_id"])) == wallets_of(found), told


def test_folder_that_is_a_guess_proves_nothing(msigd, three):
    """Its wallet is open in another program: that cannot be seen there."""
    guess = [section(role, one.url, role=role) for role, one in zip(ROLES, three)]
    m = msigd(guess)
    m.expect(NOT_REPAIRED)
    m.wallets.mkdir(mode=0o700)
    found = ready(m)
    m.stop()
    store = Store(m)
    party = store.parties(found["escrow_id"], 1)["buyer"]
    store.close()
    assert party["wallet"] == wallets_of(found)["buyer"]
    # the buyer's is the arbiter's wallet-rpc's now, and msigd knows nothing of it
    m.configure(guess[:2])
    three[2].call("open_wallet", filename=party["wallet"], password=party["password"])
    m.start()
    m.wait_idle(2)
    problem = [p for p in m.api("check", repair=True)["problems"] if p["kind"] == "not_repaired"][0]
    assert problem["role"] == "buyer" and "set wallet-dir of its endpoint" in problem["what"], problem
    assert wallets_of(m.get(found["escrow_id"])) == wallets_of(found)


def test_file_that_says_whose_a_spare_wallet_became_goes_with_it(msigd, three, proxy):
    go_on, rule = hold("make_multisig")
    watched = proxy(three[0], rule)
    m = msigd([watched, *three[1:]], spares="true", **{"trace-keep": "0"})
    wait_for(lambda: len(m.endpoints("primed")) == 3, "spare wallets")
    escrow = m.open()
    assert watched.held.wait(LIMIT)
    wallets = set(wallets_of(m.get(escrow)).values())
    place = three[0].wallets
    assert {p.read_text().strip() for p in place.glob(f"{escrow}-1-*.spare")} == wallets
    other = place / f"{escrow}-1-buyer.spare"
    other.write_text("msigd-another\n")
    told = in_background(m.api, "cancel_escrow", escrow_id=escrow)
    wait_for(lambda: m.get(escrow)["status"] == "being cancelled", "it is being cancelled")
    go_on.set()
    assert told()["reason"] == "cancelled"
    wait_for(lambda: len(m.endpoints("primed")) == 3, "its wallets are closed")
    m.api("reload")
    wait_for(lambda: not wallets & {p.stem for p in place.glob("*.keys")}, "its wallets are removed")
    wait_for(lambda: list(place.glob(f"{escrow}*.spare")) == [other], "and what is said of them")


def test_file_that_a_wallet_rpc_made_in_vain_is_not_in_the_way(msigd, three, proxy, folder):
    """It restored the seed, and the wallet was not the right one; monero-wallet-cli is next, and
    if that beside the program is too old, the one in PATH."""
    def rule(method, params, nth):
        if method != "restore_deterministic_wallet":
            return None
        (three[0].wallets / f"{params['filename']}.keys").write_bytes(b"another's")
        return {"error": {"code": -1, "message": "it is not what it should be"}}
    programs, keys = folder / "bin", folder / "keys"
    programs.mkdir()
    keys.mkdir()
    (programs / "monero-wallet-cli").write_text(CLI.replace("@TOLD@", str(folder / "told")).replace("@KEYS@", str(keys)))
    (programs / "monero-wallet-cli").chmod(0o755)
    old = folder / "old"
    old.mkdir()
    for name, text in {"monero-wallet-cli": "echo invalid multisig seed; exit 1", "monero-wallet-rpc": "exec sleep 1000"}.items():
        (old / name).write_text(f"#!/bin/sh\n{text}\n")
        (old / name).chmod(0o755)
    m = msigd(sections([proxy(three[0], rule), *three[1:]]), managed={"program": old / "monero-wallet-rpc", "count": 1, "port-base": free_ports()},
              wrap=["env", f"PATH={programs}:{os.environ['PATH']}"])
    found = ready(m)
    m.stop()
    store = Store(m)
    party = store.parties(found["escrow_id"], 1)["buyer"]
    store.close()
    damage(m, found["escrow_id"], "keys", "buyer")
    (keys / hashlib.sha256(party["seed"].encode()).hexdigest()).write_bytes(lose(three, party["wallet"])[party["wallet"]])
    m.start()
    m.wait_idle(3)
    told = m.api("check", repair=True)
    assert told["ok"] and [(r["role"], r["from"]) for r in told["repaired"]] == [("buyer", "seed")], told
    assert wallets_of(m.get(found["escrow_id"]))["buyer"] != party["wallet"], "nothing is replaced"


def test_wallets_that_are_not_good_when_they_are_verified_are_repaired(msigd, three):
    m = msigd(sections(three))
    m.expect("escrow_not_verified")
    found = ready(m)
    m.stop()
    change_store(m, "UPDATE attempt SET verified_at = NULL")
    lose(three, wallets_of(found)["vendor"])
    m.start()
    events = m.events(since=0, escrow=found["escrow_id"])
    assert events.wait(type="not_verified")["reason"]
    assert events.wait(type="repaired", role="vendor")["wallet"] == wallets_of(found)["vendor"]
    events.close()
    assert verified(m, found["escrow_id"])["not_verified"] is None
    wait_for(lambda: m.logged("repair_ended"), "its end")
    assert m.api("check")["ok"] and len(m.logged("worker_started", job="repair")) == 3


# --- what lies about -----------------------------------------------------------------------

def test_only_what_msigd_left_is_said_to_be_of_no_use(msigd, folder):
    wallets = folder / "wallets"
    wallets.mkdir(mode=0o700)
    whole, torn, note = f"{SOME_ID}-1-buyer.keys", f"{SOME_ID}-1-vendor.keys", f"{SOME_ID}-1-buyer.spare"
    kinds = {f"{whole}.a1B2c3": "unfinished", f"{whole}.backup": "orphan", f"{whole}.before-i-moved": "foreign",
             f"{whole}.a1_2c3": "foreign", f"{torn}.a1B2c3": "orphan", f".restore-{SOME_ID}-buyer-a1B2c3": "unfinished",
             f"{note}.a1B2c3": "unfinished", f"{note}.before-i-moved": "foreign"}
    for name in [whole, *kinds, "alice.keys", "alice.keys.backup"]:
        (wallets / name).write_bytes(b"another" if name.endswith("backup") else b"x")
    m = msigd([section("w1", "http://127.0.0.1:1", **{"wallet-dir": wallets})])
    files = m.api("check")["leftovers"]["files"]
    assert {f["file"]: f["kind"] for f in files if f["file"] != whole[:-5]} == kinds
    assert not [f for f in files if f["kind"] in ("foreign", "orphan") and "can be removed" in f["what"]]


def test_spare_that_no_escrow_took_is_said_to_be_of_no_use(msigd, folder):
    wallets = folder / "wallets"
    wallets.mkdir(mode=0o700)
    lost, noted = (f"msigd-{SOME_ID[:-1]}{n}" for n in range(2))
    for name in (lost, noted):
        (wallets / f"{name}.keys").write_bytes(b"x")
    note = wallets / f"{SOME_ID}-1-buyer.spare"
    note.write_text(f"{noted}\n")
    m = msigd([section("w1", "http://127.0.0.1:1", **{"wallet-dir": wallets})])

    def removable():
        files = {f["file"]: f for f in m.api("check")["leftovers"]["files"] if f["kind"] in ("spare", "unused")}
        assert set(files) == {lost, noted}
        assert all(("can be removed" if f["kind"] == "unused" else "keep it") in f["what"] for f in files.values())
        return {name for name, f in files.items() if f["kind"] == "unused"}
    assert removable() == {lost}
    note.write_text("")  # whose it is is not known
    assert removable() == set()


def test_more_folders_than_are_looked_at_are_told(msigd, folder):
    folders = [folder / f"f{n}" for n in range(65)]
    for one in folders:
        one.mkdir()
    m = msigd([section(f"w{n}", f"http://127.0.0.1:{n}", **{"wallet-dir": one}) for n, one in enumerate(folders, 1)])
    problem, = m.api("check")["problems"]
    assert problem["kind"] == "folder" and "more than 64" in problem["what"]


def test_numbers_of_the_attic_are_those_of_all(msigd, dead):
    m = msigd([dead])
    m.stop()
    add_ready(m)
    change_store(m, "UPDATE attempt SET verified_at = 1", *[
        "INSERT INTO attic (wallet, escrow_id, attempt, role, endpoint, reason, retired_at)"
        f" VALUES ('{SOME_ID}-1-buyer-{n:08x}', '{SOME_ID}', 1, 'buyer', 'dead', 'planted', 1)" for n in range(1100)])
    m.start()
    attic = m.api("check")["attic"]
    assert (attic["count"], attic["kept"], attic["next"], len(attic["wallets"])) == (1100, 1100, None, 1000)
    assert "1100 never" in m.ctl("check").stdout
