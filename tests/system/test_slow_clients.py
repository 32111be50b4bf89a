"""Clients that stop in the middle. msigd gives them half a minute: they are set
up when the run begins (see conftest.py), and looked at here, last of all."""

import time

from machine import wait_for


def closed(connection):
    """Whether msigd has closed it."""
    try:
        while connection.recv(65536):
            pass
        return True
    except (BlockingIOError, TimeoutError):
        return False
    except ConnectionError:
        return True


def test_half_a_request_is_closed(slow_clients):
    assert slow_clients.msigd.api("get_info")
    for what, connection in slow_clients.halves.items():
        connection.setblocking(False)
        wait_for(lambda: closed(connection), f"the end of {what}")


def test_request_that_comes_byte_by_byte_is_closed(slow_clients):
    wait_for(lambda: time.monotonic() > slow_clients.dribbled_until + 10, "more than half a minute")
    assert 20 < slow_clients.dribbled_until - slow_clients.began < 60


def test_reader_of_events_that_reads_slowly_is_kept(slow_clients):
    wait_for(lambda: time.monotonic() > slow_clients.began + 45, "more than half a minute, and some of the next")
    assert len(slow_clients.msigd.logged("events_reader_cut_off")) == 1  # the one that does not read


def test_reader_of_events_that_does_not_read_is_cut_off(slow_clients):
    wait_for(lambda: slow_clients.msigd.logged("events_reader_cut_off"), "its end")
    assert slow_clients.msigd.api("get_status")["escrows"]["NotStarted"] == 6000


def test_reader_of_events_that_only_waits_is_kept(slow_clients):
    escrow = slow_clients.msigd.open()
    slow_clients.quiet.wait(type="escrow_opened", escrow_id=escrow)
