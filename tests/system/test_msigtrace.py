"""msigtrace, on traces that are made up (tests/traces): what it names, with the words
and without them; damaged files; what must never reach a terminal; its two exports."""
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from html.parser import HTMLParser
from pathlib import Path

import pytest

import harness

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "traces"))
import made_trace  # noqa: E402
import make_traces  # noqa: E402

COMMANDS = {"show": 1, "timeline": 1, "stats": 9, "snapshots": 1, "diagnose": 9}
NEVER = [c for c in range(0x20) if c != 0x0a] + [0x7f]


def run(*arguments, stage=None, **options):
    program = (stage or harness.STAGE) / "bin/msigtrace"
    return subprocess.run([program, *arguments], capture_output=True, timeout=60, **options)


def causes(paths):
    result = run("-j", "diagnose", *paths)
    assert result.stderr == b""
    found = json.loads(result.stdout)["findings"]
    assert result.returncode == (1 if found else 0)
    return found


@pytest.fixture(scope="module")
def traces(root):
    return make_traces.write(root / "traces")


@pytest.fixture(scope="module")
def blank(root):
    return make_traces.write(root / "blank", blank=True)


@pytest.mark.parametrize("name", make_traces.SCENARIOS)
def test_what_was_planted_is_named(traces, blank, name):
    expected = make_traces.SCENARIOS[name][1]
    for paths in (traces[name], blank[name]):
        found = causes(paths)
        assert sorted({f["cause"] for f in found}) == sorted(set(expected))
        assert all(f["evidence"] and f["remedy"] and f["what"] for f in found)


def find(found, cause):
    return next(f for f in found if f["cause"] == cause)


def test_pollution_names_the_escrow_before(traces, blank):
    for made in (traces, blank):
        for scenario in ("pollution", "pollution_by_address"):
            found = find(causes(made[scenario]), "pollution")
            assert found["other_escrow"] == make_traces.left_open().id
            assert found["port"] == 18082
        assert "other_escrow" not in find(causes(made["pollution_alone"]), "pollution")


def test_whether_a_call_had_run(blank):
    def what(name, cause="unknown_outcome"):
        return find(causes(blank[name]), cause)["what"]
    assert "it had run, by the next look" in what("unknown_had_run")
    assert "it had not run" in what("unknown_had_not_run")
    assert "in part at least" in what("torn_wallet")
    assert "it had run, by the next look" in what("worker_killed", "worker_killed")


def test_whose_address_and_whose_message(blank):
    assert "arbiter's" in find(causes(blank["addresses_differ"]), "addresses_differ")["what"]
    found = find(causes(blank["foreign_message"]), "foreign_message")
    assert found["other_escrow"] == "00000033-0000-4000-8000-000000000033" and "vendor's message" in found["what"]
    found = find(causes(blank["foreign_answer"]), "foreign_message")
    assert found["other_escrow"] == "00000035-0000-4000-8000-000000000035" and found["role"] == "vendor"
    assert "attempt 1" in find(causes(blank["old_message"]), "foreign_message")["what"]


def test_nothing_found_is_said(traces):
    result = run("diagnose", *traces["good_many"])
    assert result.returncode == 0 and result.stdout == b"nothing found\n"


def test_the_order_of_files_does_not_matter(traces):
    paths = traces["pollution"]
    one, other = causes(paths), causes(paths[::-1])
    assert sorted(f["cause"] for f in one) == sorted(f["cause"] for f in other)
    assert find(one, "pollution")["other_escrow"] == find(other, "pollution")["other_escrow"]


# --- every command, -j, and the exit statuses -------------------------------------------

@pytest.mark.parametrize("command", COMMANDS)
def test_commands_give_one_document(traces, command):
    paths = traces["pollution"][:COMMANDS[command]]
    assert run(command, *paths).stdout
    document = run("-j", command, *paths)
    assert isinstance(json.loads(document.stdout), dict) and document.stdout.count(b"\n") == 1


