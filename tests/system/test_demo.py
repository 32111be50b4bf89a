"""make demo, as it is called there: three addresses, and nothing left behind."""
import os
import re
import signal
import subprocess
from pathlib import Path

import harness

DEMO = Path(__file__).resolve().parents[2] / "demo/demo.py"


def start(folder):
    # its own process group, as a terminal gives it one
    return subprocess.Popen(["/usr/bin/python3", str(DEMO), str(harness.STAGE)], stdout=subprocess.PIPE, text=True,
                            env={**os.environ, "TMPDIR": str(folder)}, start_new_session=True)


def test_the_demo_shows_three_addresses_and_leaves_nothing(folder):
    demo = start(folder)
    out, _ = demo.communicate(timeout=300)
    assert demo.returncode == 0, out
    shown = re.search(r"their addresses\n(.*?)\n\n", out, re.DOTALL).group(1)
    addresses = re.findall(r"\b[9A][1-9A-HJ-NP-Za-km-z]{94}\b", shown)
    assert len(set(addresses)) == 3, out
    assert "where the time went" in out
    assert "\x1b" not in out and "\r" not in out  # plain lines where there is no terminal
    assert list(folder.iterdir()) == []


def test_an_interrupted_demo_leaves_nothing(folder):
    demo = start(folder)
    for line in demo.stdout:
        if "Exchanging" in line:  # wallets are at work
            break
    os.killpg(demo.pid, signal.SIGINT)
    out, _ = demo.communicate(timeout=120)
    assert demo.returncode == 130, out
    assert list(folder.iterdir()) == []
