"""What the tests use: monero-wallet-rpcs, a proxy before one, msigd, its store.

Everything started here lies in a folder of the test and is ended by whoever
started it; conftest.py looks that nothing is left.
"""
import atexit
import base64
import ctypes
import fcntl
import hashlib
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
import urllib.request
import uuid
from pathlib import Path

STAGE = Path(os.environ.get("MSIGD_STAGE", "/usr/local"))
STAGE_SANITIZED = Path(os.environ["MSIGD_STAGE_SANITIZED"]) if "MSIGD_STAGE_SANITIZED" in os.environ else None
ROLES = ("buyer", "vendor", "arbiter")
LIMIT = 300  # seconds: after these something hangs; never a measure
CALLS = ["create", "prepare", "make", "exchange", "exchange"]


def wait_for(predicate, what, limit=LIMIT, step=0.02):
    """The first true value of predicate()."""
    end = time.monotonic() + limit
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain: {what}")
        time.sleep(step)


def together(*functions):
    """Runs them at the same time; their results in order."""
    results, errors = [None] * len(functions), []

    def run(place, function):
        try:
            results[place] = function()
        except BaseException as error:  # pylint: disable=broad-except
            errors.append(error)

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


# --- ports and processes -------------------------------------------------------

def _is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


# Below those that the kernel gives to outgoing connections.
PORTS = (20000, 32000)
_given_ports = set()


def free_ports(count=1):
    """The first of so many ports in a row that nobody uses, and that were not
    given before."""
    while True:
        base = random.randrange(PORTS[0], PORTS[1] - count)
        wanted = set(range(base, base + count))
        if not wanted & _given_ports and all(map(_is_free, wanted)):
            _given_ports.update(wanted)
            return base


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def processes(*folders):
    """{pid: description} of those whose program, folder or arguments lie in one of these."""
    prefixes = [str(f) for f in folders]
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if int(pid) == os.getpid():
            continue
        try:
            cmdline = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        places = [cmdline]
        for link in ("exe", "cwd"):
            try:
                places.append(os.readlink(f"/proc/{pid}/{link}"))
            except OSError:
                pass
        if state != "Z" and any(prefix in place for prefix in prefixes for place in places):
            found[int(pid)] = cmdline.strip() or places[-1]
    return found