def test_exit_statuses(traces, folder):
    good, bad = traces["good"][0], traces["down"][0]
    (folder / "empty.json").write_text("")
    assert run("show", good).returncode == 0
    assert run("show", bad).returncode == 1
    for command in ("timeline", "stats"):
        assert run(command, good).returncode == 0 and run(command, bad).returncode == 1
    assert run("snapshots", bad).returncode == 0 and run("snapshots", traces["pollution_by_address"][-1]).returncode == 1
    assert run("export", "-f", "chrome", bad).returncode == 0
    assert run("compare", good, traces["good_fresh"][0]).returncode == 0
    assert run("compare", good, bad).returncode == 1
    assert run("show").returncode == 2
    assert run("shw", good).returncode == 2 and b"did you mean show" in run("shw", good).stderr
    assert run("export", good).returncode == 2
    for path in (folder / "no.json", folder / "empty.json", folder, "/dev/zero"):
        assert run("show", path).returncode == 2
    # what can be read is shown
    both = run("diagnose", bad, folder / "no.json")
    assert both.returncode == 2 and b"endpoint_down" in both.stdout and b"no.json" in both.stderr
    assert run("-V").stdout.startswith(b"msigtrace ") and run("--help").returncode == 0
    for command in (*COMMANDS, "compare", "export"):
        assert run(command, "--help").stdout.startswith(b"usage: msigtrace " + command.encode())


def test_a_pipe_is_read_to_its_end(traces, folder):
    """As of `ssh host cat`; whoever writes may come late."""
    path, fifo = traces["down"][0], folder / "fifo"
    with open(path, "rb") as f, subprocess.Popen(["sh", "-c", "sleep 0.2; cat"], stdin=f, stdout=subprocess.PIPE) as slow:
        assert b"endpoint_down" in run("diagnose", "/dev/stdin", stdin=slow.stdout).stdout
    os.mkfifo(fifo)
    with subprocess.Popen([harness.STAGE / "bin/msigtrace", "diagnose", fifo], stdout=subprocess.PIPE) as reading:
        fifo.write_bytes(path.read_bytes())
        assert b"endpoint_down" in reading.communicate(timeout=60)[0] and reading.returncode == 1
    with subprocess.Popen(["head", "-c", str(17 << 20), "/dev/zero"], stdout=subprocess.PIPE) as much:
        assert b"larger than 16 MiB" in run("show", "/dev/stdin", stdin=much.stdout).stderr


def test_show_of_a_trace_without_calls(folder):
    path = folder / "escrow.jsonl"
    path.write_text(made_trace.Trace(6).lines())
    assert b"\n\n" not in run("show", path).stdout


def test_one_file_twice_is_told_once(traces):
    path = traces["good"][0]
    result = run("compare", path, path)
    assert result.returncode == 2 and result.stderr == b"msigtrace: compare: two escrows are needed, and this is one\n"


def test_compare_shows_the_first_difference(traces):
    document = json.loads(run("-j", "compare", traces["good"][0], traces["torn_wallet"][0]).stdout)
    assert document["role"] == "vendor" and not document["same"]
    assert document["bad_step"]["method"] == "exchange_multisig_keys" and document["bad_step"]["outcome"] == "unknown"


POINTS = ["PRE_ROUND1", "POST_PREPARE", "POST_MAKE_MULTISIG", "PRE_ROUND2", "POST_EXPORT_MULTISIG", "PRE_ROUND3",
          "POST_IMPORT_MULTISIG", "FINAL"]


