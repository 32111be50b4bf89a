"""Starting msigd where it cannot: it says why, and leaves what it found as it was."""
import os
import re
import socket
import subprocess

import pytest

from harness import STAGE
from machine import descendants, free_ports, listens, wait_for

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts and chowns")


def test_second_msigd_with_the_same_run_dir_is_refused(msigd, dead):
    first = msigd([dead])
    second = msigd([dead], start=False, **{"run-dir": first.run, "socket": first.folder / "other.sock"})
    said = second.refused()
    assert "another msigd runs already" in said and str(first.process.pid) in said
    assert first.api("get_info")["pid"] == first.process.pid


def test_second_msigd_on_the_same_state_dir_is_refused(msigd, dead):
    first = msigd([dead])
    escrow = first.open()
    second = msigd([dead], start=False, **{"state-dir": first.state})
    said = second.refused()
    assert "msigd.db" in said and "another process has it open" in said
    assert first.get(escrow)["phase"] == "NotStarted"


def test_second_msigd_on_the_same_socket_is_refused(msigd, dead):
    first = msigd([dead])
    said = msigd([dead], start=False, socket=first.socket).refused()
    assert str(first.socket) in said and "listens there already" in said
    assert first.api("get_info")["pid"] == first.process.pid


def test_place_of_the_socket_taken_by_a_file(msigd, dead, folder):
    place = folder / "precious"
    place.write_text("data")
    said = msigd([dead], start=False, socket=place).refused()
    assert str(place) in said and "no socket" in said
    assert place.read_text() == "data"


def test_socket_left_by_a_killed_msigd_is_replaced(msigd, dead):
    m = msigd([dead])
    m.kill()
    assert m.socket.exists()
    m.start()


def test_missing_program_is_named(msigd):
    for program in ("/nowhere/monero-wallet-rpc", "no-such-wallet-rpc"):
        said = msigd(start=False, managed={"program": program, "count": 3, "port-base": free_ports(3)}).refused()
        assert program in said and "program" in said


@as_root
def test_folder_of_another_user_is_refused(msigd, folder):
    for key in ("state-dir", "wallet-dir", "lock-dir"):
        place = folder / key
        place.mkdir()
        os.chown(place, 65534, 65534)
        said = msigd(start=False, managed={"count": 3, "port-base": free_ports(3)}, **{key: place}).refused()
        assert key in said and str(place) in said and "belongs to uid 65534" in said
        assert list(place.iterdir()) == []


@as_root
def test_wallet_dir_that_cannot_be_written_is_refused(msigd, folder):
    place = folder / "ro"
    place.mkdir()
    m = msigd(start=False, managed={"count": 3, "port-base": free_ports(3)}, **{"wallet-dir": place},
              wrap=["unshare", "-m", "sh", "-c", f'mount -t tmpfs -o ro none {place} && exec "$@"', "sh"])
    said = m.refused()
    assert "wallet-dir" in said and str(place) in said and "Read-only file system" in said


def test_folder_that_is_a_file_is_refused(msigd, folder, dead):
    place = folder / "file"
    place.write_text("data")
    said = msigd([dead], start=False, **{"state-dir": place}).refused()
    assert "state-dir" in said and str(place) in said
    assert place.read_text() == "data"


# --- the key and the store ---------------------------------------------------------

def test_key_is_private_and_keeps_its_fingerprint(msigd, dead):
    m = msigd([dead])
    fingerprint = m.api("get_info")["key"]["fingerprint"]
    assert re.fullmatch("[0-9a-f]{16}", fingerprint)
    assert (m.state / "key").stat().st_mode & 0o777 == 0o400 and (m.state / "key").stat().st_size == 32
    assert m.state.stat().st_mode & 0o777 == 0o700
    assert {p.name: oct(p.stat().st_mode & 0o077) for p in m.state.glob("msigd.db*")} == \
        {p.name: "0o0" for p in m.state.glob("msigd.db*")}
    m.stop()
    m.start()
    assert m.api("get_info")["key"]["fingerprint"] == fingerprint


