"""Workers that do not do what they should: msigd tells what it was, gives back
the endpoints, and goes on. The installed worker is replaced, for one msigd, by
fake_worker.py."""
import errno
import os
import signal
from pathlib import Path

import pytest

from harness import Store, fake
from machine import descendants, wait_for


def state(pid):
    """The letter that ps(1) shows."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


STARTS = {
    "cannot be executed: no permission": (b"", 0o644, "cannot be executed: Permission denied"),
    "cannot be executed: no program": (b"\x7fELF but not really", 0o755, "cannot be executed: Exec format error"),
    "ends without a word": (b"#!/bin/sh\nexit 5\n", 0o755, "exited with status 5 without a word"),
    "ends by a signal": (b"#!/bin/sh\nkill -9 $$\n", 0o755, "killed by signal 9"),
    "speaks another version": (fake("other version"), 0o755, "another version of the protocol"),
}


@pytest.mark.parametrize("what", STARTS)
def test_worker_that_does_not_start_is_told_apart(what, with_worker):
    text, mode, words = STARTS[what]
    m = with_worker(text, mode)
    wait_for(lambda: all(words in e.get("reason", "") for e in m.api("get_endpoints")), words)
    assert {e["state"] for e in m.api("get_endpoints")} <= {"down", "probing"}
    escrow = m.open()
    assert m.get(escrow)["phase"] == "NotStarted"
    assert "3 endpoints" in m.get(escrow)["status"]


def test_worker_that_never_says_hello_is_ended(with_worker):
    m = with_worker(fake("silent"))
    wait_for(lambda: "did not say hello" in m.endpoint("w1").get("reason", ""), "the reason")


def test_endpoint_that_is_down_for_the_same_cause_is_told_once(with_worker):
    m = with_worker(fake("finds it busy"))
    wait_for(lambda: len(m.logged("worker_ended")) >= 9, "three looks at each")
    reasons = {line["reason"] for line in m.logged("endpoint", state="down", endpoint="w1")}
    assert len(reasons) > 1  # another pid each time
    assert len(m.logged("endpoint_down", endpoint="w1")) == 1
    events = m.events(since=0)
    events.wait(type="endpoint", name="w1")
    events.close()
    assert len([e for e in events.seen if e.get("name") == "w1"]) == 1


JOBS = {
    "exits 7": "exited with status 7 without a word",
    "kills itself": "killed by signal 11",
    "noise": "a frame longer than 64 KiB",
    "no JSON": "a frame that is no JSON object",
    "unknown message": "a frame of no known type",
    "false report": "a report that contradicts the journal",
    "false publish": "a publish that lacks an address or a seed",
}


@pytest.mark.parametrize("mode", JOBS)
def test_worker_that_breaks_off_again_and_again_fails_the_escrow(mode, with_worker):
    attempts = 2 if mode == "exits 7" else 1
    m = with_worker(fake(mode), max_attempts=attempts)
    escrow = m.open()
    found = m.failed(escrow)
    assert found["attempt"] == attempts and JOBS[mode] in found["reason"]
    history = m.history(escrow)
    assert history[-1]["cause"] == "worker_died"
    # each attempt goes on three times, though there was no result, and not a fourth time
    again = [e["cause"] for e in history if e["type"] == "interrupted"]
    assert again == ["worker_died"] * 4 * attempts and len([e for e in history if e["type"] == "resume"]) == 3 * attempts
    m.wait_idle(3)


def test_worker_that_would_fail_the_same_way_is_not_started_again(with_worker):
    m = with_worker(fake("exits 66"))  # it was told what it does not understand
    escrow = m.open()
    found = m.failed(escrow)
    assert found["attempt"] == 1 and "status 66 without a word: msigd told it what it does not understand" in found["reason"]
    assert len(m.logged("worker_died", job="setup")) == 1


@pytest.mark.parametrize("mode, why", [("exits 67", "no memory or descriptors"), ("other version of setup", "restart msigd")])
def test_worker_that_can_do_nothing_now_is_started_again_later(mode, why, with_worker):
    m = with_worker(fake(mode), max_attempts=1)
    escrow = m.open()
    status = wait_for(lambda: "pause" in (found := m.get(escrow)["status"]) and found, "a pause")
    assert status.startswith("goes on after a pause; interrupted: worker: ") and why in status
    wait_for(lambda: len(m.logged("attempt_interrupted")) >= 5, "more of these than a mistake may be made")
    worker, = m.folder.parent.glob("worker*")

    def written():
        try:
            return worker.write_text(fake("waits"))
        except OSError as error:  # the next one is just being started
            assert error.errno == errno.ETXTBSY
            return None
    wait_for(written, "another worker")
    lock = m.locks / f"escrow-{escrow}.lock"
    wait_for(lambda: lock.exists() and any(str(pid) in lock.read_text() for pid in m.workers(f"setup {escrow}")), "it waits")
    assert m.get(escrow)["phase"] == "Preparing"


def test_worker_that_is_stopped_is_killed_by_its_deadline(with_worker):
    m = with_worker(fake("waits"), setup_timeout="10ms")
    escrow = m.open()
    pid, = wait_for(lambda: m.workers(f"setup {escrow}"), "its worker")
    lock = m.locks / f"escrow-{escrow}.lock"
    wait_for(lambda: lock.exists() and str(pid) in lock.read_text(), "it waits")
    os.kill(pid, signal.SIGSTOP)
    reason = wait_for(lambda: m.logged("attempt_interrupted"), "its end")[0]["reason"]
    assert "its time was over" in reason and "killed by signal 9" in reason
    m.api("cancel_escrow", escrow_id=escrow)


# --- a tend job that lies -------------------------------------------------------------

SOME_SPARE = "msigd-00000000-0000-4000-8000-000000000000"
NOT_ITS_OWN = "a report that is not of its spare wallet"
LIES = {
    "the name of another spare": (f"wallet={SOME_SPARE}", NOT_ITS_OWN),
    "the name of no spare": ("wallet=mine", NOT_ITS_OWN),
    "no stamp": ("stamp=", NOT_ITS_OWN),
    "a stamp that is too long": (f"stamp={'x' * 256}", NOT_ITS_OWN),
    "an address that is too short": (f"address={'9' * 94}", NOT_ITS_OWN),
    "an address that is none": (f"address={'0' * 95}", NOT_ITS_OWN),
}


def test_spare_that_is_as_it_should_be_is_taken_over(with_worker):
    m = with_worker(fake(f"tends stamp={'x' * 255}"), spares="true")
    wait_for(lambda: len(m.endpoints("primed")) == 3, "three primed")
    spares = {e["name"]: e["spare"] for e in m.api("get_endpoints")}
    m.stop()
    store = Store(m)
    assert {row["endpoint"]: row["wallet"] for row in store.rows("SELECT * FROM spare WHERE address IS NOT NULL")} == spares
    store.close()


@pytest.mark.parametrize("what", LIES)
def test_report_of_a_spare_that_cannot_be_ends_its_worker(what, with_worker):
    said, why = LIES[what]
    m = with_worker(fake(f"tends {said}"), spares="true")
    wait_for(lambda: any(why in line["reason"] for line in m.logged("tend_failed", endpoint="w1")), why)
    assert why in m.logged("worker_died", job="tend")[0]["why"] and not m.logged("endpoint", state="primed")
    m.stop()
    store = Store(m)
    assert store.rows("SELECT * FROM spare WHERE address IS NOT NULL OR wallet != 'msigd-' || spare_id OR stamp != 'its stamp'") == []
    store.close()


@pytest.mark.parametrize("when, event", [("looked", "endpoint"), ("made", "tend_failed")])
def test_spare_that_is_not_on_record_primes_nothing(when, event, with_worker):
    m = with_worker(fake(f"tends {when}={SOME_SPARE}"), spares="true")
    wait_for(lambda: any("not on record" in line.get("reason", "") for line in m.logged(event, endpoint="w1")), "a failure")
    assert not m.logged("endpoint", state="primed")


def test_message_of_an_old_generation_is_dropped(with_worker):
    m = with_worker(fake("old generation"))
    assert m.failed(m.open())["reason"] == "it was its own"
    assert len(m.logged("worker_old_generation")) == 1


def test_last_word_of_one_that_ends_at_once_is_heard(with_worker):
    m = with_worker(fake("many words"))
    escrow = m.open()
    wait_for(lambda: state(m.process.pid) == "T" and "Z" in map(state, descendants(m.process.pid)), "msigd stopped, the worker ended")
    m.process.send_signal(signal.SIGCONT)
    found = m.failed(escrow)
    assert (found["attempt"], found["reason"]) == (1, "the last word")


def test_reason_that_is_too_long_is_cut_between_characters(with_worker):
    m = with_worker(fake("long reason"))
    assert m.failed(m.open())["reason"] == "\u00e4" * 255


def test_worker_that_does_not_end_is_ended_after_setup_timeout(with_worker):
    m = with_worker(fake("deaf"), setup_timeout="100ms")
    escrow = m.open()
    reason = wait_for(lambda: m.logged("attempt_interrupted"), "its end")[0]["reason"]
    assert "its time was over" in reason and "killed by signal 15" in reason
    # it is there for as long as the pause is; each interruption has a number of milliseconds of its own
    wait_for(lambda: m.get(escrow)["status"].endswith(m.logged("attempt_interrupted")[-1]["reason"]), "why, in its status")
    m.api("cancel_escrow", escrow_id=escrow)
    m.wait_idle(3)


def test_cancel_stops_the_worker(with_worker):
    m = with_worker(fake("waits"))
    escrow, waiting = m.open(), m.open()
    wait_for(lambda: m.workers(f"setup {escrow}"), "its worker")
    assert m.get(waiting)["phase"] == "NotStarted"
    for one in (waiting, escrow):
        answer = m.api("cancel_escrow", escrow_id=one)
        assert (answer["phase"], answer["reason"]) == ("Failed", "cancelled")
    m.wait_idle(3)


def test_cancel_of_msigctl_waits_for_a_worker_that_does_not_stop(with_worker):
    m = with_worker(fake("deaf to SIGTERM"))
    escrow = m.open()
    wait_for(lambda: m.workers(f"setup {escrow}"), "its worker")
    said = m.ctl("cancel", escrow)  # 30 seconds, and then by force
    assert (said.returncode, said.stderr) == (0, "") and "cancelled" in said.stdout
    m.wait_idle(3)


def test_queue_is_served_first_come_first_served(with_worker):
    m = with_worker(fake("exits 66"))
    escrows = [m.open() for _ in range(20)]
    for escrow in escrows:
        m.failed(escrow)
    events = m.events()
    order = [events.wait(escrow_id=e, type="phase", phase="Preparing")["seq"] for e in escrows]
    events.close()
    assert order == sorted(order)


def test_drain_lets_what_is_under_way_end_and_starts_no_more(with_worker):
    m = with_worker(fake("waits"))
    first, second = m.open(), m.open()
    wait_for(lambda: m.workers(f"setup {first}"), "its worker")
    assert m.ctl("stop", "--drain").returncode == 0
    assert m.api("get_status")["stopping"] is True
    assert m.ctl("open").returncode == 1
    m.api("cancel_escrow", escrow_id=first)
    m.ended()
    m.start()
    assert m.get(first)["reason"] == "cancelled" and m.get(second)["phase"] in ("NotStarted", "Preparing")


def test_drain_goes_on_with_what_is_interrupted_and_begins_nothing(with_worker):
    m = with_worker(fake("waits"))
    first, second = m.open(), m.open()
    pid, = wait_for(lambda: m.workers(f"setup {first}"), "its worker")
    assert m.ctl("stop", "--drain").returncode == 0
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: (found := m.workers(f"setup {first}")) and found != [pid], "another worker")
    m.api("cancel_escrow", escrow_id=first)
    m.ended()
    m.start()
    assert (m.get(first)["attempt"], m.get(first)["reason"]) == (1, "cancelled")
    assert m.get(second)["attempt"] == 1


def test_stop_ends_a_drain_at_once(with_worker):
    m = with_worker(fake("waits"))
    escrow = m.open()
    wait_for(lambda: m.workers(f"setup {escrow}"), "its worker")
    assert m.ctl("stop", "--drain").returncode == 0
    assert m.ctl("stop").returncode == 0
    m.ended()


def test_drain_ends_also_when_the_last_one_under_way_has_to_wait_again(with_worker):
    m = with_worker(fake("waits"))
    escrow = m.open()
    pid, = wait_for(lambda: m.workers(f"setup {escrow}"), "its worker")
    for endpoint in ("w1", "w2", "w3"):
        m.api("set_endpoint", name=endpoint, state="out")
    assert m.ctl("stop", "--drain").returncode == 0
    os.kill(pid, signal.SIGKILL)
    m.ended()


def test_stop_ends_the_worker_and_keeps_the_escrow(with_worker):
    m = with_worker(fake("waits"))
    escrow = m.open()
    wait_for(lambda: m.workers(f"setup {escrow}"), "its worker")
    m.stop()
    m.start()
    assert wait_for(lambda: m.workers(f"setup {escrow}"), "its worker")
    assert (m.get(escrow)["attempt"], m.get(escrow)["phase"]) == (1, "Preparing")
