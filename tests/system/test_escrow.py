"""Escrows on real wallets: what comes out is one address, and three wallets that agree on it."""
import os
import re
import shutil
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from harness import CALLS, ROLES, STAGE_SANITIZED, Store, look_at_wallet, section, unseal
from machine import LIMIT, descendants, free_ports, together, wait_for
from wallet_rpcs import make_certificate

SOME_ID = "123e4567-e89b-42d3-a456-426614174000"


def wallets_are_what_the_store_says(msigd, escrow, rpcs):
    """Opens the three wallets with the passwords of the store: the address, three
    different seeds and the stamps are those that were written down."""
    store = Store(msigd)
    parties = store.parties(escrow["escrow_id"], escrow["attempt"])
    looks = together(*[lambda i=i, role=role: look_at_wallet(rpcs[i], parties[role]) for i, role in enumerate(ROLES)])
    for role, look in zip(ROLES, looks):
        assert look["address"] == escrow["address"], role
        assert (look["multisig"], look["ready"], look["threshold"], look["total"]) == (True, True, 2, 3)
        assert look["seed"] == parties[role]["seed"] and look["stamp"] == parties[role]["stamp"]
    assert len({look["seed"] for look in looks}) == 3 and len({p["password"] for p in parties.values()}) == 3
    store.close()


def test_one_escrow(msigd, rpcs):
    m = msigd(rpcs)
    escrow = m.open(label="the first", metadata={"order": "17"})
    found = m.ready(escrow)
    assert found["address"][0] in "9A" and found["network"] == "testnet"  # testnet's first character
    assert (found["attempt"], found["label"], found["metadata"], found["reason"]) == (1, "the first", {"order": "17"}, None)
    assert [p["role"] for p in found["participants"]] == list(ROLES)
    assert all(p["completed"] == CALLS for p in found["participants"])
    assert len({p["endpoint"] for p in found["participants"]}) == 3 and len({p["wallet"] for p in found["participants"]}) == 3
    assert found["multisig_state"] == {"version": 1, "phase": "Ready", "address": found["address"], "finalized_at": found["finalized_at"]}
    assert found["created_at"] <= found["finalized_at"] and found["elapsed_ms"] == found["finalized_at"] - found["created_at"]
    wait_for(lambda: m.endpoints("idle") == ["w1", "w2", "w3"], "every endpoint given back")
    phases = [(e["phase"], e.get("round")) for e in m.history(escrow) if e["type"] == "phase"]
    assert phases == [("Preparing", None), ("Exchanging", 2), ("Exchanging", 3), ("Exchanging", 4), ("Ready", None)]
    # once nothing else is under way, its wallets are opened from disk
    assert found["verified_at"] is None or found["verified_at"] > found["finalized_at"]
    assert wait_for(lambda: m.get(escrow)["verified_at"], "its verification") >= found["finalized_at"]
    assert "good" in m.get(escrow)["status"]
    m.stop()
    wallets_are_what_the_store_says(m, found, rpcs)


def test_every_wallet_gets_all_three_messages_and_is_proven_before(msigd, rpcs, proxy):
    go_on = threading.Event()
    proxies = [proxy(rpc) for rpc in rpcs]
    proxies[2].rule = lambda method, params, nth: go_on if method == "exchange_multisig_keys" and nth == 1 else None
    m = msigd(proxies)
    escrow = m.open()
    assert proxies[2].held.wait(LIMIT)
    # of messages, only length and hash are shown
    state = wait_for(lambda: (s := m.get(escrow)["multisig_state"]) and len(s.get("infos", {})) == 2 and s, "two messages")
    assert (state["version"], state["phase"], state["round"]) == (1, "Exchanging", 3)
    for info in state["infos"].values():
        assert info["length"] > 100 and re.fullmatch("[0-9a-f]{64}", info["sha256"])
    go_on.set()
    m.ready(escrow)
    m.idle_again()
    for method, count in (("make_multisig", 1), ("exchange_multisig_keys", 2)):
        for nth in range(count):
            given = [p.made(method)[nth][1]["multisig_info"] for p in proxies]
            assert given[0] == given[1] == given[2] == sorted(set(given[0])) and len(given[0]) == 3
    for p in proxies:
        methods = [call[0] for call in p.calls]
        if "open_wallet" in methods:  # it is being verified
            methods = methods[:methods.index("open_wallet")]
        for place, method in enumerate(methods):
            # law 3: the wallet is proven directly before each call that changes it, and what it says is stored
            if method in ("prepare_multisig", "make_multisig", "exchange_multisig_keys"):
                assert methods[place - 1] == "get_attribute"
            if method in ("make_multisig", "exchange_multisig_keys"):
                assert "store" in methods[place:place + 3]
        assert methods[-1] == "close_wallet"


