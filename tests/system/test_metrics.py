"""Metrics: what they say is what was done; both formats say the same, and those
who read them for a living take them."""
import json
import os
import re
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client import parser as prometheus

from harness import fake, section
from machine import free_ports, wait_for
from stand_ins import Stood

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


class Samples(dict):
    """{("name", "value of its label" or ""): number}, le left out; buckets by ("name", label, le)."""

    def __init__(self, families):
        super().__init__()
        self.labels = set()
        for family in families:
            for sample in family.samples:
                labels = {k: v for k, v in sample.labels.items() if k != "le"}
                self.labels.update(labels.items())
                key = (sample.name.removeprefix("msigd_"), "".join(labels.values()))
                self[key + ((sample.labels["le"],) if "le" in sample.labels else ())] = sample.value

    def of(self, name):
        """{label: number} of those that are not 0."""
        return {key[1]: value for key, value in self.items() if key[0] == name and len(key) == 2 and value}


def text_of(m, accept=None):
    status, headers, body = m.http("GET", "/metrics", headers={"Accept": accept} if accept else {})
    assert status == 200
    return headers["Content-Type"], body.decode()


def metrics(m):
    return Samples(openmetrics.text_string_to_metric_families(text_of(m)[1]))


def classic(text):
    return Samples(prometheus.text_string_to_metric_families(text))


def lint(text):
    """What promtool has against it."""
    promtool = subprocess.run([SCRIPTS / "promtool"], check=True, capture_output=True, text=True).stdout.strip()
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def at_rest(m, *escrows):
    """Verified, and nothing is at work."""
    wait_for(lambda: all(m.get(e)["verified_at"] for e in escrows), "verification")
    m.idle_again()


# --- what they say ---------------------------------------------------------------------

def test_what_is_said_is_what_was_done(msigd, stood, proxy):
    proxies = [proxy(one) for one in stood]
    m = msigd(proxies)
    escrows = [m.open(label=f"label {n}") for n in range(2)]
    m.ready(*escrows)
    at_rest(m, *escrows)
    said = metrics(m)
    assert said.of("escrows") == {"Ready": 2}
    assert said["escrows_opened_total", ""] == said["escrows_ready_total", ""] == said["setup_seconds_count", ""] == 2
    assert said["queue_wait_seconds_count", ""] == 2 and said["queue_length", ""] == said["queue_oldest_seconds", ""] == 0
    assert said.of("round_seconds_count") == {str(n): 2 for n in range(5)}
    assert 0 < sum(said.of("round_seconds_sum").values()) <= said["setup_seconds_sum", ""]
    # every call that went through the proxies, and no other
    made = [call[0] for p in proxies for call in p.calls]
    assert said.of("rpc_seconds_count") == {method: made.count(method) for method in set(made)}
    assert made.count("exchange_multisig_keys") == 2 * 3 * 2 and said["rpc_seconds_sum", "make_multisig"] > 0
    assert not said.of("rpc_unanswered_total")
    # .keys are read after each step that changes them: not after prepare_multisig
    assert said.of("copy_seconds_count")["read"] == 2 * 3 * 4 and said["copy_bytes_total", "read"] > 24 * 100
    # set-ups and checks: each took three endpoints
    assert said["endpoint_leases_total", ""] == 2 * 3 + 2 * 3
    starts = said.of("worker_starts_total")
    assert (starts["setup"], starts["check"]) == (2, 2) and set(starts) == {"setup", "check", "tend"}
    assert said.of("worker_exits_total") == {"done": sum(starts.values())}
    assert said.of("lock_hold_seconds_count") == {"escrow": 4, "endpoint": 4 * 3 + starts["tend"]}
    assert not said.of("lock_contentions_total") and said["store_commits_total", ""] > 10
    assert said["store_commit_seconds_count", ""] == said["store_commits_total", ""]
    assert said.of("endpoints") == {"idle": 3}


