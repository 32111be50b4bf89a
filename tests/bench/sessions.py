"""A request to the wallets of a Ready escrow: of a session that is open, of one
that must be opened first, and the same calls without msigd."""
import statistics
import time

import raw_setup
from machine import wait_for
from servers import Msigd

TIMES = 40


def _until_session(msigd):
    wait_for(lambda: len(msigd.post("get_sessions")[1]) == 1, "a session")


def measure(rpcs, stage, runs, say):
    """Medians, ms."""
    raw, warm, cold = [], [], []
    for number in range(1, runs + 1):
        say(f"sessions: run {number} of {runs}")
        raw += raw_setup.ask_seconds(rpcs.ports[6:9], f"ask{number}-{time.monotonic_ns()}", TIMES)
        msigd = Msigd(stage, rpcs, 6, session_max=10)
        try:
            msigd.wait_until_free()
            escrow = msigd.open()[1][0]["escrow_id"]
            _until_session(msigd)
            warm += [msigd.post("get_escrow", escrow_id=escrow, refresh=True)[0] for _ in range(TIMES)]
            msigd.post("close_session", escrow_id=escrow)
            cold.append(msigd.post("get_escrow", escrow_id=escrow, refresh=True)[0])
        finally:
            msigd.end()
    return {name: statistics.median(values) * 1000 for name, values in (("raw_ms", raw), ("warm_ms", warm), ("cold_ms", cold))}