def test_three_at_once_on_nine_endpoints(msigd, folder):
    m = msigd(managed={"count": 9, "port-base": free_ports(9)}, metrics_file=folder / "msigd.prom")
    m.wait_idle(9)
    found = m.ready(*[m.open() for _ in range(3)])
    assert len({e["address"] for e in found}) == 3
    assert len({p["endpoint"] for e in found for p in e["participants"]}) == 9
    spans = [(e["started_at"], e["finalized_at"]) for e in found]
    assert max(s for s, _ in spans) < min(f for _, f in spans), "they ran at the same time"
    nothing_secret_is_seen(m)


def what_others_see_of(pid):
    """Arguments and environment of a process; None when it has ended."""
    try:
        return b"".join(Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ"))
    except (FileNotFoundError, ProcessLookupError):
        return None


def nothing_secret_is_seen(m):
    """Passwords, seeds, messages, keys and logins: not in arguments, environments, the log, the metrics, or what
    others may read."""
    logins = [re.search(r"rpc-login=msigd:(\S+)", p.read_text()).group(1) for p in m.run.glob("managed-*.conf")]
    assert len(logins) == 9
    words = [what_others_see_of(pid) for pid in [m.process.pid, *descendants(m.process.pid)]]
    seen = b"".join(filter(None, words))
    assert len(list(filter(None, words))) >= 1 + 9, "msigd and its wallet-rpcs; a worker may end meanwhile"
    for accept in ("*/*", "text/plain"):
        seen += m.http("GET", "/metrics", headers={"Accept": accept})[2]
    m.stop()
    seen += Path(m.keys["metrics-file"]).read_bytes()
    store = Store(m)
    keys = [unseal(store.key, r["escrow_id"], r["attempt"], r["role"], r["keys_round"], "keys", r["keys"])
            for r in store.rows("SELECT * FROM participant WHERE keys IS NOT NULL")]
    assert len(keys) == 9
    secrets = [s.encode() for s in logins] + store.secrets()
    store.close()
    assert len(secrets) == 9 + 9 + 9 + 3 * 3 * 4  # logins, passwords, seeds, messages of four rounds
    seen += m.log.read_bytes()
    readable = [p for p in m.folder.rglob("*") if p.is_file() and stat.S_IMODE(p.stat().st_mode) & 0o044 and p != m.log]
    for path in readable:
        if not path.name.startswith("store-copy"):
            seen += path.read_bytes()
    assert b"Multisig" not in seen
    master = m.state.joinpath("key").read_bytes()
    for secret in [*secrets, *keys, *map(bytes.hex, keys), master, master.hex()]:
        assert (secret.encode() if isinstance(secret, str) else secret) not in seen
    for path in m.state.rglob("*"):
        assert path.is_symlink() or stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert not any(secret in (m.state / "msigd.db").read_bytes() for secret in secrets)


def test_many_on_three_endpoints_are_served_in_turn_and_do_not_pollute(msigd, rpcs):
    queued, later = (6, 4) if "MSIGD_FULL" in os.environ else (3, 1)
    m = msigd(rpcs)
    escrows = [m.open() for _ in range(queued)]
    assert "3 endpoints" in m.get(escrows[-1])["status"]
    found = m.ready(*escrows)
    assert [e["started_at"] for e in found] == sorted(e["started_at"] for e in found)
    for _ in range(later):
        found.append(m.ready(m.open()))
    assert len({e["address"] for e in found}) == queued + later and {e["attempt"] for e in found} == {1}
    for one, after in zip(found, found[1:]):
        assert one["finalized_at"] <= after["started_at"], "no endpoint served two"
    m.idle_again()
    assert [m.endpoint(name)["failures"] for name in ("w1", "w2", "w3")] == [0, 0, 0]


def test_ten_opens_of_one_id_are_one_escrow(msigd, rpcs):
    m = msigd(rpcs)
    before = set(rpcs[0].wallets.glob("*.keys"))
    environment = {**os.environ, "TERM": "xterm"}
    *said, shown = together(*[lambda: m.ctl("-q", "open", "--wait", "--id", SOME_ID)] * 9,
                            lambda: m.ctl("open", "--wait", "--id", SOME_ID, env=environment))
    assert {s.returncode for s in [*said, shown]} == {0}
    address = m.get(SOME_ID)["address"]
    assert {s.stdout.strip() for s in said} == {address}
    # in a pipe there is no progress to be seen
    assert address in shown.stdout and "Exchanging" not in shown.stdout + shown.stderr
    assert not {"\r", "\033"} & set(shown.stdout + shown.stderr)
    assert len(m.logged("worker_started", job="setup")) == 1
    made = {p.name for p in set(rpcs[0].wallets.glob("*.keys")) - before}
    assert made == {f"{p['wallet']}.keys" for p in m.get(SOME_ID)["participants"]}


def test_digest_login_and_https(msigd, wallet_rpc, folder):
    certificate = make_certificate(folder)
    mine = [wallet_rpc("plain", login="me:pass:word"), wallet_rpc("other", login="you:" + "x" * 30),
            wallet_rpc("tls", login="me:secret", certificate=certificate)]
    for rpc in mine:
        rpc.wait()
    m = msigd(mine)
    m.ready(m.open())
    m.idle_again()
    for rpc in mine:
        assert rpc.login.split(":", 1)[1] not in m.log.read_text()
    # a wrong login, and a certificate of nobody's: told apart
    mine[0].login_file.write_text("me:wrong\n")
    m.conf.write_text(m.conf.read_text().replace(f'\tca-file = "{certificate[0]}"\n', ""))
    m.api("reload")
    m.api("set_endpoint", name="w1", state="out")
    m.api("set_endpoint", name="w1", state="in")
    wait_for(lambda: "login" in m.endpoint("w1").get("reason", ""), "w1's reason")
    assert m.wait_endpoint("w1", "down")
    wait_for(lambda: "certificate" in m.endpoint("w3").get("reason", "").lower(), "w3's reason")
    mine[0].login_file.chmod(0o644)
    wait_for(lambda: "0644" in m.endpoint("w1").get("reason", ""), "w1's new reason")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts other authorities over the machine's")
def test_ca_file_replaces_the_machines_authorities(msigd, wallet_rpc, folder):
    ours, other, machine = folder / "ours", folder / "other", folder / "authorities"
    for place in (ours, other, machine):
        place.mkdir()
    rpc = wallet_rpc("tls", certificate=make_certificate(ours)).wait()
    foreign, _ = make_certificate(other, "somebody else")
    shutil.copy(ours / "cert.pem", machine / "ours.pem")
    shutil.copy(foreign, machine / "ca-certificates.crt")
    subprocess.run(["openssl", "rehash", machine], check=True, stderr=subprocess.DEVNULL)
    m = msigd([section("w1", rpc.url)],
              wrap=["unshare", "-m", "sh", "-c", f'mount --bind {machine} /etc/ssl/certs && exec "$@"', "sh"])
    m.wait_endpoint("w1", "idle")
    m.configure([section("w1", rpc.url, **{"ca-file": foreign})])
    m.api("reload")
    assert "certificate" in wait_for(lambda: m.endpoint("w1").get("reason"), "the reason").lower()
    m.wait_endpoint("w1", "down")


def test_reopen_gate_verifies_before_it_publishes(msigd, rpcs, proxy):
    watched = proxy(rpcs[0])
    m = msigd([watched, *rpcs[1:]], gate="reopen")
    found = m.ready(m.open())
    assert found["verified_at"] and found["verified_at"] <= found["finalized_at"]
    assert len(watched.made("open_wallet")) == 1


def test_gate_that_changes_meanwhile_is_the_next_attempts(msigd, rpcs, proxy):
    go_on = threading.Event()
    watched = proxy(rpcs[0], lambda method, params, nth: go_on if method == "exchange_multisig_keys" and nth == 1 else None)
    m = msigd([watched, *rpcs[1:]])
    escrow = m.open()
    assert watched.held.wait(LIMIT)
    m.keys["gate"] = "reopen"
    m.configure([watched, *rpcs[1:]])
    assert "gate" in m.api("reload")["changed"]
    go_on.set()
    found = m.ready(escrow)
    assert found["verified_at"] is None or found["verified_at"] > found["finalized_at"]  # not at once, as that gate does


def test_wallet_that_cannot_be_opened_again_is_told_loudly(msigd, rpcs, proxy):
    go_on, watched = threading.Event(), proxy(rpcs[0])
    watched.rule = lambda method, params, nth: go_on if method == "close_wallet" and "create_wallet" in watched.counts else None
    m = msigd([section(f"w{n}", one, wallet_dir="") for n, one in enumerate([watched, *rpcs[1:]], 1)])
    m.expect("escrow_not_verified", "wallet_not_repaired")
    escrow = m.open()
    wallet = m.ready(escrow)["participants"][2]["wallet"]
    path = rpcs[0].wallets / f"{wallet}.keys"
    path.rename(f"{path}.away")
    go_on.set()  # only after its worker has ended they are looked at
    events = m.events(escrow=escrow)
    assert events.wait(type="not_verified")["reason"]
    events.close()
    assert m.logged("escrow_not_verified", escrow=escrow)
    assert m.get(escrow)["verified_at"] is None and m.get(escrow)["phase"] == "Ready"
    m.idle_again()
    said = m.ctl("-j", "check")
    assert said.returncode == 1 and wallet in said.stdout and escrow in said.stdout
    path.with_name(f"{path.name}.away").rename(path)


def test_wallet_dir_that_is_another_is_told(msigd, rpcs, folder):
    (folder / "elsewhere").mkdir()
    m = msigd([section("w1", rpcs[0], wallet_dir=folder / "elsewhere"), *rpcs[1:]], max_attempts=1)
    reason = m.failed(m.open())["reason"]
    assert str(folder / "elsewhere") in reason and ".keys" in reason


@pytest.mark.skipif(STAGE_SANITIZED is None, reason="MSIGD_STAGE_SANITIZED is not given")
def test_sanitizers_find_nothing(msigd, rpcs):
    m = msigd(rpcs, stage=STAGE_SANITIZED)
    assert b"AddressSanitizer" in (STAGE_SANITIZED / "sbin/msigd").read_bytes() or \
        b"__asan_init" in (STAGE_SANITIZED / "libexec/msigd/msigd-worker").read_bytes()
    escrow = m.open()
    cancelled = m.open()
    m.api("cancel_escrow", escrow_id=cancelled)
    m.ready(escrow)
    wait_for(lambda: m.get(escrow)["verified_at"], "its verification")
    for command in (["list"], ["status", escrow], ["endpoints"], ["check"], ["metrics"], ["backup", m.folder / "copy"]):
        said = m.ctl("-j", *command)
        assert said.returncode == 0 and said.stderr == "", said
    m.post([{"jsonrpc": "2.0", "id": 1, "method": "get_escrow", "params": {"": 1}}, 7])
    m.http("POST", "/json_rpc", "{")
