"""What is opened, closed and repaired while something is struck, and what is struck in it."""
import hashlib
import sqlite3
import threading
import time
from typing import NamedTuple

import laws
from world import ACTS, ESCROW, OTHERS, RealWallets, check
from harness import ApiError, Store  # world.py says where that is

ROLES = laws.ROLES
KILLS = ["kill self", "kill supervisor", "kill workers", "kill wallet", "kill wallets", "kill all"]
STOPS = ["stop self", "stop supervisor", "stop wallets", "ghost"]
SOME = ["kill self", "kill supervisor", "kill wallet", "kill all", "ghost"]
HTTP = [act for act in ACTS if act.startswith("http")]
FEW = ["kill self", "kill all"]
SOME_HTTP = [f"http {kind}" for kind in ("lost_before", "lost", "cut_head", "garbage", "kill", "torn", "late", "401", "500", "error -1")]
AGAIN = 0.3         # s after which an operator does again what had no effect
COLD = {"spares": "false", "session-max": 0}
KEPT = {"spares": "true", "session-max": 4}


class Scenario(NamedTuple):
    flow: object            # returns the escrows that are Ready
    keys: dict
    endpoints: int
    acts: list
    before: list = []       # strikes that come first: (point, nth, act)
    wanted: object = None   # which points are struck; None: all
    later: bool = False     # the flow says when strikes begin
    blind: bool = False     # no file can be read, so that what is lost is made anew by another attempt


# --- flows: what an operator does ---------------------------------------------------------------

def cold(world):
    """From nothing to Ready."""
    world.api("open_escrow", escrow_id=ESCROW)
    return [laws.end_of_escrow(world)]


def kept(world):
    """With spare wallets before, a session after, and the look at the files when that is closed."""
    world.wait(lambda: world.endpoint_states().count("primed") >= 3, "three spare wallets")
    world.api("open_escrow", escrow_id=ESCROW)
    found = laws.end_of_escrow(world)
    for method, params in (("get_escrow", {"refresh": True}), ("close_session", {})):
        try:
            said = world.api(method, escrow_id=ESCROW, **params)
            check(said.get("address", found["address"]) == found["address"], f"the wallets say {said}", "law 2")
        except ApiError:
            pass    # they could not be asked, or it has no session: by what was done to them
    verified(world)
    return [found]


def side_by_side(world):
    """Three at once: two have endpoints, the third gets theirs; spare wallets are made beside them."""
    escrows = [ESCROW, *OTHERS]
    openers = [threading.Thread(target=world.api, args=("open_escrow",), kwargs={"escrow_id": escrow}) for escrow in escrows]
    for opener in openers:
        opener.start()
    for opener in openers:
        opener.join()
    return [laws.end_of_escrow(world, escrow) for escrow in escrows]


def verified(world):
    """Its wallets were opened from disk, and were good; or they are repaired."""
    def is_told():
        world.revive()
        found = world.api("get_escrow", escrow_id=ESCROW)
        return found["verified_at"] or found["not_verified"]
    world.wait(is_told, "the look at its files")
    if not world.api("get_escrow", escrow_id=ESCROW)["verified_at"]:
        repair(world)


def lose(world):
    """The files of all wallets are gone; returns {name: what was in the .keys}."""
    world.old_entries = len(world.wallets.ledger())
    lost = {}
    for path in world.wallets.folder.iterdir():
        if path.suffix == ".keys":
            lost[path.stem] = path.read_bytes()
        path.unlink()
    return lost


def repair(world):
    """As often as it takes: one that is interrupted says so, or says nothing."""
    def good():
        world.revive()
        try:
            return world.api("check", repair=True)["ok"]
        except ApiError:
            return False
    world.wait(good, "a repair that brings back everything")
    found = laws.end_of_escrow(world)
    names = {p.stem for p in world.wallets.folder.glob("*.keys")}
    check({p["wallet"] for p in found["participants"]} <= names, f"there are {names}", "law 5")
    return [found]


def from_keys(world):
    """The folder of wallets is lost; they come back from the .keys in the store."""
    cold(world)
    verified(world)
    lose(world)
    world.begin()
    return repair(world)


CLI = """#!/bin/sh
for a; do case $a in --generate-new-wallet=*) new=${a#*=};; esac; done
read -r seed
exec cp "@KEYS@/$(printf %s "$seed" | sha256sum | cut -c 1-64)" "$new.keys"
"""


def from_seeds(world):
    """The .keys in the store are damaged, too: they come back from the seeds, by what
    plays a monero-wallet-cli that can do it."""
    cold(world)
    verified(world)

    def damage():
        lost, store = lose(world), Store(world.m)
        world.programs.mkdir()
        for party in store.parties(ESCROW, 1).values():
            (world.programs / hashlib.sha256(party["seed"].encode()).hexdigest()).write_bytes(lost[party["wallet"]])
        store.close()
        with sqlite3.connect(world.m.state / "msigd.db") as db:
            db.execute("UPDATE participant SET keys = zeroblob(length(keys))")
        db.close()
        cli = world.programs / "monero-wallet-cli"
        cli.write_text(CLI.replace("@KEYS@", str(world.programs)))
        cli.chmod(0o700)
    world.restart(damage)
    world.begin()
    return repair(world)