def test_key_of_another_store_is_refused(msigd, dead):
    m, other = msigd([dead]), msigd([dead])
    keys = [one.api("get_info")["key"]["fingerprint"] for one in (m, other)]
    for one in (m, other):
        one.stop()
    own = (m.state / "key").read_bytes()
    (m.state / "key").unlink()
    (other.state / "key").rename(m.state / "key")
    said = m.refused()
    assert str(m.state / "msigd.db") in said and all(key in said for key in keys)
    (m.state / "key").unlink()
    (m.state / "key").write_bytes(own)
    (m.state / "key").chmod(0o400)
    m.start()


def test_key_that_others_can_read_is_refused(msigd, dead):
    m = msigd([dead])
    m.stop()
    for mode in (0o440, 0o404, 0o420):
        (m.state / "key").chmod(mode)
        said = m.refused()
        assert "key-file" in said and f"{mode:04o}" in said and "chmod 0400" in said
    (m.state / "key").chmod(0o400)
    m.start()


def test_missing_key_with_a_store_is_refused(msigd, dead):
    m = msigd([dead])
    escrow = m.open()
    m.stop()
    (m.state / "key").rename(m.folder / "key")
    assert "is missing" in m.refused()
    assert not (m.state / "key").exists()
    (m.folder / "key").rename(m.state / "key")
    m.start()
    assert m.get(escrow)["phase"] == "NotStarted"


def test_key_of_the_wrong_length_is_refused(msigd, dead, folder):
    (folder / "short").write_bytes(b"x" * 31)
    (folder / "short").chmod(0o400)
    assert "exactly 32 bytes" in msigd([dead], start=False, **{"key-file": folder / "short"}).refused()


def test_store_that_is_no_store_is_refused(msigd, dead):
    m = msigd([dead])
    m.stop()
    for path in m.state.glob("msigd.db*"):
        path.unlink()
    (m.state / "msigd.db").write_bytes(b"this is no database at all, and long enough" * 100)
    said = m.refused()
    assert "msigd.db" in said and "no SQLite database" in said
    assert (m.state / "msigd.db").read_bytes().startswith(b"this is no")


def test_store_of_a_newer_msigd_is_refused(msigd, dead):
    m = msigd([dead])
    m.stop()
    subprocess.run(["sqlite3", m.state / "msigd.db", "PRAGMA user_version = 99"], check=True, stdout=subprocess.DEVNULL)
    assert "schema 99" in m.refused()


# --- managed wallet-rpcs ------------------------------------------------------------

def test_port_in_use_is_told_and_the_others_serve(msigd):
    base = free_ports(2)
    with socket.create_server(("127.0.0.1", base + 1)):
        m = msigd(managed={"count": 2, "port-base": base})
        down = m.wait_endpoint("managed-2", "down")
        assert wait_for(lambda: f"port {base + 1} is in use" in m.endpoint("managed-2").get("reason", ""), "the reason"), down
        m.wait_endpoint("managed-1", "idle")
    m.wait_endpoint("managed-2", "idle")


def test_in_the_background_it_answers_once_the_command_returns(msigd, dead):
    m = msigd([dead], start=False)
    subprocess.run([STAGE / "sbin/msigd", "-f", m.conf], check=True, stdin=subprocess.DEVNULL, timeout=60)
    info = m.api("get_info")
    assert info["pid"] == int((m.run / "msigd.pid").read_text())
    assert m.ctl("stop").returncode == 0
    wait_for(lambda: not m.socket.exists() and not (m.run / "msigd.pid").exists(), "its end")


def test_login_of_managed_wallet_rpcs_is_in_no_argument(msigd):
    m = msigd(managed={"count": 1, "port-base": free_ports()})
    m.wait_endpoint("managed-1", "idle")
    conf = m.run / "managed-1.conf"
    assert conf.stat().st_mode & 0o777 == 0o600
    login = re.search(r"rpc-login=(\S+)", conf.read_text()).group(1)
    password = login.split(":")[1].encode()
    assert len(password) >= 32
    said = b""
    for pid in [m.process.pid, *descendants(m.process.pid)]:
        for name in ("cmdline", "environ"):
            with open(f"/proc/{pid}/{name}", "rb") as f:
                said += f.read()
    # any(), for an assertion that fails prints what it compared
    assert said and not any(password in text for text in (said, m.log.read_bytes()))
    port = m.endpoint("managed-1")["url"].rsplit(":", 1)[1]
    m.stop()
    assert not listens(int(port)) and not conf.exists()

