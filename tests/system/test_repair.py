"""`check --repair`: wallets of ready escrows that are lost come back from the
store; what is in the attic; a store that is older than the wallets."""
import fcntl
import json
import os
import shutil
import threading
from pathlib import Path

import pexpect
import pytest

from harness import ROLES, ApiError, Store, look_at_wallet, section
from machine import LIMIT, free_ports, wait_for
from test_check import SOME_ID, change_store, id_from, ready_on_dead
from test_msigctl import on_terminal
from test_recovery import hold

NOT_REPAIRED = "wallet_not_repaired"


@pytest.fixture
def own(wallet_rpc, folder):
    """Three wallet-rpcs of the test's own, with one folder of wallets."""
    return [one.wait() for one in [wallet_rpc(f"rpc{n}", wallets=folder / "wallets") for n in range(3)]]


def lose(rpcs, *wallets):
    """The files of these, or of all, are gone; returns what was in the .keys."""
    lost = {}
    for path in sorted(rpcs[0].wallets.iterdir()):
        if not wallets or path.name.split(".")[0] in wallets:
            if path.suffix == ".keys":
                lost[path.stem] = path.read_bytes()
            path.unlink()
    return lost


def wallets_of(found):
    return {p["role"]: p["wallet"] for p in found["participants"]}


def assert_good(m, rpcs, found):
    """Opened by us: the address and three different seeds, as in the store, and the stamps."""
    m.stop()
    store = Store(m)
    parties = store.parties(found["escrow_id"], found["attempt"])
    store.close()
    for party in parties.values():
        told = look_at_wallet(rpcs[0], party)
        assert told["address"] == found["address"] and told["ready"] and (told["threshold"], told["total"]) == (2, 3)
        assert told["seed"] == party["seed"] and told["stamp"] == party["stamp"]
    assert len({p["seed"] for p in parties.values()}) == 3


def verified(m, escrow):
    return wait_for(lambda: (e := m.get(escrow))["verified_at"] and e, "its verification")


def damage(m, escrow, column, *roles):
    change_store(m, *[f"UPDATE participant SET {column} = zeroblob(length({column})) WHERE escrow_id = '{escrow}'"
                      f" AND role = '{role}'" for role in roles])


# --- from the sealed .keys -----------------------------------------------------------

