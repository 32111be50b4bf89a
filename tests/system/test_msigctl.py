"""msigctl: exit statuses, one JSON document with -j, progress only on a terminal."""
import json
import os
import re
import select
import subprocess
import threading
import time

import pexpect
import pytest

from harness import STAGE
from machine import LIMIT, together, wait_for

SOME_ID = "123e4567-e89b-42d3-a456-426614174000"
DONE, REFUSED, USAGE, NO_DAEMON, TIMED_OUT = range(5)


@pytest.fixture
def m(msigd, dead):
    return msigd([dead])


def one_document(said):
    """Standard output is exactly one JSON document."""
    document, end = json.JSONDecoder().raw_decode(said.stdout)
    assert said.stdout[end:].strip() == ""
    return document


def on_terminal(m, *args, **environment):
    return pexpect.spawn(str(STAGE / "bin/msigctl"), ["-s", str(m.socket), *args], timeout=LIMIT, encoding="utf-8",
                         env={**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8", **environment}, dimensions=(24, 100))


def test_commands_that_work_are_done(m, folder):
    escrow = one_document(m.ctl("-j", "open", "--id", SOME_ID, "--label", "l", "--meta", "a=b=c"))
    assert escrow["escrow_id"] == SOME_ID and escrow["metadata"] == {"a": "b=c"}
    for command in (["status"], ["status", SOME_ID], ["list"], ["list", "--phase", "NotStarted", "--limit", "1"], ["endpoints"],
                    ["endpoint", "dead", "out"], ["endpoint", "dead", "in"], ["metrics"], ["info"], ["check"], ["reload"],
                    ["backup", folder / "copy"], ["cancel", SOME_ID], ["retry", SOME_ID]):
        said = m.ctl("-j", *command)
        assert (said.returncode, said.stderr) == (DONE, ""), (command, said)
        assert isinstance(one_document(said), (dict, list)), command
        (folder / "copy").unlink(missing_ok=True)
        if command[0] not in ("cancel", "retry"):
            plain = m.ctl(*command)
            assert plain.returncode == DONE and plain.stdout and "\033" not in plain.stdout, command
            (folder / "copy").unlink(missing_ok=True)
    assert one_document(m.ctl("-j", "status", SOME_ID))["attempt"] == 2
    assert m.ctl("-q", "list").stdout.split() == [SOME_ID]


def test_refused_is_status_1_and_says_why(m):
    for command, word in ((["status", SOME_ID], SOME_ID), (["retry", SOME_ID], SOME_ID), (["cancel", SOME_ID], SOME_ID),
                          (["list", "--after", SOME_ID], SOME_ID), (["endpoint", "w9", "in"], "w9"), (["close", SOME_ID], "no session"),
                          (["calibrate"], "3 endpoints"), (["trace", SOME_ID], SOME_ID), (["open", "--external", "buyer"], "external")):
        said = m.ctl(*command)
        assert said.returncode == REFUSED and word in said.stderr and said.stdout == "", (command, said)
    m.ctl("open", "--id", SOME_ID)
    assert m.ctl("open", "--id", SOME_ID).returncode == DONE
    assert SOME_ID in m.ctl("open", "--id", SOME_ID, "--label", "other").stderr
    assert m.ctl("open", "--id", SOME_ID, "--label", "other").returncode == REFUSED


def test_wrong_usage_is_status_2(m):
    for command in ([], ["opne"], ["open", "--idd"], ["open", "--id", "5"], ["open", "surplus"], ["open", "--meta", "x"],
                    ["open", "--external", "seller"], ["open", "--wait", "--timeout", "soon"], ["status", "x"], ["retry"],
                    ["list", "--phase", "Done"], ["list", "--limit", "0"], ["endpoint", "dead", "up"], ["watch", "--since", "x"], ["backup"]):
        said = m.ctl(*command)
        assert said.returncode == USAGE and said.stderr and said.stdout == "", (command, said)
    assert "did you mean open" in m.ctl("opne").stderr
    assert m.api("list_escrows")["escrows"] == []


def test_no_daemon_is_status_3(folder, m):
    m.stop()
    for command in (["open"], ["status"], ["watch"], ["backup", folder / "x"], ["-j", "list"], ["stop"]):
        said = m.ctl(*command)
        assert said.returncode == NO_DAEMON and str(m.socket) in said.stderr and said.stdout == "", (command, said)
    assert not (folder / "x").exists()


def test_waiting_ends_with_status_4_and_the_escrow_goes_on(m):
    said = m.ctl("-j", "open", "--wait", "--timeout", "50ms", "--id", SOME_ID)
    assert said.returncode == TIMED_OUT and one_document(said)["phase"] == "NotStarted"
    assert m.get(SOME_ID)["phase"] == "NotStarted"


def test_waiting_for_one_that_fails_is_status_1(m):
    def cancel():
        wait_for(lambda: m.api("list_escrows")["escrows"], "the escrow")
        m.api("cancel_escrow", escrow_id=SOME_ID)
    said, _ = together(lambda: m.ctl("open", "--wait", "--id", SOME_ID), cancel)
    assert said.returncode == REFUSED and "cancelled" in said.stderr


def test_waiting_ends_with_status_3_when_msigd_ends(m):
    def stop():
        wait_for(lambda: m.api("list_escrows")["escrows"], "the escrow")
        m.stop()
    said, _ = together(lambda: m.ctl("open", "--wait", "--id", SOME_ID), stop)
    assert said.returncode == NO_DAEMON and SOME_ID in said.stderr


def test_stop_and_version_and_help(m):
    assert re.fullmatch(r"msigctl \d+\.\d+\.\d+\n", m.ctl("-V").stdout)
    for command in (["--help"], ["help", "open"], ["open", "--help"]):
        said = m.ctl(*command)
        assert said.returncode == DONE and "msigctl" in said.stdout and said.stderr == ""
    said = m.ctl("-j", "stop")
    assert said.returncode == DONE and one_document(said)["stopping"] is True
    m.ended()


def test_reload_of_a_bad_file_is_refused(m):
    m.expect("reload_refused")
    good = m.conf.read_text()
    m.conf.write_text(good + "setup-timeout = soon\n")
    said = m.ctl("reload")
    assert said.returncode == REFUSED and f"{m.conf}:" in said.stderr and "setup-timeout" in said.stderr
    m.conf.write_text(good + "max-attempts = 5\n")
    assert one_document(m.ctl("-j", "reload")) == {"changed": ["max-attempts"], "restart_needed": []}


def test_watch_shows_events_as_they_come(m):
    watch = subprocess.Popen([STAGE / "bin/msigctl", "-s", m.socket, "-j", "watch"], stdout=subprocess.PIPE, text=True)
    try:
        def opened():
            """It begins with the next event, which may be of another kind: open until it has seen that."""
            m.open()
            while select.select([watch.stdout], [], [], 0.05)[0]:
                event = json.loads(watch.stdout.readline())
                if event["type"] == "escrow_opened":
                    return event
            return None
        assert {"seq", "at", "escrow_id", "attempt"} <= set(wait_for(opened, "an escrow that was opened"))
    finally:
        watch.terminate()
        watch.wait()
        watch.stdout.close()


def test_wait_shows_progress_on_a_terminal(msigd, rpcs, proxy):
    go_on = threading.Event()
    m = msigd([proxy(rpcs[0], lambda method, params, nth: go_on if method == "make_multisig" else None), *rpcs[1:]])
    child = on_terminal(m, "open", "--wait")
    child.expect("Exchanging")
    go_on.set()
    child.expect(pexpect.EOF)
    shown = child.before
    child.close()
    assert child.exitstatus == DONE
    address = m.api("list_escrows")["escrows"][0]["address"]
    assert address in shown and "\r" in shown


def test_calibrate_shows_progress_on_a_terminal(msigd, rpcs, proxy):
    # a trial whose create_wallet is refused costs nothing, and takes as long as that is held back
    go_on = [threading.Event(), threading.Event()]

    def rule(method, _params, nth):
        if method != "create_wallet":
            return None
        if nth <= len(go_on):
            go_on[nth - 1].wait(10)
        else:
            time.sleep(0.5)  # a line would be drawn after 0.3 s
        return {"error": {"code": -1, "message": "none today"}}
    m = msigd([proxy(rpc, rule) for rpc in rpcs])
    child = on_terminal(m, "calibrate", "--trials", "1")
    for _ in range(3):  # once it is drawn again and again, events are followed too
        child.expect(r"\r[0-9.]+ s  calibrate: the first trial\033\[K")
    go_on[0].set()
    child.expect(r"\r[0-9.]+ s  calibrate: stagger 0 ms, trial 1 of 1: error: [^\r]*create_wallet[^\r]*\033\[K")
    go_on[1].set()
    child.expect(pexpect.EOF)
    # the line is gone before the table comes
    assert "\r\033[KSTAGGER" in child.before
    child.close()
    assert child.exitstatus == REFUSED
    piped = m.ctl("calibrate", "--trials", "1")
    assert piped.returncode == REFUSED and piped.stdout.startswith("STAGGER") and piped.stderr == ""
    for args, term in ((["-q"], "xterm"), ([], "dumb")):
        quiet = on_terminal(m, *args, "calibrate", "--trials", "1", TERM=term)
        quiet.expect(pexpect.EOF)
        assert "\033" not in quiet.before and "the first trial" not in quiet.before
        quiet.close()
        assert quiet.exitstatus == REFUSED