def test_what_fails_is_counted_by_cause(msigd, stood, proxy):
    def say_no(method, _params, nth):
        if method == "make_multisig":
            return {"error": {"code": -48 if nth == 1 else -4711, "message": "not today"}}
        return None
    m = msigd([proxy(stood[0], say_no), *stood[1:]], max_attempts=2)
    m.failed(m.open())
    m.idle_again()
    said = metrics(m)
    assert said.of("escrows") == {"Failed": 1} and said.of("escrows_failed_total") == {"wallet_error": 1}
    assert said.of("attempts_failed_total") == {"wallet_error": 2}
    errors = said.of("rpc_errors_total")
    assert (errors["-48"], errors["other"]) == (1, 1), errors
    assert said.of("worker_exits_total")["failed"] == 2 and said["endpoint_failures_total", ""] == 2
    assert said.of("round_seconds_count")["1"] == 2 and "2" not in said.of("round_seconds_count")


def test_a_call_that_is_given_up_is_counted(msigd, stood, proxy):
    held = threading.Event()
    m = msigd([proxy(stood[0], lambda method, *_: held if method == "make_multisig" else None), *stood[1:]],
              max_attempts=1, setup_timeout="8s")
    assert m.failed(m.open())["reason"]
    said = wait_for(lambda: (s := metrics(m)).of("rpc_unanswered_total") and s, "the call that never came back")
    assert said.of("rpc_unanswered_total") == {"unknown": 1} and said["rpc_seconds_sum", "make_multisig"] > 1
    assert set(said.of("escrows_failed_total")) == {"timeout"}
    held.set()


def test_workers_that_are_killed_and_endpoints_that_are_down(msigd, stood, proxy, dead):
    held, first = threading.Event(), []
    def hold_first(method, *_):
        if method == "make_multisig" and not first:
            first.append(True)
            return held
        return None
    p = proxy(stood[0], hold_first)
    m = msigd([p, *stood[1:], dead])
    m.expect("worker_died")
    escrow = m.open()
    m.wait_steps(escrow, 2, 2)
    os.kill(m.workers("setup")[0], signal.SIGKILL)
    held.set()
    m.ready(escrow)
    at_rest(m, escrow)
    said = metrics(m)
    assert said.of("worker_exits_total")["signal"] == 1 and said["worker_deaths_total", ""] == 1
    assert said.of("attempts_interrupted_total") == {"worker_died": 1} and not said.of("attempts_failed_total")
    assert said.of("worker_starts_total")["setup"] == 2
    # the dead one was looked at; a wallet that was restored was written
    assert said["rpc_unanswered_total", "down"] >= 1 and said["endpoint_failures_total", ""] >= 1
    states = said.of("endpoints")
    assert states["idle"] == 3 and states.get("down", 0) + states.get("probing", 0) == 1 and sum(states.values()) == 4
    # a round that was cut in two is not timed
    assert said.of("round_seconds_count") == {"0": 1, "1": 1, "3": 1, "4": 1}
    assert said.of("copy_seconds_count").get("written", 0) == len([e for e in m.history(escrow) if e["type"] == "restore"])


def test_a_session_tells_its_numbers_while_it_lives(msigd, stand_in):
    m = msigd([Stood(side, number) for side in (stand_in(), stand_in()) for number in range(3)], session_max=10)
    m.wait_idle(6)
    escrow = m.open()
    m.ready(escrow)
    assert wait_for(lambda: metrics(m).of("rpc_seconds_count").get("make_multisig"), "the numbers of the set-up") == 3
    before = metrics(m)
    assert before["sessions", ""] == before["sessions_kept_total", ""] == 1
    m.api("get_escrow", escrow_id=escrow, refresh=True)
    after = metrics(m)
    assert after["rpc_seconds_count", "get_height"] == 3 and after["sessions_reused_total", ""] == 1
    assert after["worker_starts_total", "setup"] == 1 and after["worker_starts_total", "session"] == 0


@pytest.mark.parametrize("numbers", ["below 0", "of a method that is none", "in a list"])
def test_numbers_that_cannot_be_cost_the_worker(with_worker, numbers):
    m = with_worker(fake(f"numbers {numbers}"), max_attempts=1)
    assert "numbers that cannot be" in m.failed(m.open())["reason"]
    said = metrics(m)
    assert said.of("worker_exits_total")["garbage"] >= 1 and not said.of("rpc_errors_total")


# --- how ---------------------------------------------------------------------------------