def test_wallets_that_are_lost_come_back(msigd, own):
    m = msigd(own)
    escrow = m.open()
    before = verified(m, m.ready(escrow)["escrow_id"])
    lost = lose(own)
    assert len(lost) == 3
    told = m.api("check")
    assert not told["ok"] and [p["kind"] for p in told["problems"]] == ["wallet_missing"] * 3
    assert all("--repair" in p["remedy"] and p["escrow_id"] == escrow for p in told["problems"])
    assert not list(own[0].wallets.iterdir()), "check changes nothing"
    events = m.events(since=0, escrow=escrow)
    told = m.api("check", repair=True)
    assert told["ok"], told["problems"]
    assert [(r["role"], r["from"]) for r in told["repaired"]] == [(r, "keys") for r in ROLES]
    after = m.get(escrow)
    assert wallets_of(after) == wallets_of(before) and after["address"] == before["address"]
    assert after["verified_at"] > before["verified_at"] and after["phase"] == "Ready"
    for role in ROLES:
        assert events.wait(type="repaired", role=role)["wallet"] == wallets_of(before)[role]
    events.close()
    for name, keys in lost.items():
        path = own[0].wallets / f"{name}.keys"
        assert path.read_bytes() == keys and path.stat().st_mode & 0o777 == 0o600

    # a repair of what is good changes nothing
    files = {p.name: p.read_bytes() for p in own[0].wallets.glob("*.keys")}
    again = m.ctl("check", "--repair")
    assert again.returncode == 0 and again.stdout.endswith("all is well\n"), again
    assert {p.name: p.read_bytes() for p in own[0].wallets.glob("*.keys")} == files

    # what is there and does not open is left alone
    buyer, vendor, _ = (wallets_of(before)[r] for r in ROLES)
    torn = own[0].wallets / vendor  # its cache file
    torn.write_bytes(b"torn" * 100)
    (own[0].wallets / f"{buyer}.keys").chmod(0o644)
    told = m.api("check")
    assert [p["kind"] for p in told["problems"]] == ["wallet_permissions"], told["problems"]
    (own[0].wallets / f"{buyer}.keys").chmod(0o600)
    told = m.api("check", repair=True)
    assert told["ok"] and [(r["role"], r["from"]) for r in told["repaired"]] == [("vendor", "keys")]
    assert torn.read_bytes() == b"torn" * 100
    after = m.get(escrow)
    new = wallets_of(after)["vendor"]
    assert new.startswith(f"{escrow}-1-vendor-") and new != vendor
    retired, = told["attic"]["wallets"]
    assert (retired["wallet"], retired["removed_at"], retired["escrow_id"]) == (vendor, None, escrow)
    assert told["attic"]["files"] >= 2 and retired["reason"]
    text = m.ctl("check").stdout
    assert "attic: 1 wallet" in text and "1 never" in text

    # a wallet of another role under its name is not believed, however well it opens
    arbiter = wallets_of(after)["arbiter"]
    m.stop()
    store = Store(m)
    parties = store.parties(escrow, 1)
    store.close()
    lose(own, arbiter)
    shutil.copy(own[0].wallets / f"{buyer}.keys", own[0].wallets / f"{arbiter}.keys")
    own[0].call("open_wallet", filename=arbiter, password=parties["buyer"]["password"])
    own[0].call("change_wallet_password", old_password=parties["buyer"]["password"], new_password=parties["arbiter"]["password"])
    own[0].call("close_wallet")
    (own[0].wallets / arbiter).unlink()
    m.start()
    m.wait_idle(3)
    told = m.api("check", repair=True)
    assert told["ok"] and [r["role"] for r in told["repaired"]] == ["arbiter"], told
    assert_good(m, own, m_get(m, escrow, after))


def m_get(m, escrow, before):
    """The escrow as it is now."""
    found = m.get(escrow)
    assert found["address"] == before["address"]
    return found


def test_kill_9_in_a_repair_does_no_harm(msigd, own, proxy):
    """Once that has begun nobody needs to ask for it again: the next start does."""
    go_on, place = threading.Event(), [None]
    watched = [proxy(one, lambda method, params, nth: go_on if method == place[0] else None) for one in own]
    m = msigd(watched)
    m.expect(NOT_REPAIRED, "escrow_not_verified")
    found = verified(m, m.ready(m.open())["escrow_id"])
    escrow = found["escrow_id"]
    lose(own)

    def killed():
        wait_for(lambda: any(one.held.is_set() for one in watched), "a wallet that is being repaired")
        m.kill()
        place[0] = None
        go_on.set()
    place[0] = "set_attribute"
    child = on_terminal(m, "check", "--repair")
    child.expect(r"\r[0-9.]+ s  check: the first escrow")
    killed()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 3
    for one in watched:
        one.held.clear()
    go_on.clear()
    place[0] = "set_attribute"
    m.start()
    assert m.get(escrow)["verified_at"] is None
    killed()
    m.start()
    wait_for(lambda: m.get(escrow)["verified_at"], "wallets that are good again")
    assert m.api("check", repair=True)["ok"]
    names = {p.stem for p in own[0].wallets.glob("*.keys")}
    assert names == set(wallets_of(m.get(escrow)).values()), "each under its own name, and no more"
    assert_good(m, own, m_get(m, escrow, found))