def attic(world):
    """Wallets of an escrow that was cancelled go to the attic, and from there."""
    cancelled = OTHERS[0]
    world.wallets.slow("make_multisig", 100)
    world.api("open_escrow", escrow_id=cancelled)
    world.wait(lambda: world.api("get_escrow", escrow_id=cancelled)["phase"] == "Exchanging", "an escrow under way")
    world.api("cancel_escrow", escrow_id=cancelled)
    check(laws.end_of_escrow(world, cancelled)["phase"] == "Failed", "it was cancelled")
    world.wallets.slow("make_multisig", 0)
    check(list(world.wallets.folder.glob(f"{cancelled}*")), "it has left wallets")
    found = cold(world)
    verified(world)
    laws.look_at_rest(world)
    world.begin()

    def is_empty():
        return world.api("check")["attic"]["count"] == 0

    def is_emptied():
        world.api("reload")     # it is looked at soon after that, and seldom else
        end = time.monotonic() + AGAIN
        while not is_empty() and time.monotonic() < end:
            time.sleep(0.01)
        return is_empty()
    world.wait(is_emptied, "an empty attic")
    check(not list(world.wallets.folder.glob(f"{cancelled}*")), "files of what was in the attic are left", "law 5")
    return found


# --- what is struck in them ---------------------------------------------------------------------

def what(point):
    """call, make_multisig and vendor of "call:make_multisig vendor 2"."""
    kind, role, _ = point.split()
    return (*kind.split(":"), "")[:2] + (role,)


def is_call(point):
    return what(point)[0] == "call"


def is_setup_call(point):
    return is_call(point) and what(point)[2] in ROLES


def loses_endpoint(point):
    kind, name, role = what(point)
    return kind == "answer" and role in ROLES and name in laws.CHANGING + ("prepare_multisig", "store", "query_key")


def of_vendor(point):
    """Of one role, and what msigd does."""
    return what(point)[2] == "vendor" or what(point)[0] in ("commit", "committed", "ack", "acked", "granted", "started")


def of_repair(point):
    """Not the look at the files that may come again."""
    return what(point)[2] in ROLES or what(point)[0] in ("commit", "report", "frame", "finish")


def of_trace(point):
    """What is only there, or is written meanwhile: the folding, and one role's way."""
    return what(point)[0] == "trace" or of_vendor(point) and what(point)[0] != "read"


SCENARIOS = {
    "cold": Scenario(cold, COLD, 4, KILLS + STOPS),
    "traced": Scenario(cold, {**COLD, "instrumentation": "true"}, 4, FEW + ["kill supervisor"], [], of_trace),
    "blind": Scenario(cold, COLD, 4, FEW + ["kill supervisor", "kill wallet"], [], of_vendor, blind=True),
    "kept": Scenario(kept, KEPT, 6, KILLS + STOPS),    # of its set-up itself nothing again
    "side": Scenario(side_by_side, {"spares": "true", "session-max": 0}, 7, FEW + ["ghost"], [], of_vendor),
    "edge": Scenario(cold, COLD, 4, HTTP, [], is_setup_call),
    "kept-edge": Scenario(kept, KEPT, 6, SOME_HTTP, [], is_call),
    "gone": Scenario(cold, COLD, 4, ["wallet gone"], [], loses_endpoint),
    "repair": Scenario(from_keys, COLD, 4, KILLS + ["stop self", "ghost"], [], of_repair, True),
    "repair-edge": Scenario(from_keys, COLD, 4, SOME_HTTP, [], lambda point: is_call(point) and what(point)[2] == "vendor", True),
    "seed": Scenario(from_seeds, COLD, 4, SOME, [], of_vendor, True),
    "attic": Scenario(attic, {**COLD, "trace-keep": 0}, 4, SOME, [], None, True),
}


def recovering(role, call, nth_round):
    """A wallet is restored from its .keys, for the answer that it gave was not heard."""
    def wanted(point):
        return what(point)[2] == role or role == "vendor" and what(point)[0] in ("commit", "committed", "ack", "report")
    lost = [(f"answer:{call} {role} {nth_round}", 1, "kill self")]
    one_of_each = (role, nth_round) in (("buyer", 2), ("vendor", 3), ("arbiter", 4))
    SCENARIOS[f"restore-{role}-{nth_round}"] = Scenario(cold, COLD, 4, SOME + ["stop self"] if one_of_each else FEW, lost, wanted)
    if one_of_each:
        SCENARIOS[f"restore-edge-{role}-{nth_round}"] = Scenario(cold, COLD, 4, SOME_HTTP, lost,
                                                                 lambda point: is_call(point) and what(point)[2] == role)


for _role in ROLES:
    for _round, _call in ((2, "make_multisig"), (3, "exchange_multisig_keys"), (4, "exchange_multisig_keys")):
        recovering(_role, _call, _round)


def can_run(name, wallets):
    """Real wallet-rpcs answer as they do, when they do; and Debian's wallet-cli restores no seed."""
    return wallets is not RealWallets or not (set(SCENARIOS[name].acts) & set(HTTP) or name in ("seed", "attic"))
