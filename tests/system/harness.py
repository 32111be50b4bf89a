"""What the tests use: msigd, its store. Of the machine there is more in machine.py,
and of wallets in wallet_rpcs.py.

Everything started here lies in a folder of the test and is ended by whoever
started it; conftest.py looks that nothing is left.
"""
import ctypes
import fcntl
import hashlib
import http.client
import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import threading
import uuid
from pathlib import Path

from machine import LIMIT, alive, descendants, wait_for

STAGE = Path(os.environ.get("MSIGD_STAGE", "/usr/local"))
STAGE_SANITIZED = Path(os.environ["MSIGD_STAGE_SANITIZED"]) if "MSIGD_STAGE_SANITIZED" in os.environ else None
WORKER = STAGE / "libexec/msigd/msigd-worker"
ROLES = ("buyer", "vendor", "arbiter")
CALLS = ["create", "prepare", "make", "exchange", "exchange"]


# --- msigd ---------------------------------------------------------------------------

class ApiError(Exception):
    def __init__(self, error):
        super().__init__(f"{error['message']} ({error['code']})")
        self.code, self.message = error["code"], error["message"]


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=LIMIT):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class Events:
    """Reads /events in a thread; `wait` looks at those that came and will come."""

    def __init__(self, msigd, since=0, escrow=None):
        self.seen, self.changed, self.ended = [], threading.Condition(), False
        self.connection = UnixConnection(msigd.socket)
        self.connection.request("GET", f"/events?since={since}" + (f"&escrow={escrow}" if escrow else ""))
        self.response = self.connection.getresponse()
        self.connection.sock.settimeout(None)  # the next event may be hours away
        assert self.response.status == 200, self.response.read()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            for line in self.response:
                with self.changed:
                    self.seen.append(json.loads(line))
                    self.changed.notify_all()
        except (OSError, ValueError, http.client.HTTPException, AttributeError):
            pass
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def wait(self, limit=LIMIT, **wanted):
        """The first event that has all these members."""
        def found():
            return next((e for e in self.seen if all(e.get(k) == v for k, v in wanted.items())), None)
        with self.changed:
            self.changed.wait_for(lambda: found() or self.ended, limit)
            event = found()
        assert event, f"no event {wanted}; there were {self.seen[-20:]}"
        return event

    def close(self):
        try:
            self.connection.sock.shutdown(socket.SHUT_RDWR)
        except (OSError, AttributeError):
            pass
        wait_for(lambda: self.ended, "the end of the event stream")
        self.connection.close()


def section(name, target, **options):
    """An endpoint section; target is a WalletRpc, a Proxy or a URL."""
    if isinstance(target, str):
        options = {"url": target, **options}
    else:
        found = {"url": target.url, "wallet-dir": target.wallets}
        if target.login_file:
            found["login-file"] = target.login_file
        if target.certificate:
            found["ca-file"] = target.certificate[0]
        options = {**found, **{k.replace("_", "-"): v for k, v in options.items()}}
    return f'endpoint "{name}" {{\n' + "".join(f'\t{k} = "{v}"\n' for k, v in options.items()) + "}\n"


def fake(mode):
    """The text of a worker that does so, fake_worker.py."""
    return (Path(__file__).parent / "fake_worker.py").read_text().replace("@MODE@", mode)


