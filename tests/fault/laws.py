"""The seven laws of DESIGN.md, looked at when everything has come to rest: in the
processes, the locks, the files, what the stand-in was asked to do, and the store."""
import hashlib
import json
import os
import shutil
from collections import Counter

from world import ESCROW, OTHERS, Broken, check
from harness import ApiError, Store  # world.py says where that is

# Those of them that the mistakes of a build break (matrix.py, MISTAKES).
WRITTEN_FIRST = "law 5, written down before it is done"
ONCE = "law 5, no call of unknown outcome again"
NEVER_OVER = "law 5, no file written over"

ROLES = ("buyer", "vendor", "arbiter")
BUSY = {"leased", "dirty", "probing", "tending"}
NO_WALLET = -13     # the wallet-rpc was restarted, and nothing is open
CHANGING = ("create_wallet", "make_multisig", "exchange_multisig_keys")
MOST = {"create_wallet": 1, "make_multisig": 1, "exchange_multisig_keys": 2}   # on one wallet, in one escrow
CONFLICT, INVALID_PARAMS, NO_SUCH_METHOD, PARSE_ERROR, NO_SUCH_ESCROW = 3, -32602, -32601, -32700, 1


def look_at_all(world, ready):
    """When nothing is struck any more. ready: get_escrow's answers for the escrows
    that are Ready. Ends msigd."""
    look_at_rest(world)
    for found in ready:
        look_at_history(world, found)
    look_at_bad_input(world, ready)
    entries = world.wallets.ledger()
    look_at_ledger(entries[world.old_entries:])
    world.stop()
    store = Store(world.m)
    try:
        look_at_others(store, entries)
        look_at_traces(world, ready)
        look_at_secrets(world, store, ready)
        for found in ready:
            look_at_wallets(world, store, found)
    finally:
        store.close()
    world.look()


def end_of_escrow(world, escrow=ESCROW):
    """It is Ready, or Failed with a reason."""
    found = world.wait(lambda: (e := world.api("get_escrow", escrow_id=escrow))["phase"] in ("Ready", "Failed") and e,
                       "the end of the escrow")
    check(found["phase"] == "Ready" or found["reason"], f"Failed without a reason: {found}", "law 5")
    return found


def look_at_rest(world):
    """Law 5: no endpoint stays leased, no lock held; law 1: nobody works for an escrow that is done."""
    out = {f"w{n}" for n, port in enumerate(world.wallets.ports()) if port in world.hurt}

    def at_rest():
        states = {e["name"]: e["state"] for e in world.api("get_endpoints")}
        return not BUSY & {s for name, s in states.items() if name not in out} and world.api("get_status")["workers"] == 0
    # all of it at one time: a verification may begin at any
    world.wait(lambda: at_rest() and not world.m.busy_locks(), "every endpoint given back, and every lock")
    check(world.referee.two_workers is None, world.referee.two_workers, "law 1")


def look_at_history(world, found):
    """Law 2: one publication, and the address stays."""
    events = world.m.history(found["escrow_id"])
    published = [e for e in events if e["type"] == "phase" and e.get("phase") == "Ready"]
    check(len(published) == 1 and published[0]["address"] == found["address"], f"published {published}", "law 2")
    again = world.api("get_escrow", escrow_id=found["escrow_id"])
    check(again["address"] == found["address"], f"{found['address']} became {again['address']}", "law 2")


def look_at_bad_input(world, ready):
    """Law 7: it gets its error, and changes nothing."""
    def all_of_it():
        escrows = [world.api("get_escrow", escrow_id=found["escrow_id"]) for found in ready]
        return [{k: e[k] for k in e if "verified" not in k and k != "status"} for e in escrows], len(world.api("list_escrows", limit=100)["escrows"])
    before, escrow = all_of_it(), ready[0]["escrow_id"]
    bad = [("open_escrow", {"escrow_id": escrow, "label": "another"}, CONFLICT),
           ("open_escrow", {"escrow_id": "no-uuid"}, INVALID_PARAMS),
           ("open_escrow", {"escrow_id": OTHERS[-1], "labl": "no such option"}, INVALID_PARAMS),
           ("submit_message", {"escrow_id": escrow, "role": "buyer", "message": "garbage"}, None),
           ("get_escrow", {"escrow_id": "01890a5d-ac96-774b-bcce-000000000000"}, NO_SUCH_ESCROW),
           ("steal_escrow", {}, NO_SUCH_METHOD)]
    for method, params, code in bad:
        try:
            said = world.api(method, **params)
        except ApiError as error:
            check(code in (None, error.code) and str(error), f"{method} {params}: {error.code}: {error}", "law 7")
        else:
            check(False, f"{method} {params} was answered: {said}", "law 7")
    said = world.m.post(b"\x00{garbage")
    check(said["error"]["code"] == PARSE_ERROR, f"garbage was answered: {said}", "law 7")
    check(all_of_it() == before, f"bad input changed {before} to {all_of_it()}", "law 7")