def test_one_that_is_open_elsewhere_is_told_and_not_made_twice(msigd, own, wallet_rpc):
    m = msigd(own)
    m.expect(NOT_REPAIRED)
    found = verified(m, m.ready(m.open())["escrow_id"])
    m.stop()
    store = Store(m)
    party = store.parties(found["escrow_id"], 1)["buyer"]
    store.close()
    other = wallet_rpc("other", wallets=own[0].wallets).wait()
    other.call("open_wallet", filename=party["wallet"], password=party["password"])
    m.start()
    m.wait_idle(3)
    told = m.api("check", repair=True)
    problem, = told["problems"]
    assert problem["role"] == "buyer" and "open in another program" in problem["what"] and not told["repaired"]
    assert wallets_of(m.get(found["escrow_id"])) == wallets_of(found)
    other.call("close_wallet")
    assert m.api("check", repair=True)["ok"]


def test_an_endpoint_that_is_gone_is_done_without(msigd, own, wallet_rpc):
    """One that is down may have the wallet: that is told, and no other made. One that
    is not in the configuration any more has not, if somebody says so."""
    alone = wallet_rpc("alone").wait()
    m = msigd([section("mine", alone, role="buyer"), *[section(f"before-{n}", one) for n, one in enumerate(own)]])
    m.expect(NOT_REPAIRED)
    m.wait_idle(4)
    found = verified(m, m.ready(m.open())["escrow_id"])
    assert found["participants"][0]["endpoint"] == "mine"
    alone.kill()
    told = m.api("check", repair=True)
    problem, = told["problems"]
    assert problem["role"] == "buyer" and alone.url in problem["what"] and not told["repaired"]
    m.configure(own)  # the others have other names, and the same files
    m.api("reload")
    m.wait_idle(3)
    assert [p["kind"] for p in m.api("check")["problems"]] == ["endpoint_missing"] * 3
    told = m.api("check", repair=True, elsewhere=True)
    assert told["ok"] and [(r["role"], r["from"]) for r in told["repaired"]] == [("buyer", "keys")], told
    after = m.get(found["escrow_id"])
    assert {p["endpoint"] for p in after["participants"]} <= {"w1", "w2", "w3"}
    assert wallets_of(after) == wallets_of(found)
    assert_good(m, own, after)


# --- from the seed ----------------------------------------------------------------------

CLI = """#!/usr/bin/python3
import json, os, sys
options = dict(a.split("=", 1) for a in sys.argv[1:] if "=" in a)
seed, passphrase = sys.stdin.readline().strip(), sys.stdin.readline()
password = open(options["--password-file"]).read()
json.dump({"argv": sys.argv, "environ": dict(os.environ), "seed": seed, "password": password, "passphrase": passphrase,
           "folder": os.stat(os.getcwd()).st_mode & 0o777, "files": os.listdir(os.getcwd())}, open("@TOLD@", "w"))
keys = "@KEYS@/" + __import__("hashlib").sha256(seed.encode()).hexdigest()
if not os.path.exists(keys):
    print("Error: failed to generate new wallet: invalid multisig seed " + seed)
    sys.exit(1)
open(options["--generate-new-wallet"] + ".keys", "wb").write(open(keys, "rb").read())
"""


