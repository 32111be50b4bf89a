"""The pool of endpoints: who is used for what, who is left out and why."""
import fcntl
import re
import signal
import subprocess

from harness import section
from machine import LIMIT, free_ports, wait_for
from test_recovery import hold


def test_program_that_is_no_wallet_rpc_is_told(msigd, folder):
    port = free_ports()
    server = subprocess.Popen(["/usr/bin/python3", "-m", "http.server", str(port), "--bind", "127.0.0.1", "-d", folder],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        m = msigd([section("web", f"http://127.0.0.1:{port}")])
        wait_for(lambda: "501" in m.endpoint("web").get("reason", ""), "the reason")
        assert m.wait_endpoint("web", "down")
    finally:
        server.kill()
        server.wait()


def test_wallet_rpc_of_another_network_is_out_and_both_are_named(msigd, rpcs, wallet_rpc):
    other = wallet_rpc("stagenet", network="stagenet").wait()
    # which costs the escrow no attempt
    m = msigd([section("wrong", other, role="buyer"), *rpcs], max_attempts=1)
    wait_for(lambda: len(m.endpoints("idle") + m.endpoints("out")) == 4, "a first look at all")
    found = m.ready(m.open())
    assert "wrong" not in [p["endpoint"] for p in found["participants"]]
    reason = m.wait_endpoint("wrong", "out")["reason"]
    assert "stagenet" in reason and "testnet" in reason


def test_wrong_login_is_told(msigd, wallet_rpc):
    rpc = wallet_rpc("mine", login="me:right").wait()
    rpc.login_file.write_text("me:wrong\n")
    m = msigd([rpc])
    wait_for(lambda: "login" in m.endpoint("w1").get("reason", ""), "the reason")
    assert "wrong" not in m.endpoint("w1")["reason"] and "wrong" not in m.log.read_text()
    m.api("set_endpoint", name="w1", state="out")
    rpc.login_file.write_text("me:right\n")
    m.api("set_endpoint", name="w1", state="in")
    m.wait_endpoint("w1", "idle")


def test_login_file_that_is_wrong_is_told(msigd, folder):
    login = folder / "login"
    for text, mode, word in (("me:secret\n", 0o644, "0644"), ("no colon\n", 0o600, "USER:PASSWORD"), (None, 0, "No such file")):
        login.unlink(missing_ok=True)
        if text is not None:
            login.write_text(text)
            login.chmod(mode)
        m = msigd([section("w1", "http://127.0.0.1:1", **{"login-file": login})])
        reason = wait_for(lambda: m.endpoint("w1").get("reason"), "the reason")
        assert str(login) in reason and word in reason and "secret" not in reason
        m.stop()


def test_roles_are_kept_and_one_without_endpoint_waits_and_says_so(msigd, rpcs):
    def sections(*roles):  # of which no files can be read: they are not needed
        return [section(f"w{i}", rpc, role=role, wallet_dir="") for i, (rpc, role) in enumerate(zip(rpcs, roles))]
    m = msigd(sections("buyer", "vendor", "vendor"))
    m.wait_idle(3)
    escrow = m.open()
    assert "arbiter" in m.get(escrow)["status"]
    # a reload brings one; "any" is for whom there is none of his own
    m.configure(sections("any", "arbiter", "vendor"))
    m.process.send_signal(signal.SIGHUP)
    found = m.ready(escrow)
    assert {p["role"]: p["endpoint"] for p in found["participants"]} == {"buyer": "w0", "vendor": "w2", "arbiter": "w1"}


def test_endpoint_out_is_not_used_and_in_again_is(msigd, rpcs, proxy):
    go_on, rule = hold("make_multisig")
    watched = proxy(rpcs[1], rule)
    m = msigd([rpcs[0], watched, rpcs[2]])
    m.wait_idle(3)
    assert m.api("set_endpoint", name="w2", state="out")["state"] == "out"
    escrow = m.open()
    assert "1 out" in m.get(escrow)["status"]
    m.api("set_endpoint", name="w2", state="in")
    assert watched.held.wait(LIMIT)
    # taken out while it serves: it serves to the end
    m.api("set_endpoint", name="w2", state="out")
    assert m.endpoint("w2")["state"] == "leased"
    go_on.set()
    m.ready(escrow)
    assert m.wait_endpoint("w2", "out")["reason"] == "taken out by hand"


def test_hangup_adds_and_removes_endpoints_and_keeps_the_old_on_a_mistake(msigd, rpcs, dead):
    m = msigd([*rpcs[:2], dead])
    m.expect("reload_refused")
    m.wait_idle(2)
    escrow = m.open()
    good = m.conf.read_text()
    m.conf.write_text(good + "setup-timeout = soon\n")
    m.process.send_signal(signal.SIGHUP)
    refused = wait_for(lambda: m.logged("reload_refused"), "the refusal")
    assert f"{m.conf}:" in refused[0]["error"] and "setup-timeout" in refused[0]["error"]
    assert len(m.api("get_endpoints")) == 3
    # one that nobody listens at is told, and left out
    assert "connect" in m.wait_endpoint("dead", "down")["reason"].lower()
    assert m.get(escrow)["phase"] == "NotStarted"
    m.configure([*rpcs[:2], dead, section("w3", rpcs[2])])
    m.process.send_signal(signal.SIGHUP)
    found = m.ready(escrow)
    assert sorted(p["endpoint"] for p in found["participants"]) == ["w1", "w2", "w3"]
    m.configure(rpcs[:2])
    m.process.send_signal(signal.SIGHUP)
    wait_for(lambda: [e["name"] for e in m.api("get_endpoints")] == ["w1", "w2"], "two are gone")


def test_two_msigds_exclude_each_other_at_one_endpoint(msigd, rpcs, folder):
    shared = folder / "locks"
    one, other = (msigd(rpcs, **{"lock-dir": shared}) for _ in range(2))
    found = [m.ready(escrow) for m, escrow in [(m, m.open()) for m in (one, other)]]
    assert found[0]["address"] != found[1]["address"]
    lines = [line for m in (one, other) for line in m.log_lines()]
    assert any(line["event"] in ("lock_waited", "attempt_failed") or "is held by" in line.get("reason", "") for line in lines)
    assert {line.get("cause") for line in lines if line["event"] == "attempt_failed"} <= {"locks"}


def test_check_finds_an_endpoint_that_another_holds(msigd, rpcs):
    m = msigd(rpcs)
    m.wait_idle(3)
    m.idle_again()
    lock, = m.locks.glob(f"endpoint-*{rpcs[1].port}.lock")
    with open(lock, "rb") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        said = m.ctl("check")
        assert said.returncode == 1 and "w2" in said.stdout
    assert m.ctl("check").returncode == 0


# --- failures -------------------------------------------------------------------------

def test_endpoint_that_is_down_says_when_it_is_tried_again(msigd, dead):
    m = msigd([dead])
    told = re.compile(r"; tried again in [\d.]+ m?s, after (\d+) failures in a row$")
    found = wait_for(lambda: (said := told.search(m.endpoint("dead").get("reason", ""))) and int(said[1]) >= 3 and said, "three failures")
    assert "connect" in found.string.lower() and m.endpoint("dead")["failures"] >= int(found[1])
    assert len(m.logged("endpoint", endpoint="dead", state="probing")) >= int(found[1]) and len(m.logged("endpoint_down")) == 1


def test_endpoint_where_jobs_fail_has_a_pause_and_comes_back(msigd, stood, proxy):
    broken = True
    no = {"error": {"code": -1, "message": "disk full"}}
    watched = proxy(stood[0], lambda method, params, number: no if method == "create_wallet" and broken else None)
    m = msigd([watched, *stood[1:]], max_attempts=4)
    escrow = m.open()
    assert "disk full" in m.failed(escrow)["reason"]
    # it answers whenever it is looked at; the first two times that is enough
    down = m.logged("endpoint", endpoint="w1", state="down")
    assert len(down) == 2 and all("create_wallet" in line["reason"] for line in down)
    assert m.endpoint("w1")["failures"] == 4
    broken = False
    m.wait_endpoint("w1", "idle")
    assert m.logged("endpoint_up", endpoint="w1")
    m.api("retry_escrow", escrow_id=escrow)
    m.ready(escrow)
    m.idle_again()
    broken = True  # what was before that one does not count any more
    m.failed(m.open())
    assert len(m.logged("endpoint", endpoint="w1", state="down")) == 4


def test_endpoint_that_died_while_it_was_free_is_done_without(msigd, stood, stand_in):
    """Nobody had a wallet yet: there is nothing to wait for."""
    m = msigd([*stood, *[section(f"s{n}", f"http://127.0.0.1:{side.port}", **{"wallet-dir": side.wallets})
                         for n, side in enumerate([stand_in()])]])
    m.wait_idle(4)
    stood[0].side.order("kill", endpoint=stood[0].port)
    escrow = m.open()
    found = m.ready(escrow)
    assert found["attempt"] == 1 and "w1" not in [p["endpoint"] for p in found["participants"]]
    assert not m.logged("escrow_goes_elsewhere")