def shown(entry):
    """A line of the ledger, without what may be no secret in a test but looks like one."""
    return {key: value for key, value in entry.items() if key not in ("password", "messages")}


def look_at_ledger(entries):
    """Never a call of unknown outcome again on its wallet; never over a file that a wallet-rpc may have open."""
    done, keys = Counter(), {}
    for entry in entries:
        call, wallet = entry["call"], entry["wallet"]
        if call in CHANGING and entry["error"] != NO_WALLET:
            check(entry["error"] == 0, f"{call} on a wallet that had it before: {shown(entry)}", ONCE)
            done[wallet, call] += 1
            check(done[wallet, call] <= MOST[call], f"{call} more often than it can be: {shown(entry)}", ONCE)
        if entry["error"] == 0:
            check(wallet not in keys or call != "open_wallet" or keys[wallet] == entry["keys"],
                  f"the .keys of {wallet} were replaced from outside: {shown(entry)}", NEVER_OVER)
            keys[wallet] = entry["keys"]


def look_at_promises(world):
    """At its death: whatever was done to a wallet, the store had the intent of it before."""
    world.wait(lambda: not world.workers(), "the workers of a dead msigd end")
    entries = world.wallets.ledger()
    store = Store(world.m, copied(world))
    known = {row["wallet"]: row for row in store.rows("SELECT * FROM participant WHERE wallet IS NOT NULL")}
    others = {row["wallet"] for table in ("attic", "spare") for row in store.rows(f"SELECT wallet FROM {table}")}
    intents = Counter((row["escrow_id"], row["attempt"], row["role"], row["call"]) for row in store.rows("SELECT * FROM step"))
    store.close()
    done = Counter((e["wallet"], e["call"]) for e in entries if e["call"] in CHANGING and e["error"] == 0 and is_ours(e))
    for (wallet, call), times in done.items():
        row = known.get(wallet)
        check(row is not None or wallet in others, f"nobody wrote down wallet {wallet} before its {call}", WRITTEN_FIRST)
        if row is not None and row["attempt"] and wallet not in others:
            place = (row["escrow_id"], row["attempt"], row["role"], call)
            check(intents[place] >= times, f"{call} was made {times} times on {wallet}, with {intents[place]} intents in the store",
                  WRITTEN_FIRST)


def is_ours(entry):
    """A spare wallet is created before there is an escrow."""
    return entry["call"] != "create_wallet" or entry["wallet"].startswith((ESCROW, *OTHERS))


def copied(world):
    """The files of the store of an msigd that is dead."""
    path = world.folder / "store-at-death.db"
    for suffix in ("", "-wal"):
        target = path.with_name(path.name + suffix)
        target.unlink(missing_ok=True)
        source = world.m.state / f"msigd.db{suffix}"
        if source.exists():
            shutil.copy(source, target)
    return path


# --- when msigd has ended ---------------------------------------------------------------------

def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def owners(things):
    """{thing: escrow}, of (thing, escrow) pairs; law 4: each has one."""
    found = {}
    for thing, escrow in things:
        check(found.setdefault(thing, escrow) == escrow, f"{thing} is one of {found.get(thing)} and of {escrow}", "law 4")
    return found