def test_damaged_keys_and_the_seed_instead(msigd, own, folder, proxy):
    """Debian's programs cannot restore a multisig seed (monero issue 8537), which has
    to be told; newer ones can, wallet-rpc and wallet-cli: played by ours."""
    newer, lost = [], {}

    def rule(method, params, nth):
        if method != "restore_deterministic_wallet" or not newer:
            return None
        assert params["enable_multisig_experimental"] is True
        name = next(n for n in lost if "arbiter" in n)
        path = own[0].wallets / f"{params['filename']}.keys"
        path.write_bytes(lost[name])
        path.chmod(0o600)
        own[2].call("open_wallet", filename=params["filename"], password=params["password"])
        return {"result": {"address": "", "info": "", "seed": "", "was_deprecated": False}}
    m = msigd([*[section(f"w{n}", own[n - 1], role=r) for n, r in ((1, "buyer"), (2, "vendor"))],
               section("w3", proxy(own[2], rule), role="arbiter")])
    m.expect(NOT_REPAIRED)
    found = verified(m, m.ready(m.open())["escrow_id"])
    escrow = found["escrow_id"]
    lost.update(lose(own))
    m.stop()
    damage(m, escrow, "keys", *ROLES)
    store = Store(m)
    parties = store.parties(escrow, 1)
    store.close()

    # with what Debian has: each is told, by name, with the reason
    m.start()
    m.wait_idle(3)
    told = m.api("check")
    assert sorted(p["kind"] for p in told["problems"]) == ["seal"] * 3 + ["wallet_missing"] * 3
    told = m.api("check", repair=True)
    assert told["repaired"] == []
    problems = [p for p in told["problems"] if p["kind"] == "not_repaired"]
    assert [p["role"] for p in problems] == list(ROLES)
    for problem in problems:
        assert "seal does not open" in problem["what"] and "8537" in problem["what"] and "word list" in problem["what"], problem
    assert list(own[0].wallets.iterdir()) == [], "and nothing is left of it"
    said = m.log.read_text() + json.dumps(told)
    assert not any(p[secret] in said for p in parties.values() for secret in ("seed", "password"))

    # with newer ones
    import hashlib  # pylint: disable=import-outside-toplevel
    told_path, programs, keys = folder / "told", folder / "bin", folder / "keys"
    programs.mkdir()
    keys.mkdir()
    for role in ("buyer", "vendor"):
        (keys / hashlib.sha256(parties[role]["seed"].encode()).hexdigest()).write_bytes(lost[parties[role]["wallet"]])
    (programs / "monero-wallet-cli").write_text(CLI.replace("@TOLD@", str(told_path)).replace("@KEYS@", str(keys)))
    (programs / "monero-wallet-cli").chmod(0o755)
    newer.append(True)
    m.stop()
    m.wrap = ["env", f"PATH={programs}:{os.environ['PATH']}"]
    m.start()
    m.wait_idle(3)
    told = m.api("check", repair=True)
    assert [(r["role"], r["from"]) for r in told["repaired"]] == [(r, "seed") for r in ROLES], told
    assert told["ok"], "and the .keys on record are made anew"
    assert [line["what"] for line in m.logged("copies_made_anew", escrow=escrow)] == ["keys"] * 3
    assert 'msigd_copy_seconds_count{kind="read"} 3\n' in m.http("GET", "/metrics")[2].decode()
    ran = json.loads(told_path.read_text())
    assert ran["seed"] == parties["vendor"]["seed"] and ran["password"] == parties["vendor"]["password"]
    assert ran["passphrase"] == "\n" and ran["folder"] == 0o700 and ran["files"] == []
    assert "--offline" in ran["argv"] and "--testnet" in ran["argv"] and set(ran["environ"]) - {"LC_CTYPE"} == {"HOME"}
    for where in (ran["argv"], ran["environ"]):
        assert not any(p[secret] in json.dumps(where) for p in parties.values() for secret in ("seed", "password"))
    assert not [p for p in own[0].wallets.iterdir() if p.name.startswith(".")], "its folder is gone"
    assert_good(m, own, m_get(m, escrow, found))


# --- the attic -----------------------------------------------------------------------------