def descendants(pid):
    """{pid: command line} of all children of a process, and theirs."""
    parents, found = {}, {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            parents[int(entry)] = int(Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            pass
    todo = [pid]
    while todo:
        parent = todo.pop()
        for child in [c for c, p in parents.items() if p == parent]:
            try:
                found[child] = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            todo.append(child)
    return found


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


# --- monero-wallet-rpc -----------------------------------------------------------

class WalletError(Exception):
    def __init__(self, error):
        super().__init__(f"{error['message']} ({error['code']})")
        self.code = error["code"]


_quick_rsa = {}


def quick_rsa():
    """What a wallet-rpc's environment needs for an RSA key that costs nothing."""
    if not _quick_rsa:
        folder = Path(tempfile.mkdtemp(prefix="msigd-rsa-"))
        atexit.register(shutil.rmtree, folder)
        source = Path(__file__).parents[1] / "bench/fixed_rsa.c"
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", folder / "fixed_rsa.so", source], check=True)
        subprocess.run(["openssl", "genrsa", "-traditional", "-out", folder / "rsa.pem", "4096"], check=True, stderr=subprocess.DEVNULL)
        _quick_rsa.update(LD_PRELOAD=f"{folder}/fixed_rsa.so", BENCH_RSA_KEY=f"{folder}/rsa.pem", BENCH_RSA_MS="0")
    return _quick_rsa


class WalletRpc:
    """A real monero-wallet-rpc, offline, with its files in folder/wallets. quick:
    the RSA key that wallet2 makes, and does not use, at every create and open is
    not searched for (tests/bench/fixed_rsa.c); nothing else is different."""

    def __init__(self, folder, wallets=None, network="testnet", login=None, certificate=None, port=None, quick=True):
        self.folder = Path(folder)
        self.wallets = Path(wallets or self.folder / "wallets")
        self.wallets.mkdir(parents=True, exist_ok=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port, self.network, self.login, self.certificate = port or free_ports(), network, login, certificate
        self.login_file = None
        self.process = None
        self.environment = quick_rsa() if quick else {}
        self.spawn()

    @property
    def url(self):
        return f"{'https' if self.certificate else 'http'}://127.0.0.1:{self.port}"

    def spawn(self):
        conf = [f"rpc-bind-port={self.port}", f"wallet-dir={self.wallets}", f"shared-ringdb-dir={self.folder}/ringdb",
                f"log-file={self.folder}/wallet-rpc.log", "offline=1", "daemon-ssl=disabled", "non-interactive=1"]
        if self.network != "mainnet":
            conf.append(f"{self.network}=1")
        if self.certificate:
            conf += ["rpc-ssl=enabled", f"rpc-ssl-certificate={self.certificate[0]}",
                     f"rpc-ssl-private-key={self.certificate[1]}"]
        else:
            conf.append("rpc-ssl=disabled")
        conf.append(f"rpc-login={self.login}" if self.login else "disable-rpc-login=1")
        path = self.folder / "wallet-rpc.conf"
        _write_private(path, "\n".join(conf) + "\n")
        if self.login:
            self.login_file = self.folder / "login"
            _write_private(self.login_file, self.login + "\n")
        self.process = subprocess.Popen(["monero-wallet-rpc", "--config-file", str(path)], cwd=self.folder,
                                        env={"HOME": str(self.folder), "PATH": os.environ["PATH"], **self.environment},
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def wait(self):
        def up():
            assert self.process.poll() is None, f"monero-wallet-rpc ended: see {self.folder}/wallet-rpc.log"
            return listens(self.port)
        wait_for(up, f"monero-wallet-rpc on port {self.port}", step=0.05)
        return self

    def call(self, method, **params):
        """A call of our own, past msigd. Only without a login."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)
        try:
            connection.request("POST", "/json_rpc", json.dumps(
                {"jsonrpc": "2.0", "id": "0", "method": method, "params": params}))
            reply = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        if "error" in reply:
            raise WalletError(reply["error"])
        return reply["result"]

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        self.process.wait()


def start_wallet_rpcs(folder, count, **options):
    """So many with one folder of wallets, as MONERO.md describes it."""
    folder = Path(folder)
    rpcs = [WalletRpc(folder / f"rpc{i}", wallets=folder / "wallets", **options) for i in range(count)]
    return [rpc.wait() for rpc in rpcs]


def make_certificate(folder, name="127.0.0.1"):
    """(certificate, key) for 127.0.0.1, signed by itself."""
    certificate, key = Path(folder) / "cert.pem", Path(folder) / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
                   check=True, stderr=subprocess.DEVNULL)
    return certificate, key


def _write_private(path, text):
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
        f.write(text)


# --- a proxy before a wallet-rpc ---------------------------------------------------

class Proxy:
    """Stands between msigd and a wallet-rpc. `rule(method, params, nth)` says what
    becomes of a call: None lets it pass; "swallow" sends it on and closes instead
    of answering; "leave" lets it pass, and then nobody listens any more until
    listen() is called; a threading.Event holds it back until that is set; a dict is
    answered in the wallet-rpc's place, which does not hear of it. nth
    counts the calls of that method from 1.
    `calls` lists (method, params, the wallet that was open) as they came."""

    def __init__(self, rpc, rule=None):
        self.rpc, self.rule, self.calls, self.counts = rpc, rule, [], {}
        self.held = threading.Event()  # a call is being held back
        self.open_wallet = None
        self.lock = threading.Lock()
        self.connections = set()
        self.port = free_ports()
        self.listen()

    wallets = property(lambda self: self.rpc.wallets)
    login_file = certificate = None
    url = property(lambda self: f"http://127.0.0.1:{self.port}")

    def made(self, method):
        with self.lock:
            return [call for call in self.calls if call[0] == method]

    def listen(self):
        self.server = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self.server,), daemon=True).start()

    def close(self):
        _shut(self.server)
        for connection in list(self.connections):
            _shut(connection)

    def _accept(self, server):
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        upstream = None
        self.connections.add(client)
        try:
            reader = client.makefile("rb")
            while True:
                head, body = _read_message(reader)
                if head is None:
                    return
                action = self._decide(body)
                if isinstance(action, threading.Event):
                    self.held.set()
                    action.wait(LIMIT)
                if isinstance(action, dict):
                    answer = json.dumps({"jsonrpc": "2.0", "id": json.loads(body)["id"], **action}).encode()
                    client.sendall(b"HTTP/1.1 200 Ok\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
                    continue
                if upstream is None:
                    upstream = socket.create_connection(("127.0.0.1", self.rpc.port))
                    answers = upstream.makefile("rb")
                upstream.sendall(head + body)
                head, body = _read_message(answers)
                if head is None or action == "swallow":
                    return
                if action == "leave":
                    _shut(self.server)
                    head = re.sub(rb"(?im)^connection:.*\r\n", b"", head).replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
                client.sendall(head + body)
        except OSError:
            pass
        finally:
            self.connections.discard(client)
            _shut(client)
            if upstream is not None:
                _shut(upstream)

    def _decide(self, body):
        try:
            request = json.loads(body)
        except ValueError:
            return None
        method, params = request["method"], request.get("params", {})
        with self.lock:
            self.counts[method] = self.counts.get(method, 0) + 1
            if method in ("create_wallet", "open_wallet"):
                self.open_wallet = params.get("filename")
            self.calls.append((method, params, self.open_wallet))
            nth = self.counts[method]
        return self.rule(method, params, nth) if self.rule else None


def _shut(s):
    try:
        s.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    s.close()


def _read_message(reader):
    """Head and body of an HTTP message with a Content-Length; (None, None) at the end."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = reader.readline()
        if not line:
            return None, None
        head += line
    length = re.search(rb"content-length:\s*(\d+)", head, re.I)
    return head, reader.read(int(length.group(1))) if length else b""


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
        self.connection = UnixConnection(msigd.socket, timeout=None)
        self.connection.request("GET", f"/events?since={since}" + (f"&escrow={escrow}" if escrow else ""))
        self.response = self.connection.getresponse()
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
        never, bad, stopping = {"worker_died", "managed_died", "worker_old_generation"}, [], False
        for line in self.log_lines():
            # a worker that had not said hello when msigd was stopped is just ended
            stopping = line["event"] == "stopping" or (stopping and line["event"] != "started")
            fault = line["level"] == "error" or line["event"] in never
            if fault and line["event"] not in self.expected and not (stopping and line["event"] == "worker_died"):
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