def look_at_others(store, entries):
    """Law 4: what is one escrow's is no other's; and what the wallet-rpcs were given belongs to the wallet that was open."""
    parties = [(row["escrow_id"], party) for row in store.rows("SELECT DISTINCT escrow_id, attempt FROM participant")
               for party in store.parties(row["escrow_id"], row["attempt"]).values()]
    passwords = owners((digest(p["password"]), escrow) for escrow, p in parties if p["password"])
    owners((digest(p["seed"]), escrow) for escrow, p in parties if p["seed"])
    messages = owners((row["sha256"], row["escrow_id"]) for row in store.rows("SELECT sha256, escrow_id FROM message"))
    wallets = owners([(p["wallet"], escrow) for escrow, p in parties if p["wallet"]]
                     + [(row["wallet"], row["escrow_id"]) for row in store.rows("SELECT wallet, escrow_id FROM attic")])
    for entry in entries:
        if entry["error"] == NO_WALLET:
            continue
        escrow = wallets.get(entry["wallet"])
        given = [passwords[entry["password"]]] if entry["password"] in passwords else []
        given += [messages.get(message) for message in entry["messages"]]
        check(all(each == escrow for each in given), f"a wallet of {escrow} was given what is one of {given}: {shown(entry)}", "law 4")


def look_at_wallets(world, store, found):
    """Each opens from disk with the password in the store, and is what it should be: laws 3, 4, 5."""
    parties = store.parties(found["escrow_id"], found["attempt"])
    check(len({p["seed"] for p in parties.values()}) == 3, "three different seeds", "law 4")
    for role in ROLES:
        party = parties[role]
        world.wallets.call("open_wallet", filename=party["wallet"], password=party["password"])
        address = world.wallets.call("get_address", account_index=0)["address"]
        check(address == found["address"], f"{role}: its address is {address}", "law 5")
        state = world.wallets.call("is_multisig")
        check((state["ready"], state["threshold"], state["total"]) == (True, 2, 3), f"{role}: {state}", "law 5")
        stamp = json.loads(world.wallets.call("get_attribute", key="msigd")["value"])
        check(stamp["role"] == role and stamp["escrow_id"] == found["escrow_id"], f"{role}: its stamp is {stamp}", "law 3")
        world.wallets.call("close_wallet", autosave_current=False)


def look_at_traces(world, ready):
    """Each escrow has one if it should, and they can be read: of a .jsonl all lines that
    are complete. Whether something secret is in them: look_at_secrets()."""
    folder = world.m.state / "traces"
    if world.m.keys.get("instrumentation") != "true":
        check(not folder.exists(), f"there are traces, and nobody wanted them: {folder}", "law 6")
        return
    for found in ready:
        check(list(folder.glob(f"escrow_{found['escrow_id']}.json*")), f"{found['escrow_id']} has no trace", "law 6")
    for path in folder.iterdir():
        try:
            trace_events(path)
        except (ValueError, KeyError) as error:
            raise Broken(f"{path} cannot be read: {error}", "law 6") from error


def trace_events(path):
    """Those of a .jsonl or a .json, or of what a SIGKILL left of writing one: none."""
    if path.name.startswith("."):
        return []
    text = path.read_bytes()
    if path.suffix == ".json":
        events = json.loads(text)["events"]
    else:
        events = [json.loads(line) for line in text.split(b"\n")[:-1]][1:]
    numbers = [event["seq"] for event in events]
    if not events or numbers != list(range(1, len(events) + 1)):
        raise ValueError(f"the events in it are {numbers}")
    return events


def look_at_secrets(world, store, ready):
    """Law 6: nothing sealed is readable in log, store, traces, arguments, environment, or a file for others."""
    secrets = store.secrets() + [store.key.read_bytes()]
    seen = world.m.log.read_bytes() + b"".join(
        p.read_bytes() for pattern in ("msigd.db*", "traces/*") for p in world.m.state.glob(pattern))
    for where, text in (("the log, the store or a trace", seen), ("arguments or environment", world.seen)):
        check(not any(secret in text for secret in secrets), f"a secret is in {where}", "law 6")
    check(all(found["address"].encode() in seen for found in ready), "it looked at the right files", "law 6")
    check(not world.seen or b"sbin/msigd" in world.seen, "it looked at the right processes", "law 6")
    for path in files_of(world):
        others_may = path.stat().st_mode & 0o077
        check(not others_may or path.suffix not in (".keys", ".db", "") or path.parent == world.m.run,
              f"{path.relative_to(world.folder)} has the mode {path.stat().st_mode:o}", "law 6")
        if others_may & 0o004 and path.is_file():
            check(not any(secret in path.read_bytes() for secret in secrets), f"a secret is in {path}, for all to read", "law 6")


def files_of(world):
    """All that msigd and its workers have written, and the wallets."""
    for folder in (world.m.state, world.m.run, world.m.locks, world.wallets.folder):
        for place, _, names in os.walk(folder):
            yield from (folder / place / name for name in names)