def test_attic_is_listed_and_cleaned(msigd, own, proxy, wallet_rpc):
    go_on, rule = hold("make_multisig")
    watched = proxy(own[0], rule)
    m = msigd([watched, *own[1:]])
    failed = m.open()
    assert watched.held.wait(LIMIT)
    cancelled = threading.Thread(target=m.api, args=("cancel_escrow",), kwargs={"escrow_id": failed})
    cancelled.start()
    wait_for(lambda: m.get(failed)["status"] == "being cancelled", "it is being cancelled")
    go_on.set()
    cancelled.join()
    m.failed(failed)
    watched.rule = None
    m.idle_again()
    found = m.ready(m.open())
    wallets = set(wallets_of(m.get(failed)).values())
    told = m.api("check")
    attic = told["attic"]
    assert told["ok"] and attic["count"] == 3 and {w["wallet"] for w in attic["wallets"]} == wallets, attic
    week = 7 * 24 * 3600 * 1000
    assert all(w["removed_at"] == w["retired_at"] + week and w["files"] == 3 for w in attic["wallets"])
    assert attic["files"] == 9 and attic["bytes"] > 9000
    text = m.ctl("check").stdout
    assert "attic: 3 wallets" in text and "9 files" in text and "after that (trace-keep)" in text

    # one of them is open somewhere; one of the others is named as an unpublished one is not
    m.stop()
    store = Store(m)
    party = store.parties(failed, 1)["buyer"]
    store.close()
    ready = wallets_of(found)["vendor"]
    change_store(m, "INSERT INTO attic (wallet, escrow_id, attempt, role, reason, retired_at, endpoint)"
                 f" VALUES ('{ready}', '{found['escrow_id']}', 1, 'vendor', 'planted', 1, 'w1')",
                 f"UPDATE attic SET reason = 'it is ready, and so on' WHERE wallet = '{failed}-1-arbiter'")
    other = wallet_rpc("other", wallets=own[0].wallets).wait()
    other.call("open_wallet", filename=party["wallet"], password=party["password"])
    m.keys["trace-keep"] = "0"
    m.configure([watched, *own[1:]])
    m.start()

    def names():
        return {p.stem for p in own[0].wallets.glob("*.keys")}
    wait_for(lambda: f"{failed}-1-vendor" not in names(), "the vendor's wallet is removed")
    wait_for(lambda: m.logged("attic_not_cleaned", wallet=party["wallet"]), "the one that is open is told")
    assert names() == {party["wallet"], f"{failed}-1-arbiter", *wallets_of(found).values()}
    assert not list(own[0].wallets.glob(f"{failed}-1-vendor*"))
    listed = {w["wallet"]: w["removed_at"] for w in m.api("check")["attic"]["wallets"]}
    assert set(listed) == {party["wallet"], f"{failed}-1-arbiter", ready}
    assert listed[ready] is None and listed[f"{failed}-1-arbiter"] is None and listed[party["wallet"]]
    other.call("close_wallet", autosave_current=False)
    m.api("reload")
    wait_for(lambda: party["wallet"] not in names(), "it is removed once it is closed")
    assert names() == {f"{failed}-1-arbiter", *wallets_of(found).values()}


# --- a store that is older than the wallets --------------------------------------------------

def put_back(m, copy):
    for suffix in ("", "-wal", "-shm"):
        Path(f"{m.state}/msigd.db{suffix}").unlink(missing_ok=True)
    shutil.copy(copy, m.state / "msigd.db")