@pytest.mark.parametrize("name", ["good", "good_overtaking"])
def test_snapshots_stand_by_their_point(traces, name):
    """Also when a role is at the next point before another comes to this one."""
    lines = run("snapshots", traces[name][0]).stdout.decode().splitlines()
    assert [line for line in lines if line in POINTS] == POINTS
    points = json.loads(run("-j", "snapshots", traces[name][0]).stdout)["points"]
    assert [p["point"] for p in points] == [f"SNAPSHOT_{p}" for p in POINTS]
    for p, before in zip(points, [None, *points]):
        assert [w["role"] for w in p["wallets"]] == list(made_trace.ROLES) and p["attempt"] == 1 and not p["again"]
        for i, w in enumerate(p["wallets"]):
            if before is None:
                assert w["changed"] is None
                continue
            old = before["wallets"][i]["snapshot"]
            assert set(w["changed"]) - {"placeholder"} == {
                k for k in w["snapshot"] if k not in ("collection_time_ms", "role", "placeholder") and w["snapshot"][k] != old[k]}
            assert all(c == [old.get(k, False), w["snapshot"].get(k, False)] for k, c in w["changed"].items())
    # what all have alike is said once
    assert [line for line in lines if "ready no -> yes" in line and line.split()[0] == "all"]


def test_a_point_that_comes_again_and_another_attempt(folder):
    t = made_trace.Trace(9)
    t.begin()
    t.rounds(2)
    t.go_on("worker_died")
    t.snapshot("POST_MAKE_MULTISIG", "vendor", stamp_ok=False, found_escrow=t.id)
    t.attempt = 2
    t.state = dict.fromkeys(t.state, "new")
    t.snapshots("PRE_ROUND1")
    path = t.write(folder)
    points = json.loads(run("-j", "snapshots", path).stdout)["points"]
    assert [(p["attempt"], p["point"][9:], p["again"], len(p["wallets"])) for p in points] == [
        (1, "PRE_ROUND1", False, 3), (1, "POST_PREPARE", False, 3), (1, "POST_MAKE_MULTISIG", False, 3),
        (1, "POST_MAKE_MULTISIG", True, 1), (2, "PRE_ROUND1", False, 3)]
    assert points[3]["wallets"][0]["changed"] == {"stamp_ok": [True, False], "found_escrow": [None, t.id]}
    assert all(w["changed"] is None for w in points[4]["wallets"])
    text = run("snapshots", path).stdout.decode()
    assert "POST_MAKE_MULTISIG, again" in text and "attempt 2, PRE_ROUND1" in text and f"no, of {t.id}" in text


def test_a_column_of_errors_is_there_when_there_are_any(traces):
    for command, heading in (("stats", "ERRORS"), ("show", "WRONG")):
        assert heading not in run(command, traces["good"][0]).stdout.decode()
        assert heading in run(command, traces["down"][0]).stdout.decode()


def test_show_tells_of_what_is_no_call(traces):
    """Who reads only this must not miss that a wallet was polluted, or a worker killed."""
    good = run("show", traces["good"][0])
    assert good.returncode == 0 and b"none wrong" in good.stdout and b"what else" not in good.stdout
    for name, word, mark in (("two_parties", "CACHE_POLLUTION_DETECTED", "problem"), ("worker_killed", "SIGKILL", "problem"),
                             ("torn_wallet", "interrupted", "notable")):
        result = run("show", traces[name][0])
        assert result.returncode == 1 and word in result.stdout.decode().split("what else happened")[1]
        assert [e for e in json.loads(run("-j", "show", traces[name][0]).stdout)["notable"] if word in e["text"] and e["mark"] == mark]


def test_show_of_an_escrow_that_was_stopped_on_the_way(traces):
    """msigd was stopped and started again, and it is Ready: diagnose says clean, and so does show."""
    path = traces["good_restarted_cleanly"][0]
    result = run("show", path)
    assert result.returncode == 0 and b"stopped" in result.stdout.split(b"what else happened")[1]
    assert {e["mark"] for e in json.loads(run("-j", "show", path).stdout)["notable"]} == {"notable"}


def test_show_of_a_worker_that_was_ended_before_it_began(folder):
    t = make_traces.good()[0]
    t.add("WORKER_EXITED", worker=7, job="session", duration_ms=1, ok=False, signal="SIGTERM", stopped=True)
    path = t.write(folder)
    assert run("show", path).returncode == 0 and run("timeline", path).returncode == 0


