"""monero-wallet-rpcs, and a proxy before one.

Everything started here lies in a folder of the test and is ended by whoever
started it; conftest.py looks that nothing is left.
"""
import atexit
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

from machine import LIMIT, free_ports, listens, wait_for


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
        write_private(path, "\n".join(conf) + "\n")
        if self.login:
            self.login_file = self.folder / "login"
            write_private(self.login_file, self.login + "\n")
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


def write_private(path, text):
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
        f.write(text)


# --- a proxy before a wallet-rpc ---------------------------------------------------

class Proxy:
    """Stands between msigd and a wallet-rpc. `rule(method, params, nth)` says what
    becomes of a call: None lets it pass; "swallow" sends it on and closes instead
    of answering; "drop" closes at once; "leave" lets it pass, and then nobody listens
    any more until listen() is called; a threading.Event holds it back until that is
    set; a dict is answered in the wallet-rpc's place, which does not hear of it, but one
    with params is sent on with those; a function is given the answer, and what it gives
    is answered. nth counts the calls of that method from 1.
    `calls` lists (method, params, the wallet that was open) as they came."""

    def __init__(self, rpc, rule=None):
        self.rpc, self.rule, self.calls, self.counts = rpc, rule, [], {}
        self.held = threading.Event()  # a call is being held back
        self.answered = 0              # calls whose answer went back
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
                if isinstance(action, dict) and "params" in action:
                    head, body = _with_body(head, {**json.loads(body), **action})
                elif isinstance(action, dict):
                    answer = json.dumps({"jsonrpc": "2.0", "id": json.loads(body)["id"], **action}).encode()
                    client.sendall(b"HTTP/1.1 200 Ok\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
                    continue
                if action == "drop":
                    return
                if upstream is None:
                    upstream = socket.create_connection(("127.0.0.1", self.rpc.port))
                    answers = upstream.makefile("rb")
                upstream.sendall(head + body)
                head, body = _read_message(answers)
                if head is None or action == "swallow":
                    return
                if callable(action):
                    head, body = _with_body(head, action(json.loads(body)))
                if action == "leave":
                    _shut(self.server)
                    head = re.sub(rb"(?im)^connection:.*\r\n", b"", head).replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
                client.sendall(head + body)
                with self.lock:
                    self.answered += 1
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


def _with_body(head, document):
    """The same message with another document in it."""
    body = json.dumps(document).encode()
    return re.sub(rb"(?i)(content-length:\s*)\d+", rb"\g<1>%d" % len(body), head), body


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