def test_older_store_publishes_the_same_address_or_none(msigd, own, proxy):
    go_on, rule = hold("make_multisig")
    watched = proxy(own[0], rule)
    m = msigd([watched, *own[1:]])
    escrow = id_from("a")
    assert m.ctl("backup", m.folder / "empty.db").returncode == 0
    m.open(escrow_id=escrow)
    assert watched.held.wait(LIMIT)
    assert m.ctl("backup", m.folder / "middle.db").returncode == 0
    go_on.set()
    before = verified(m, m.ready(escrow)["escrow_id"])
    keys = {p.name: p.read_bytes() for p in own[0].wallets.glob("*.keys")}

    # it was under way: the same wallets, from their .keys, have the same address
    m.stop()
    put_back(m, m.folder / "middle.db")
    m.keys["trace-keep"] = "0"
    m.configure([watched, *own[1:]])
    m.start()
    after = m.ready(escrow)
    assert after["address"] == before["address"] and after["attempt"] == 1
    assert m.logged("store_older", escrow=escrow)
    verified(m, escrow)
    m.api("reload")
    told = m.api("check")
    assert told["ok"] and all(w["removed_at"] is None and w["reason"].startswith("it is ready") for w in told["attic"]["wallets"])
    assert {w["wallet"] for w in told["attic"]["wallets"]} == set(wallets_of(before).values())
    assert keys.items() <= {p.name: p.read_bytes() for p in own[0].wallets.glob("*.keys")}.items(), "all that were there are"

    # it was not known: its wallets are told, and opened again it gets no second address
    m.stop()
    put_back(m, m.folder / "empty.db")
    m.start()
    m.wait_idle(3)
    told = m.api("check")
    unknown = {f["file"] for f in told["leftovers"]["files"] if f["kind"] == "unknown"}
    assert told["ok"] and set(wallets_of(before).values()) <= unknown
    assert "another msigd's, or the store is older" in m.ctl("check").stdout
    m.open(escrow_id=escrow)
    found = m.failed(escrow)
    assert found["attempt"] == 1 and "older than the wallets" in found["reason"], found
    told = m.api("check")
    assert {p["kind"] for p in told["problems"]} == {"store_older"} and all(p["escrow_id"] == escrow for p in told["problems"])
    assert keys.items() <= {p.name: p.read_bytes() for p in own[0].wallets.glob("*.keys")}.items()


def into_the_past(m, escrow, copy):
    """Ready in this store; as it was in that copy it is begun or gone on with once more."""
    before = m.ready(escrow)
    m.stop()
    put_back(m, copy)
    m.start()
    return before


def test_older_store_and_a_wallet_that_cannot_be_restored(msigd, stood, proxy):
    """The others show that there is an address: another attempt would get another one."""
    go_on, rule = hold("make_multisig")
    m = msigd([proxy(stood[0], rule), section("w2", stood[1], wallet_dir=""), stood[2]])
    escrow = m.open()
    m.wait_steps(escrow, 2, 2)
    assert m.ctl("backup", m.folder / "middle.db").returncode == 0
    go_on.set()
    into_the_past(m, escrow, m.folder / "middle.db")
    found = m.failed(escrow)
    assert found["attempt"] == 1 and "older than the wallets" in found["reason"] and "cannot be brought back" in found["reason"]


def test_older_store_that_has_begun_nothing_where_no_files_are_read(msigd, stood):
    m = msigd([section(f"w{n}", one, wallet_dir="") for n, one in enumerate(stood)])
    escrow = id_from("c")
    assert m.ctl("backup", m.folder / "empty.db").returncode == 0
    m.open(escrow_id=escrow)
    into_the_past(m, escrow, m.folder / "empty.db")
    m.open(escrow_id=escrow)
    found = m.failed(escrow)
    assert found["attempt"] == 1 and "older than the wallets" in found["reason"], found


def test_older_store_of_between_the_answers_of_a_round(msigd, stood, proxy):
    """Two have done their first exchange, as the store knows; that they are ready it does not."""
    go_on, rule = hold("exchange_multisig_keys")
    m = msigd([proxy(stood[0], rule), *stood[1:]])
    escrow = m.open()
    m.wait_steps(escrow, 3, 2)
    assert m.ctl("backup", m.folder / "middle.db").returncode == 0
    go_on.set()
    before = into_the_past(m, escrow, m.folder / "middle.db")
    after = m.ready(escrow)
    assert after["address"] == before["address"] and after["attempt"] == 1


