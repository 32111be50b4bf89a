"""Where log lines go, and what they are made of."""
import json
import os
import socket
import uuid

import pytest

from machine import wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a folder with another journal's socket")

# journald's socket is another one, for one msigd only; standard error is the log file
JOURNAL = ('mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal && mount --bind {folder} /run/systemd/journal && '
           'export JOURNAL_STREAM="$({stream})" && exec "$@"')
STDERR = "stat -L -c %d:%i /proc/$$/fd/2"


class Journal:
    """What journald would get."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(folder / "socket"))
        self.socket.setblocking(False)
        self.entries = []

    def wrap(self, stream=STDERR):
        return ["unshare", "-m", "sh", "-c", JOURNAL.format(folder=self.folder, stream=stream), "sh"]

    def read(self):
        """All entries so far."""
        try:
            while True:
                self.entries.append(dict(line.split("=", 1) for line in self.socket.recv(1 << 20).decode().splitlines()))
        except BlockingIOError:
            return self.entries

    def wait(self, **fields):
        return wait_for(lambda: next((e for e in self.read() if all(e.get(k) == v for k, v in fields.items())), None), f"{fields}")


@pytest.fixture
def journal(folder):
    made = Journal(folder / "journal")
    yield made
    made.socket.close()


def test_under_systemd_lines_go_to_the_journal_with_their_fields(msigd, dead, journal):
    m = msigd([dead], wrap=journal.wrap(), log_level="info")
    escrow = m.open(escrow_id=str(uuid.uuid4()))
    line = journal.wait(MSIGD_EVENT="request")
    assert (line["MSIGD_METHOD"], line["MSIGD_ESCROW"], line["MSIGD_UID"]) == ("open_escrow", escrow, str(os.getuid()))
    assert (line["PRIORITY"], line["SYSLOG_IDENTIFIER"]) == ("6", "msigd")
    assert journal.wait(MSIGD_EVENT="endpoint_down")["PRIORITY"] == "4"
    m.stop()
    journal.wait(MSIGD_EVENT="stopped")
    for entry in journal.read():
        said = json.loads(entry["MESSAGE"])
        assert said["event"] == entry["MSIGD_EVENT"] and "time" in said
        assert {f"MSIGD_{k.upper()}": str(v) for k, v in said.items() if k not in ("time", "level")} == \
            {k: v for k, v in entry.items() if k.startswith("MSIGD_")}
    assert m.log.read_text() == ""


@pytest.mark.parametrize("stream", ["echo 1:1", "echo nonsense", "echo"])
def test_another_standard_error_is_written_to(msigd, dead, journal, stream):
    m = msigd([dead], wrap=journal.wrap(stream))
    assert m.logged("started") and not journal.read()