class Msigd:
    """An msigd with folders of its own. `endpoints` are WalletRpcs, Proxies or
    section()s; other keywords are keys of the configuration. Without spares and
    sessions, unless a test is about them."""

    def __init__(self, folder, endpoints=(), managed=None, stage=STAGE, wrap=(), extra="", **keys):
        self.folder, self.stage, self.wrap = Path(folder), Path(stage), list(wrap)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.state, self.run, self.locks = (self.folder / n for n in ("state", "run", "lock"))
        self.conf, self.log = self.folder / "msigd.conf", self.folder / "log"
        self.socket = Path(keys.get("socket", self.run / "msigd.sock"))
        self.keys = {"state-dir": self.state, "run-dir": self.run, "lock-dir": self.locks, "log-level": "debug",
                     "log-format": "json", "spares": "false", "session-max": 0, **{k.replace("_", "-"): v for k, v in keys.items()}}
        self.state = Path(self.keys["state-dir"])
        self.wallets = Path(self.keys.get("wallet-dir", self.state / "wallets"))
        self.extra, self.managed = extra, managed
        self.expected = set()   # events of the log that would be a failure elsewhere
        self.process = None
        self.configure(endpoints)

    def configure(self, endpoints):
        """Writes the configuration."""
        text = "".join(f'{k} = "{v}"\n' for k, v in self.keys.items()) + self.extra
        for number, endpoint in enumerate(endpoints):
            text += endpoint if isinstance(endpoint, str) else section(f"w{number + 1}", endpoint)
        if self.managed:
            text += "managed {\n" + "".join(f'\t{k.replace("_", "-")} = "{v}"\n' for k, v in self.managed.items()) + "}\n"
        self.conf.write_text(text)

    # --- its life

    def spawn(self):
        """Starts it and does not wait."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([*self.wrap, self.stage / "sbin/msigd", "-d", "-f", self.conf],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder)
        return self

    def start(self):
        self.spawn()
        def up():
            assert self.process.poll() is None, f"msigd ended: {self.log.read_text()}"
            try:
                return self.api("get_info")
            except (OSError, http.client.HTTPException):
                return None
        wait_for(up, "msigd's socket")
        return self

    def refused(self):
        """Starts one that is to end by itself; what it says."""
        self.spawn()
        status = self.process.wait(LIMIT)
        said = self.log.read_text()
        assert status == 1, said
        return said

    def stop(self):
        self.process.terminate()
        self.ended()

    def ended(self):
        """It comes to a clean end."""
        status = self.process.wait(LIMIT)
        assert status == 0, f"msigd ended with {status}"

    def kill(self):
        """kill -9; waits until what it left has ended."""
        left = descendants(self.process.pid)
        self.process.kill()
        self.process.wait()
        wait_for(lambda: not any(alive(pid) for pid in left), "workers and wallet-rpcs end with msigd")

    def running(self):
        return self.process is not None and self.process.poll() is None

    def workers(self, title):
        """Pids of workers whose title has this in it."""
        return [pid for pid, command in descendants(self.process.pid).items()
                if "msigd-worker" in command and title in command]

    # --- talking to it

    def http(self, verb, path, body=None, headers=None):
        """(status, headers, body)"""
        connection = UnixConnection(self.socket)
        try:
            connection.request(verb, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def post(self, request):
        status, _, body = self.http("POST", "/json_rpc", request if isinstance(request, (str, bytes)) else json.dumps(request))
        assert status == 200, (status, body)
        return json.loads(body)

    def api(self, method, **params):
        reply = self.post({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        if "error" in reply:
            raise ApiError(reply["error"])
        return reply["result"]

    def ctl(self, *args, stdin=None, **options):
        return subprocess.run([self.stage / "bin/msigctl", "-s", self.socket, *args], stdin=stdin or subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=LIMIT, check=False, **options)

    def events(self, **options):
        return Events(self, **options)

    def history(self, escrow):
        """All events of an escrow that has come to its end."""
        events = self.events(escrow=escrow)
        final = wait_for(lambda: [e for e in list(events.seen) if e.get("phase") in ("Ready", "Failed")], "the last event")
        assert final
        events.close()
        return events.seen

    # --- escrows and endpoints

    def open(self, **params):
        return self.api("open_escrow", **params)["escrow_id"]

    def get(self, escrow):
        return self.api("get_escrow", escrow_id=escrow)

    def end_of(self, escrow):
        """The escrow once it is Ready or Failed."""
        return wait_for(lambda: (e := self.get(escrow))["phase"] in ("Ready", "Failed") and e,
                        f"the end of {escrow}: {self.get(escrow)['status']}", step=0.05)

    def wait_steps(self, escrow, round_, count):
        """Until so many of its wallets have done that round."""
        events = self.events(escrow=escrow)
        wait_for(lambda: sum(e["type"] == "step" and e["round"] == round_ for e in list(events.seen)) >= count,
                 f"{count} wallets in round {round_}")
        events.close()

    def ready(self, *escrows):
        found = [self.end_of(e) for e in escrows]
        for escrow in found:
            assert escrow["phase"] == "Ready", escrow["reason"]
            assert re.fullmatch(r"[1-9A-HJ-NP-Za-km-z]{95}", escrow["address"])
        return found[0] if len(found) == 1 else found

    def failed(self, escrow):
        found = self.end_of(escrow)
        assert found["phase"] == "Failed" and found["reason"] and found["address"] is None, found
        return found

    def endpoint(self, name):
        return next(e for e in self.api("get_endpoints") if e["name"] == name)

    def endpoints(self, state):
        return [e["name"] for e in self.api("get_endpoints") if e["state"] == state]

    def wait_endpoint(self, name, state):
        return wait_for(lambda: (e := self.endpoint(name))["state"] == state and e, f"{name} {state}: {self.endpoint(name)}")

    def wait_idle(self, count):
        wait_for(lambda: len(self.endpoints("idle")) >= count, f"{count} idle endpoints")

    def idle_again(self):
        """Nothing is leased, nothing at work."""
        def at_rest():
            states = {e["state"] for e in self.api("get_endpoints")}
            return not states & {"leased", "dirty", "probing"} and self.api("get_status")["workers"] == 0
        wait_for(at_rest, "every endpoint given back")

    # --- its log

    def log_lines(self):
        lines = []
        for line in self.log.read_text(errors="replace").splitlines() if self.log.exists() else []:
            try:
                lines.append(json.loads(line))
            except ValueError:
                lines.append({"event": "", "level": "", "text": line})
        return lines

    def logged(self, event, **fields):
        return [line for line in self.log_lines()
                if line["event"] == event and all(line.get(k) == v for k, v in fields.items())]

    def expect(self, *events):
        self.expected.update(events)

    def faults(self):
        """What its log must not have, unless the test expects it."""
        never, bad = {"worker_died", "managed_died", "worker_old_generation"}, []
        for line in self.log_lines():
            fault = line["level"] == "error" or line["event"] in never
            if fault and line["event"] not in self.expected:
                bad.append(line)
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        bad += re.findall(r".*(?:Sanitizer|runtime error:).*", text)
        return bad

    def busy_locks(self):
        """Lock files that somebody holds."""
        busy = []
        for path in self.locks.glob("*.lock") if self.locks.exists() else []:
            with open(path, "rb") as f:
                try:
                    fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    busy.append(path.name)
        return busy


# --- the store -----------------------------------------------------------------------

_sodium = ctypes.CDLL("libsodium.so.23")
assert _sodium.sodium_init() != -1


def unseal(key_file, escrow, attempt, role, round_, kind, sealed):
    """As common/seal.h writes it down."""
    master = Path(key_file).read_bytes()
    subkey = hashlib.blake2b(b"", digest_size=32, key=master, salt=uuid.UUID(escrow).bytes, person=b"msigd escrow v1").digest()
    place = f"msigd/1/{escrow}/{attempt}/{role}/{round_}/{kind}".encode()
    assert sealed[0] == 1
    nonce, cipher = sealed[1:25], sealed[25:]
    plain = ctypes.create_string_buffer(max(len(cipher) - 16, 1))
    result = _sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
        plain, None, None, cipher, ctypes.c_ulonglong(len(cipher)), place, ctypes.c_ulonglong(len(place)), nonce, subkey)
    assert result == 0, f"the sealed {kind} of {role} does not open"
    return plain.raw[:len(cipher) - 16]


class Store:
    """The store of an msigd that does not run, or a copy of one; it is read as a copy."""

    def __init__(self, msigd, path=None):
        self.key = Path(msigd.keys.get("key-file", msigd.state / "key"))
        if path is None:
            assert not msigd.running(), "it is read when msigd has ended"
            path = msigd.folder / "store-copy.db"
            for suffix in ("", "-wal"):
                if Path(f"{msigd.state}/msigd.db{suffix}").exists():
                    shutil.copy(f"{msigd.state}/msigd.db{suffix}", f"{path}{suffix}")
        self.db = sqlite3.connect(path)
        self.db.row_factory = sqlite3.Row

    def rows(self, sql, *values):
        return self.db.execute(sql, values).fetchall()

    def parties(self, escrow, attempt):
        """{role: {wallet, stamp, endpoint, password, seed}}, the last two unsealed."""
        found = {}
        for row in self.rows("SELECT * FROM participant WHERE escrow_id = ? AND attempt = ?", escrow, attempt):
            plain = {kind: unseal(self.key, escrow, attempt, row["role"], 0, kind, row[kind]).decode() if row[kind] else None
                     for kind in ("password", "seed")}
            found[row["role"]] = {"wallet": row["wallet"], "stamp": row["stamp"], "endpoint": row["endpoint"], **plain}
        return found

    def secrets(self):
        """Everything sealed in it, as plain bytes."""
        found = []
        for row in self.rows("SELECT * FROM participant"):
            found += [unseal(self.key, row["escrow_id"], row["attempt"], row["role"], 0, kind, row[kind])
                      for kind in ("password", "seed") if row[kind]]
        for row in self.rows("SELECT * FROM message"):
            found.append(unseal(self.key, row["escrow_id"], row["attempt"], row["role"], row["round"], "message", row["sealed"]))
        return found

    def close(self):
        self.db.close()


def look_at_wallet(rpc, party):
    """What a wallet says of itself when it is opened with its password."""
    rpc.call("open_wallet", filename=party["wallet"], password=party["password"])
    try:
        found = {"address": rpc.call("get_address", account_index=0)["address"], **rpc.call("is_multisig"),
                 "seed": rpc.call("query_key", key_type="mnemonic")["key"],
                 "stamp": rpc.call("get_attribute", key="msigd")["value"]}
    finally:
        rpc.call("close_wallet")
    return found
