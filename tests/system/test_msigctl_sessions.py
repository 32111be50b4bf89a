"""msigctl on spare wallets and sessions: sessions, close, status --refresh,
endpoints. A line on the terminal while the wallets are opened, and only there."""
import json
import re
import signal
from contextlib import contextmanager

import pexpect
import pytest

from harness import ROLES
from machine import wait_for
from wallet_rpcs import start_wallet_rpcs
from test_msigctl import on_terminal

SOME_ID = "123e4567-e89b-42d3-a456-426614174000"
DONE, REFUSED, USAGE, NO_DAEMON = range(4)


@pytest.fixture(scope="module")
def six(root):
    made = start_wallet_rpcs(root / "ctl", 6)
    yield made
    for one in made:
        one.kill()


@pytest.fixture
def m(msigd, six):
    return msigd(six, session_max=10)


@pytest.fixture
def escrow(m):
    """One that is Ready, and has a session."""
    ready = m.ready(m.open())["escrow_id"]
    wait_for(lambda: m.api("get_sessions"), "its session")
    return ready


def table(said):
    """{first cell: line} of what was printed as a table."""
    assert said.returncode == DONE and said.stderr == "", said
    return {line.split()[0]: line for line in said.stdout.splitlines() if line}


def test_sessions_are_listed_and_closed(m, escrow):
    endpoints = m.api("get_sessions")[0]["endpoints"]
    shown = table(m.ctl("sessions"))
    assert shown["ESCROW"].split() == ["ESCROW", "SINCE", "LAST", "USED", "USES", "ENDPOINTS"]
    assert re.fullmatch(rf"{escrow} +(now|\d+ s ago) +never +0  {', '.join(endpoints)}", shown[escrow])
    table(m.ctl("status", escrow, "--refresh"))
    assert re.fullmatch(rf"{escrow} +(now|\d+ s ago) +(now|\d+ s ago) +1  .*", table(m.ctl("sessions"))[escrow])
    assert m.ctl("-q", "sessions").stdout == escrow + "\n"
    assert json.loads(m.ctl("-j", "sessions").stdout) == m.api("get_sessions")
    said = m.ctl("close", escrow)
    assert (said.returncode, said.stdout, said.stderr) == (DONE, f"the session of escrow {escrow} is closed\n", "")
    assert m.ctl("sessions").stdout == "" and m.ctl("-j", "sessions").stdout == "[]\n"


def test_what_cannot_be_closed_or_asked_is_said(m, escrow):
    assert m.ctl("-q", "close", escrow).stdout == ""
    for command, word in ((["close", escrow], "no session"), (["close", SOME_ID], "no session"),
                          (["status", SOME_ID, "--refresh"], "no escrow")):
        said = m.ctl(*command)
        assert said.returncode == REFUSED and word in said.stderr and said.stdout == "", said
    assert m.ctl("close", "x").returncode == m.ctl("close").returncode == USAGE
    assert m.ctl("status", "--refresh").returncode == USAGE
    m.stop()
    for command in (["sessions"], ["close", escrow], ["status", escrow, "--refresh"]):
        assert m.ctl(*command).returncode == NO_DAEMON


def test_refresh_of_one_that_is_not_ready_is_refused(msigd, dead):
    m = msigd([dead], session_max=10)
    said = m.ctl("status", m.open(), "--refresh")
    assert said.returncode == REFUSED and "NotStarted" in said.stderr and said.stdout == ""


def test_refresh_shows_what_the_wallets_tell(m, escrow):
    said = m.ctl("status", escrow, "--refresh")
    assert (said.returncode, said.stderr) == (DONE, "")
    told = said.stdout.split("\n\n")[-1].splitlines()
    assert told[0].split() == ["ROLE", "READY", "MULTISIG", "BALANCE", "UNLOCKED", "HEIGHT", "ADDRESS"]
    for role, line in zip(ROLES, told[1:], strict=True):
        assert re.fullmatch(rf"{role} +yes +2/3 +0\.000000000000 +0\.000000000000 +\d+ +equal", line)
    assert m.ctl("-q", "status", escrow, "--refresh").stdout == "Ready\n"
    document = json.loads(m.ctl("-j", "status", escrow, "--refresh").stdout)
    assert [w["role"] for w in document["wallets"]] == list(ROLES)
    assert {w["address"] for w in document["wallets"]} == {document["address"]} == {m.get(escrow)["address"]}
    assert m.api("get_sessions")[0]["uses"] == 3


def test_opening_wallets_shows_progress_on_a_terminal(m, escrow):
    m.api("close_session", escrow_id=escrow)
    child = on_terminal(m, "status", escrow, "--refresh")
    child.expect(re.escape(escrow[:8]) + "  opening its wallets  [0-9.]+ s")
    child.expect(pexpect.EOF)
    # the line is gone before the answer comes
    assert "\r\033[Kescrow " in child.before and "equal" in child.before
    child.close()
    assert child.exitstatus == DONE
    m.api("close_session", escrow_id=escrow)
    assert m.ctl("status", escrow, "--refresh").stderr == ""
    for quiet in (on_terminal(m, "-q", "status", escrow, "--refresh"), on_terminal(m, "status", escrow, "--refresh", TERM="dumb")):
        quiet.expect(pexpect.EOF)
        assert "\033[K" not in quiet.before
        quiet.close()


@contextmanager
def held(rpcs):
    """Nothing is answered meanwhile."""
    for rpc in rpcs:
        rpc.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for rpc in rpcs:
            rpc.process.send_signal(signal.SIGCONT)


def test_ctrl_c_wipes_the_line_and_harms_nothing(m, escrow, six):
    m.api("close_session", escrow_id=escrow)
    with held(six):
        child = on_terminal(m, "status", escrow, "--refresh")
        child.expect("opening its wallets")
        child.kill(signal.SIGINT)
        child.expect(pexpect.EOF)
    assert child.before.endswith("\r\033[K")
    child.close()
    assert child.exitstatus == 130
    # the wallets are opened all the same
    wait_for(lambda: [s["uses"] for s in m.api("get_sessions")] == [1], "its session")


def test_endpoints_show_their_spares(msigd, six):
    m = msigd(six[:3], spares="true")
    wait_for(lambda: len(m.endpoints("primed")) == 3, "three spare wallets")
    shown = table(m.ctl("endpoints"))
    for endpoint in m.api("get_endpoints"):
        assert re.fullmatch(rf"{endpoint['name']} +primed +.*  spare {endpoint['spare']}", shown[endpoint["name"]])
    assert "3 primed" in m.ctl("status").stdout