def test_show_counts_the_setup(traces):
    """Hours of a session are not where the time went."""
    document = json.loads(run("-j", "show", traces["good_session"][0]).stdout)
    assert document["result"] == "Ready" and document["later_calls"] == 18  # closing them included
    assert "get_balance" not in {c["method"] for c in document["calls"]}
    assert b"18 of these calls" in run("show", traces["good_session"][0]).stdout


def test_a_name_that_is_no_utf8(traces, folder):
    path = bytes(folder) + b"/escrow_\xff.json"
    with open(path, "wb") as copy:
        copy.write(traces["down"][0].read_bytes())
    for arguments in (*([c, path] for c in COMMANDS), ["compare", traces["good"][0], path], ["export", "-f", "html", path]):
        result = run("-j", *arguments)
        assert isinstance(json.loads(result.stdout), dict) and result.returncode in (0, 1)
    assert find(json.loads(run("-j", "diagnose", path).stdout)["findings"], "endpoint_down")["file"].endswith("/escrow_?.json")


def on_terminal(columns, *arguments, **environment):
    """What is seen on one of so many columns, and as it was sent."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    sent = b""
    with subprocess.Popen([harness.STAGE / "bin/msigtrace", *arguments], stdout=theirs, stderr=theirs,
                          env={"TERM": "xterm", "LC_ALL": "C.UTF-8", **environment}) as process:
        os.close(theirs)
        while True:
            try:
                more = os.read(ours, 65536)
            except OSError:  # so ends a terminal
                break
            sent += more
        assert process.wait(60) in (0, 1)
    os.close(ours)
    return re.sub("\x1b\\[[0-9;]*m", "", sent.decode()).splitlines(), sent


def test_what_fits_a_terminal_of_80_columns(traces):
    paths = traces["pollution"]
    for command in ("stats", "snapshots", "diagnose"):
        lines, _ = on_terminal(80, command, *paths[-COMMANDS[command]:])
        assert [line for line in lines if len(line) > 80] == [], command
    # a line an event, but for what went wrong, which is shown whole
    lines, _ = on_terminal(80, "timeline", paths[-1])
    assert [line for line in lines if len(line) > 80 and line[13] != "!"] == []
    assert len(lines) == len(json.loads(paths[-1].read_bytes())["events"])


def test_a_narrow_terminal_shows_which_endpoint_it_was(traces):
    lines, _ = on_terminal(70, "stats", traces["good"][0])
    assert all(any(f"port {port}" in line for line in lines) for port in (18082, 18083, 18084))


def test_colours_on_a_terminal_only(traces):
    path = traces["down"][0]
    for command in ("show", "timeline", "snapshots", "diagnose"):
        assert b"\x1b[" in on_terminal(200, command, path)[1]
        for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            assert b"\x1b" not in on_terminal(200, command, path, **environment)[1]
        assert b"\x1b" not in run(command, path).stdout


def test_lanes(traces):
    lines = run("timeline", "--lanes", traces["good"][0]).stdout.decode().splitlines()
    starts = {line.index("make_multisig") for line in lines if "make_multisig ..." in line}
    assert len(starts) == 3


# --- damaged and hostile files ------------------------------------------------------------

def test_a_trace_that_was_cut_off_anywhere(folder):
    whole = make_traces.worker_killed()[0].lines().encode()
    path = folder / "escrow.jsonl"
    for size in range(200, len(whole), 977):
        path.write_bytes(whole[:size])
        result = run("-j", "diagnose", path)
        assert result.returncode in (0, 1), result.stderr
        document = json.loads(result.stdout)
        assert document["files"][0]["cut"] == (b"not whole" in result.stderr)


def test_a_broken_line_costs_itself(folder):
    lines = make_traces.down()[0].lines().splitlines(keepends=True)
    path = folder / "escrow.jsonl"
    lines[5] = '{"seq": 5, "type": "LEA\n'
    path.write_text("".join(lines))
    result = run("diagnose", path)
    assert result.returncode == 1 and b"endpoint_down" in result.stdout
    assert b"1 broken line left out, the first is line 6" in result.stderr


def test_a_broken_event_of_a_finished_trace_costs_itself(folder):
    """As much as of one that is under way: what is left of it is diagnosed."""
    path = make_traces.pollution_alone()[0].write(folder)
    lines = path.read_text().splitlines(keepends=True)
    lines[20] = lines[20][:15] + "\n"
    path.write_text("".join(lines))
    result = run("diagnose", path)
    assert result.returncode == 1 and b"pollution" in result.stdout
    assert result.stderr.endswith(b": 1 broken line left out, the first is line 21\n")


def test_nothing_found_in_what_is_damaged_is_not_clean(folder):
    path = make_traces.good()[0].write(folder)
    assert run("diagnose", path).returncode == 0
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:5], "{\n", *lines[6:]]))
    result = run("diagnose", path)
    assert result.returncode == 2 and result.stdout == b"nothing found, but not all of the files could be read\n"


@pytest.mark.parametrize("lines_go", ["further", "less far"])
def test_of_two_files_of_one_escrow_the_one_that_goes_further_counts(folder, lines_go):
    t = make_traces.down()[0]
    whole, lines = t.events, folder / "a.jsonl"
    t.events = whole[:10] if lines_go == "further" else whole
    finished = t.write(folder)
    t.events = whole if lines_go == "further" else whole[:10]
    lines.write_text(t.lines())
    counts = lines if lines_go == "further" else finished
    for order in ((finished, lines), (lines, finished)):
        result = run("-j", "diagnose", *order)
        assert [f["file"] for f in json.loads(result.stdout)["files"]] == [str(counts)]
        assert b"only" in result.stderr
    # as msigd has them while something is added: nothing to tell
    twin = finished.with_suffix(".jsonl")
    lines.rename(twin)
    result = run("-j", "diagnose", finished, twin)
    assert result.stderr == b"" and json.loads(result.stdout)["files"][0]["file"].endswith(counts.suffix)


def test_a_file_that_was_folded_meanwhile_is_found(folder):
    """msigctl trace said .jsonl, and then the escrow was at its end; and the other way."""
    t = make_traces.good()[0]
    path = t.write(folder)
    assert run("show", path.with_suffix(".jsonl")).returncode == 0
    path.unlink()
    assert run("show", path).returncode == 2 and b"No such file" in run("show", path).stderr
    path.with_suffix(".jsonl").write_text(t.lines())
    assert run("show", path).returncode == 0


HOSTILE = "\x1b]0;x\x07\x1b[2J\u009b31m\u202e\r\n</script><script>alert(1)</script>&'\"\u0085\x7f"


def hostile(thing):
    """Every text that is no name of ours is replaced."""
    if isinstance(thing, list):
        return [hostile(t) for t in thing]
    if isinstance(thing, dict):
        return {k: hostile(v) for k, v in thing.items()}
    return HOSTILE if isinstance(thing, str) and thing not in made_trace.ROLES and not thing.isupper() and "_" not in thing else thing


def test_no_control_character_reaches_the_terminal(folder):
    for ascii_locale in (True, False):
        for name in ("torn_wallet", "pollution", "two_parties"):
            for i, t in enumerate(make_traces.SCENARIOS[name][0]()):
                path = folder / f"{name}{i}.json"
                path.write_text(json.dumps(hostile({**t.header, "events": t.events})))
                for command in ("show", "timeline", "stats", "snapshots", "diagnose"):
                    for form in ((), ("-j",)):
                        result = run(*form, command, path, env={"LC_ALL": "C" if ascii_locale else "C.UTF-8"})
                        said = result.stdout + result.stderr
                        assert result.returncode in (0, 1)
                        assert not [c for c in said if c in NEVER], (name, command, form)
                        assert "\u009b" not in said.decode("utf-8", "replace") and "\u202e" not in said.decode("utf-8", "replace")


# --- exports ---------------------------------------------------------------------------------

class Page(HTMLParser):
    """What is in it: tags, and whether they fit."""

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], {}

    def handle_starttag(self, tag, attributes):
        self.seen[tag] = self.seen.get(tag, 0) + 1
        for name, value in attributes:
            assert not name.startswith("on") and name not in ("src", "href"), (tag, name)
            if name == "xmlns":
                assert value == "http://www.w3.org/2000/svg"
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def page_of(*paths):
    result = run("export", "--format", "html", *paths)
    assert result.returncode == 0
    text = result.stdout.decode()
    page = Page()
    page.feed(text)
    assert page.open == [] and "script" not in page.seen and "url(" not in text and "@import" not in text
    return page, text


def test_the_page_stands_by_itself(traces, folder):
    page, text = page_of(*traces["pollution"])
    assert page.seen["svg"] == 3 and page.seen["rect"] > 30
    assert "prefers-color-scheme:dark" in text and "default-src 'none'" in text and "pollution" in text
    t = make_traces.torn_wallet()[0]
    path = folder / "hostile.json"
    path.write_text(json.dumps(hostile({**t.header, "events": t.events})))
    page_of(path)


def test_the_page_of_hours_is_not_hours_wide(traces):
    _, text = page_of(*traces["good_session"])
    assert int(text.split('<svg xmlns="http://www.w3.org/2000/svg" width="')[1].split('"')[0]) < 3000
    assert "40 min" in text


def test_chrome_events_have_what_the_format_wants(traces):
    result = run("export", "-f", "chrome", *traces["pollution"])
    document = json.loads(result.stdout)
    assert result.returncode == 0 and document["displayTimeUnit"] == "ms"
    kinds = set()
    for e in document["traceEvents"]:
        kinds.add(e["ph"])
        assert isinstance(e["name"], str) and isinstance(e["pid"], int) and isinstance(e["tid"], int)
        if e["ph"] == "M":
            assert e["name"] in ("process_name", "thread_name", "thread_sort_index") and e["args"]
            continue
        assert e["ts"] >= 0 and isinstance(e["cat"], str) and isinstance(e["args"], dict)
        if e["ph"] == "X":
            assert e["dur"] >= 0
        else:
            assert e["ph"] == "i" and e["s"] in "tpg"
    assert kinds == {"M", "X", "i"}
    calls = [e for e in document["traceEvents"] if e["ph"] == "X" and e["name"] == "make_multisig"]
    assert len(calls) >= 6 and all(e["args"]["outcome"] in ("ok", "error") for e in calls)


def first_calls(*paths):
    """When the first call of each process began, in microseconds."""
    document = json.loads(run("export", "-f", "chrome", *paths).stdout)
    calls = [e for e in document["traceEvents"] if e["ph"] == "X" and e["cat"].startswith("rpc")]
    return [min(e["ts"] for e in calls if e["pid"] == pid) for pid in sorted({e["pid"] for e in calls})]


def test_chrome_events_of_days_are_exact_to_a_microsecond(folder):
    week = 7 * 24 * 60 * 60 * 1000
    one, other = make_traces.good()[0], make_traces.good(2, began=week)[0]
    for t in (one, other):
        first = next(e for e in t.events if e["type"] == "RPC_CALL_START")
        first["t_ms"] = 3.217
    assert first_calls(one.write(folder), other.write(folder)) == [3217, week * 1000 + 3217]


def test_a_trace_without_a_header_moves_no_other(folder):
    path = make_traces.good(2)[0].write(folder)
    headless = folder / "headless.jsonl"
    headless.write_text("".join(make_traces.good()[0].lines().splitlines(keepends=True)[1:]))
    began, = first_calls(path)
    assert first_calls(headless, path)[1] == began and first_calls(path, headless)[0] == began