def test_cancelled_in_an_older_store_its_wallets_are_kept(msigd, own, proxy):
    """They may have been published by the newer one, and hold money."""
    go_on, rule = hold("make_multisig")
    watched = proxy(own[0], rule)
    m = msigd([watched, *own[1:]])
    escrow = m.open()
    assert watched.held.wait(LIMIT)
    assert m.ctl("backup", m.folder / "middle.db").returncode == 0
    go_on.set()
    m.ready(escrow)
    m.stop()
    keys = {p.name: p.read_bytes() for p in own[0].wallets.glob("*.keys")}
    put_back(m, m.folder / "middle.db")
    m.keys["trace-keep"] = "0"
    m.configure([section(f"w{n}", f"http://127.0.0.1:{free_ports()}", **{"wallet-dir": own[0].wallets}) for n in (1, 2, 3)])
    m.start()
    m.api("cancel_escrow", escrow_id=escrow)
    m.failed(escrow)
    m.api("reload")
    for wallet in wallets_of(m.get(escrow)).values():
        wait_for(lambda: m.logged("attic_not_cleaned", wallet=wallet), "it is looked at")  # pylint: disable=cell-var-from-loop
        assert "not those on record" in m.logged("attic_not_cleaned", wallet=wallet)[0]["reason"]
    assert keys == {p.name: p.read_bytes() for p in own[0].wallets.glob("*.keys")}
    wait_for(lambda: [w["removed_at"] for w in m.api("check")["attic"]["wallets"]] == [None] * 3, "they are never removed")


def test_older_store_and_spares(msigd, own):
    m = msigd(own, spares="true")
    wait_for(lambda: len(m.endpoints("primed")) == 3, "spare wallets")
    assert m.ctl("backup", m.folder / "spares.db").returncode == 0
    escrow = id_from("b")
    m.open(escrow_id=escrow)
    found = m.ready(escrow)
    m.stop()
    notes = {p.name: p.read_text().strip() for p in own[0].wallets.glob("*.spare")}
    assert notes == {f"{escrow}-1-{role}.spare": wallet for role, wallet in wallets_of(found).items()}
    keys = {p.name: p.read_bytes() for p in own[0].wallets.glob("msigd-*.keys")}
    put_back(m, m.folder / "spares.db")
    m.start()
    wait_for(lambda: len(m.endpoints("primed")) == 3, "other spare wallets")
    told = m.api("check")["leftovers"]["files"]
    assert set(notes) <= {f["file"] for f in told if f["kind"] == "unknown"}
    assert set(wallets_of(found).values()) <= {f["file"] for f in told if "keep it" in f["what"]}
    m.open(escrow_id=escrow)
    failed = m.failed(escrow)
    assert failed["attempt"] == 1 and "older than the wallets" in failed["reason"], failed
    assert keys.items() <= {p.name: p.read_bytes() for p in own[0].wallets.glob("msigd-*.keys")}.items()


# --- without wallets ------------------------------------------------------------------------

def test_repair_without_anything_to_repair(msigd, dead):
    m = msigd([dead])
    told = m.api("check", repair=True)
    assert told["ok"] and told["repaired"] == [] and told["attic"]["count"] == 0


def test_stop_ends_a_repair_that_waits(msigd, dead):
    m = ready_on_dead(msigd, dead)
    told = []
    thread = threading.Thread(target=lambda: told.append(pytest.raises(ApiError, m.api, "check", repair=True)))
    thread.start()
    wait_for(lambda: m.logged("request", method="check"), "it is under way")
    with pytest.raises(ApiError, match="under way"):
        m.api("check")
    m.stop()
    thread.join(LIMIT)
    assert told[0].value.code == 8


def test_locks_are_told_with_their_holder(msigd, dead):
    m = msigd([dead])
    assert m.api("check")["locks"] == []
    with open(m.locks / f"escrow-{SOME_ID}.lock", "w", encoding="ascii") as f:
        f.write("pid 1, somebody\n")
        f.flush()
        fcntl.flock(f, fcntl.LOCK_EX)
        assert m.api("check")["locks"] == [{"name": f"escrow-{SOME_ID}.lock", "holder": "pid 1, somebody"}]
        assert "is held by pid 1, somebody" in m.ctl("check").stdout
