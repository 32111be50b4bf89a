"""Where an interrupted escrow goes on: each wallet by itself, at its home as long as
that may come back, else wherever its copy can be written."""
import os
import signal

import pytest

from harness import ROLES, section
from machine import LIMIT, wait_for
from stand_ins import Stood
from test_recovery import attempts, hold


@pytest.fixture
def one_each(stand_in):
    """An endpoint for each role, of which msigd cannot read the files."""
    side = stand_in()
    return {role: Stood(side, number) for number, role in enumerate(ROLES)}


def sections(endpoints, **options):
    return [section(role, endpoint, role=role, **options) for role, endpoint in endpoints.items()]


def wallets(found):
    return {p["role"]: (p["endpoint"], p["wallet"]) for p in found["participants"]}


def kill_worker(m, escrow):
    m.expect("worker_died")
    pid, = m.workers(f"setup {escrow}")
    os.kill(pid, signal.SIGKILL)


def test_only_the_wallet_that_is_homeless_moves_and_where_it_can_be_written(msigd, stand_in, one_each, proxy):
    go_on, rule = hold("make_multisig")
    others = stand_in()
    watched = proxy(one_each["vendor"], rule)
    m = msigd([*sections({"buyer": one_each["buyer"]}, wallet_dir=""), *sections({"vendor": watched, "arbiter": one_each["arbiter"]}),
               section("bare", Stood(others, 0), role="vendor", wallet_dir=""), section("other", Stood(others, 1), role="vendor")])
    m.wait_idle(5)
    for name in ("bare", "other"):
        m.api("set_endpoint", name=name, state="out")
    escrow = m.open()
    assert watched.held.wait(LIMIT)
    before = wallets(m.get(escrow))
    m.api("set_endpoint", name="bare", state="in")
    m.wait_endpoint("bare", "idle")     # it has been free for longer
    m.api("set_endpoint", name="other", state="in")
    m.wait_endpoint("other", "idle")
    m.api("set_endpoint", name="vendor", state="out")
    m.wait_steps(escrow, 2, 2)          # what the others did is on record
    kill_worker(m, escrow)
    go_on.set()
    found = m.ready(escrow)
    after = wallets(found)
    assert found["attempt"] == 1 and after["vendor"][0] == "other" and after["vendor"] != before["vendor"]
    assert (after["buyer"], after["arbiter"]) == (before["buyer"], before["arbiter"])
    line, = m.logged("escrow_goes_elsewhere")
    assert (line["role"], line["endpoint"], line["state"]) == ("vendor", "vendor", "out")


def test_one_that_has_no_wallet_yet_costs_the_others_nothing(msigd, stand_in, one_each, proxy):
    go_on, rule = hold("create_wallet")
    watched = proxy(one_each["arbiter"], rule)
    m = msigd(sections({**one_each, "arbiter": watched}, wallet_dir=""))
    m.wait_idle(3)
    escrow = m.open()
    assert watched.held.wait(LIMIT)
    done = wait_for(lambda: [p for p in m.get(escrow)["participants"] if "prepare" in p["completed"]][1:], "the other two")
    assert done
    before = wallets(m.get(escrow))
    others = stand_in()
    m.configure([*sections({role: one_each[role] for role in ("buyer", "vendor")}, wallet_dir=""),
                 section("another", Stood(others, 0), role="arbiter", wallet_dir="")])
    assert m.ctl("reload").returncode == 0
    m.wait_endpoint("another", "idle")
    kill_worker(m, escrow)
    go_on.set()
    found = m.ready(escrow)
    after = wallets(found)
    assert found["attempt"] == 1 and after["arbiter"][0] == "another"
    assert (after["buyer"], after["vendor"]) == (before["buyer"], before["vendor"])


def test_wallet_without_copy_is_waited_for_and_the_status_says_where(msigd, one_each, proxy):
    watched = proxy(one_each["vendor"], lambda method, params, nth: "leave" if (method, nth) == ("store", 1) else None)
    m = msigd(sections({**one_each, "vendor": watched}, wallet_dir=""), max_attempts=1)
    m.wait_idle(3)
    escrow = m.open()
    m.wait_endpoint("vendor", "down")
    wanted = "waits for endpoint vendor, where the vendor's wallet is ("  # before that, for those that are being probed
    wait_for(lambda: m.get(escrow)["status"].startswith(wanted), "it waits for the vendor's endpoint")
    assert m.api("get_status")["queue"]["length"] == 1
    assert "\nmsigd_queue_length 1\n" in m.http("GET", "/metrics")[2].decode()
    before = wallets(m.get(escrow))
    watched.listen()
    found = m.ready(escrow)
    assert found["attempt"] == 1 and wallets(found) == before
    assert m.api("get_status")["queue"]["length"] == 0


def test_wallet_without_copy_that_does_not_come_back_costs_the_attempt(msigd, one_each, stand_in, proxy):
    go_on, rule = hold("make_multisig")
    watched = proxy(one_each["vendor"], rule)
    m = msigd(sections({**one_each, "vendor": watched}, wallet_dir=""))
    m.wait_idle(3)
    escrow = m.open()
    assert watched.held.wait(LIMIT)
    m.configure([*sections({role: one_each[role] for role in ("buyer", "arbiter")}, wallet_dir=""),
                 section("another", Stood(stand_in(), 0), role="vendor")])
    assert m.ctl("reload").returncode == 0
    m.wait_endpoint("another", "idle")
    kill_worker(m, escrow)
    go_on.set()
    assert m.ready(escrow)["attempt"] == 2
    assert attempts(m, escrow) == [(2, "not_recovered", "vendor: endpoint vendor, where its wallet is, is not in the configuration "
                                    "any more, and there is no copy of the wallet")]


def test_wallet_without_copy_whose_endpoint_is_out_costs_the_attempt(msigd, one_each, stand_in, proxy):
    go_on, rule = hold("make_multisig")
    watched = proxy(one_each["vendor"], rule)
    m = msigd([*sections({**one_each, "vendor": watched}, wallet_dir=""),
               section("another", Stood(stand_in(), 0), role="vendor", wallet_dir="")])
    m.api("set_endpoint", name="another", state="out")
    m.wait_idle(3)
    escrow = m.open()
    assert watched.held.wait(LIMIT)
    m.api("set_endpoint", name="vendor", state="out")
    m.api("set_endpoint", name="another", state="in")
    m.wait_endpoint("another", "idle")
    kill_worker(m, escrow)
    go_on.set()
    assert m.ready(escrow)["attempt"] == 2
    assert attempts(m, escrow) == [(2, "not_recovered", "vendor: endpoint vendor, where its wallet is, is out (taken out by hand), "
                                    "and there is no copy of the wallet")]