def test_both_formats_say_the_same_to_those_who_read_them(msigd, stood):
    m = msigd(stood)
    escrow = m.open(label="a label", metadata={"k": "a value"})
    m.ready(escrow)
    at_rest(m, escrow)
    kind, text = text_of(m)
    assert kind == "application/openmetrics-text; version=1.0.0; charset=utf-8" and text.endswith("\n# EOF\n")
    old_kind, old = text_of(m, "text/plain")
    assert old_kind == "text/plain; version=0.0.4; charset=utf-8"
    # as Prometheus asks
    assert text_of(m, "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1")[0] == kind
    families = list(openmetrics.text_string_to_metric_families(text))
    assert Samples(families) == classic(old) and len(families) > 40
    assert lint(old) == (0, ""), "promtool"
    assert text_of(m) == (kind, text) and m.ctl("metrics").stdout == text, "two scrapes agree"
    assert json.loads(m.ctl("-j", "metrics").stdout) == {"openmetrics": text}
    for family in families:
        assert family.documentation and family.type != "unknown", family.name
        assert family.unit or not re.search("_(seconds|bytes|ms|millis|us)$", family.name), family.name
    # nothing that there can be ever more of, and nobody's data
    labels = Samples(families).labels
    assert {name for name, _ in labels} == {"version", "phase", "cause", "round", "state", "job", "kind", "method", "outcome", "code"}
    for word in (escrow, "a label", "a value", "127.0.0.1", "w1", str(m.folder)):
        assert word not in text, word


def test_promtool_finds_a_mistake():
    assert lint("# TYPE a counter\na_total 1\n")[0] == 3


# --- metrics-file ------------------------------------------------------------------------

def test_the_file_is_there_whole_at_every_moment(msigd, dead, folder):
    path = folder / "node-exporter/msigd.prom"
    path.parent.mkdir()
    m = msigd([dead], metrics_file=path)
    seen, ended = set(), threading.Event()

    def look():
        while not ended.is_set():
            seen.add(path.read_text())
    reader = threading.Thread(target=look)
    reader.start()
    for _ in range(100):
        m.open()
        m.api("reload")
    ended.set()
    reader.join()
    assert len(seen) > 10
    for text in seen:
        assert text.startswith("# TYPE msigd_build_info gauge\n") and text.endswith("\n# EOF\n") and text.count("# EOF") == 1
    assert path.stat().st_mode & 0o777 == 0o644
    last = m.open()
    m.api("cancel_escrow", escrow_id=last)
    m.stop()
    said = classic(path.read_text())
    assert said["escrows_opened_total", ""] == 101 and said.of("escrows_failed_total") == {"cancelled": 1}
    assert lint(path.read_text()) == (0, "")
    assert os.listdir(path.parent) == ["msigd.prom"]


def test_a_file_that_cannot_be_written_is_told_once_and_stops_nothing(msigd, dead, folder):
    path = folder / "not there/msigd.prom"
    m = msigd([dead], metrics_file=path)
    for _ in range(3):
        m.api("reload")
    told = m.logged("metrics_file_failed")
    assert [(t["file"], t["error"]) for t in told] == [(str(path), "No such file or directory")] and "metrics-file" in told[0]["remedy"]
    path.parent.mkdir()
    m.api("reload")
    assert path.exists() and len(m.logged("metrics_file_written")) == 1
    path.unlink()
    path.parent.rmdir()
    m.api("reload")
    m.api("reload")
    assert len(m.logged("metrics_file_failed")) == 2


def test_counters_begin_anew_and_gauges_do_not(msigd, dead):
    m = msigd([dead])
    m.open()
    m.open()
    m.stop()
    m.start()
    said = metrics(m)
    assert said["escrows_opened_total", ""] == 0 and said.of("escrows") == {"NotStarted": 2} and said["queue_length", ""] == 2


def test_a_scrape_of_many_escrows_looks_at_none(msigd):
    """Its text is as long with thousands as with none, and it reads nothing of the store."""
    m = msigd([section("dead", f"http://127.0.0.1:{free_ports()}")])
    first = text_of(m)[1]
    m.post([{"jsonrpc": "2.0", "id": n, "method": "open_escrow"} for n in range(1000)])
    m.post([{"jsonrpc": "2.0", "id": n, "method": "open_escrow"} for n in range(1000)])
    second = text_of(m)[1]
    assert second.count("\n") - first.count("\n") <= 30 and metrics(m)["queue_length", ""] == 2000
