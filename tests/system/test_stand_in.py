"""The stand-in for monero-wallet-rpc: the same calls to it and to the real one
get the same answers and leave the same files, and what the real one cannot be
made to do, it does."""
import json
import os
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from harness import section
from machine import listens, wait_for
from stand_ins import COUNT, GET_VERSION, LIMIT, LOGIN, Side, StandIn, post
from wallet_rpcs import write_private

HERE = Path(__file__).resolve().parent
# --- the two sides ------------------------------------------------------------

class Real(Side):
    """Real ones; without the RSA key that every create and open makes for nothing
    (tests/bench/fixed_rsa.c), which would be nearly all of this test's time."""

    def __init__(self, folder, login):
        super().__init__(folder)
        self.folder, self.processes = folder, {}
        library, key = folder / "fixed_rsa.so", folder / "rsa.pem"
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, HERE.parent / "bench/fixed_rsa.c"], check=True)
        subprocess.run(["openssl", "genrsa", "-traditional", "-out", key, "2048"], check=True, stderr=subprocess.DEVNULL)
        self.environment = {"HOME": str(folder), "PATH": os.environ["PATH"], "LD_PRELOAD": str(library),
                            "BENCH_RSA_KEY": str(key), "BENCH_RSA_MS": "0"}
        self.login_port = self.port + COUNT
        for number in range(COUNT):
            self.spawn(number, "--disable-rpc-login")
        if login:
            self.spawn(COUNT, f"--rpc-login={LOGIN}")
        for number in self.processes:
            self.wait(number)

    def spawn(self, number, login):
        self.processes[number] = subprocess.Popen(
            ["monero-wallet-rpc", "--testnet", "--offline", f"--rpc-bind-port={self.port + number}", login,
             f"--wallet-dir={self.wallets}", "--rpc-ssl=disabled", "--daemon-ssl=disabled", "--non-interactive",
             f"--log-file={self.folder}/log{number}", f"--shared-ringdb-dir={self.folder}/ringdb"], cwd=self.folder,
            env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def wait(self, number):
        wait_for(lambda: listens(self.port + number), f"monero-wallet-rpc {number}: see {self.folder}")

    def kill_and_restart(self, number):
        self.processes[number].kill()
        self.processes[number].wait()
        self.spawn(number, "--disable-rpc-login")
        self.wait(number)

    def end(self):
        for process in self.processes.values():
            process.kill()
            process.wait()


def both(folder, login=False):
    """The real one and its stand-in."""
    made = []
    try:
        made.append(Real(folder / "real", login))
        made.append(StandIn(folder / "stand-in", login=login))
        yield made
    finally:
        for side in made:
            side.end()


@pytest.fixture(scope="module")
def sides(root):
    yield from both(root / "sides", login=True)


@pytest.fixture
def own_sides(folder):
    """For a test that kills them."""
    yield from both(folder)


# --- what is compared ---------------------------------------------------------

def shape(key, value):
    """A value without what is different for each wallet."""
    if key == "multisig_info":
        return value[:13], len(value)
    if key == "address" and value:
        return "placeholder" if value[11:44] == "1" * 33 else "address", len(value), value[0] in "9A"
    if key == "key":
        return len(value.split()), len(value) if " " not in value else "words", value[:16] if len(value) == 592 else ""
    if key == "addresses":
        return [{k: shape(k, v) for k, v in entry.items()} for entry in value]
    return value


class Recorder:
    """Makes calls on a side and writes down what came of each."""

    def __init__(self, side, prefix):
        self.side, self.prefix, self.seen, self.before = side, prefix, [], side.files()

    def name(self, letter):
        return f"{self.prefix}{letter}"

    def look_at_files(self):
        """Which of them are new since the last time, and how large .keys is, more or less."""
        now = self.side.files()
        changed = sorted(n for n, data in now.items() if self.before.get(n) != data)
        gone = sorted(set(self.before) - set(now))
        sizes = [1000 <= len(now[n]) <= 4000 for n in changed if n.endswith(".keys")]
        self.before = now
        return changed, gone, sizes

    def __call__(self, number, method, label="", **params):
        answer = self.side.call(number, method, **params)
        known = {k: (f"{v[:60]}…" if isinstance(v, str) else v) for k, v in params.items() if k not in ("multisig_info", "address")}
        self.seen.append((f"{number} {method} {label} {known}", {k: shape(k, v) for k, v in answer.items()},
                          self.look_at_files()))
        return answer

    def note(self, what, value):
        self.seen.append((what, value, None))

    def look(self, number):
        """All that tells how far a wallet is."""
        self(number, "is_multisig")
        self(number, "get_address", account_index=0, address_index=[0])
        self(number, "get_attribute", key="msigd")
        self(number, "query_key", key_type="mnemonic")

    def kill(self, number):
        self.side.kill_and_restart(number)
        self.note(f"killed {number}", self.look_at_files())

    def open(self, number, letter, password="pw", **more):
        return self(number, "open_wallet", filename=self.name(letter), password=password, **more)

    def create(self, letters, password="pw"):
        for number, letter in enumerate(letters):
            self(number, "create_wallet", filename=self.name(letter), password=password, language="English")

    def prepare(self, flags=(True, True, True)):
        return [self(n, "prepare_multisig", enable_multisig_experimental=f)["multisig_info"] for n, f in enumerate(flags)]

    def make(self, messages, passwords=("pw", "pw", "pw")):
        return [self(n, "make_multisig", multisig_info=messages, threshold=2, password=p)["multisig_info"]
                for n, p in enumerate(passwords)]


def the_same(sides, prefix, script):
    """Runs a script on both and compares, call by call."""
    recorders = [Recorder(side, prefix) for side in sides]
    for recorder in recorders:
        script(recorder)
    different = [f"{real}\n{stand_in}" for real, stand_in in zip(*(r.seen for r in recorders)) if stand_in != real]
    assert not different, "\n\n".join(["the real one, and the stand-in:", *different])
    assert len(recorders[0].seen) == len(recorders[1].seen)


# --- scripts ------------------------------------------------------------------

NO_WALLET_NEEDED = ["close_wallet", "store", "is_multisig", "get_address", "get_attribute", "set_attribute",
                    "change_wallet_password", "prepare_multisig", "make_multisig", "exchange_multisig_keys", "query_key",
                    "get_balance", "get_height", "refresh", "validate_address", "stop_wallet"]
REAL_ADDRESSES = ["44AFFq5kSiGBoZ4NMDwYtN18obc8AemS33DBLWs3H7otXft3XjrpDtQGv7SqSsaBYBb98uNbr2VBBEt7f2wfn3RVGQBEP3A",
                  "888tNkZrPN6JsEgekjMnABU4TBzc2Dt29EPAvkRxbANsAnjyPbb3iQ1YBRk1UXcdRsiKc9dhwMVgN5S9cQUiyoogDavup3H",
                  "9tpqk6DLqoiRRsNGVBCrVcNqS5ZNYvnMGQWo6D6DyPUENKnn9pLj6uii22DmWSzjrqA9uMBqAhn383GpAhCefS1vKRPYkfG"]


def one_wallet(r):
    """A wallet that is not multisig, and everything that can be wrong."""
    for method in NO_WALLET_NEEDED:
        r(0, method)
    r(0, "get_version")
    r(0, "no_such_method")
    for address in REAL_ADDRESSES + [REAL_ADDRESSES[2][:-1] + "H", "hey", ""]:
        r(0, "validate_address", address=address, any_net_type=True)
    for wrong in ({"filename": "none", "password": ""}, {"filename": "../x", "password": ""}, {"filename": "", "password": ""}, {}):
        r(0, "open_wallet", **wrong)
    for wrong in ({"filename": "a/b", "language": "English"}, {"filename": "x", "language": "Klingon"}, {}, {"filename": 3}):
        r(0, "create_wallet", **wrong)
    r.create("ab")
    r(0, "create_wallet", filename=r.name("a"), password="x", language="English")
    r(0, "is_multisig")
    r.open(1, "a")
    r(1, "get_attribute", key="msigd")
    own = r(0, "get_address", account_index=0, address_index=[0])["address"]
    r(0, "get_address")
    for wrong in ({"account_index": 1}, {"account_index": 0, "address_index": [1]}, {"account_index": "0"}, {"account_index": -1}):
        r(0, "get_address", **wrong)
    for address in REAL_ADDRESSES + [own]:
        r(0, "validate_address", address=address)
    r(0, "get_attribute", key="msigd")
    r(0, "set_attribute", key="msigd", value="")
    r(0, "get_attribute", key="msigd")
    r(0, "set_attribute", key="msigd", value="stamp")
    r(0, "set_attribute", key="msigd", value=3)
    r(0, "get_attribute", key="msigd")
    r(0, "store")
    r(0, "change_wallet_password", old_password="no", new_password="pw2")
    r(0, "change_wallet_password", old_password="pw", new_password="pw2")
    for kind in ("mnemonic", "view_key", "spend_key", "none"):
        r(0, "query_key", key_type=kind)
    for method in ("get_balance", "get_height", "refresh"):
        r(0, method)
    r(0, "exchange_multisig_keys", multisig_info=[], password="pw2")
    r(0, "close_wallet")
    r.open(0, "a")
    r(0, "is_multisig")
    r.open(0, "a", "pw2")
    r.look(0)
    # what was not stored is stored by opening or creating another, but not by closing without
    r(0, "set_attribute", key="msigd", value="by open")
    r.open(0, "a", "pw2")
    r(0, "get_attribute", key="msigd")
    r(0, "set_attribute", key="msigd", value="lost")
    r.open(0, "a", "pw2", autosave_current=False)
    r(0, "get_attribute", key="msigd")
    r(0, "set_attribute", key="msigd", value="by create")
    r.create("c")
    r(0, "close_wallet", autosave_current=False)
    r.open(0, "a", "pw2")
    r(0, "get_attribute", key="msigd")
    r(0, "set_attribute", key="msigd", value="lost too")
    r(0, "close_wallet", autosave_current=False)
    r.open(0, "a", "pw2")
    r(0, "get_attribute", key="msigd")
    # a failed open leaves the wallet open, but not its lock
    r.open(1, "a", "pw2")
    r.open(0, "a", "wrong")
    r(0, "get_attribute", key="msigd")
    r.open(1, "a", "pw2")
    for number in (0, 1):
        r(number, "close_wallet")


def killed_at_each_point(r):
    """MONERO.md: what is on disk, and when; and that .keys alone is enough."""
    r.create("abc")
    r(0, "set_attribute", key="msigd", value="not stored")
    r.kill(0)
    r.open(0, "a")
    r.look(0)
    for number in range(COUNT):
        r(number, "set_attribute", key="msigd", value=str(number))
        r(number, "store")
    first = r.prepare()
    r.kill(0)
    r.open(0, "a")
    r.look(0)
    again = r(0, "prepare_multisig", enable_multisig_experimental=True)["multisig_info"]
    r.note("its bytes differ", again != first[0])
    r(0, "set_attribute", key="msigd", value="stored by make")
    made = r.make([again, *first[1:]])
    r.kill(0)
    r.open(0, "a")
    r.look(0)
    before = r.side.files()[r.name("a.keys")]
    lost = r(0, "exchange_multisig_keys", multisig_info=made, password="pw")["multisig_info"]
    r.kill(0)
    r.open(0, "a")
    (r.side.wallets / r.name("alone.keys")).write_bytes(r.side.files()[r.name("a.keys")])
    r.open(0, "alone")
    r.look(0)
    r(0, "close_wallet", autosave_current=False)
    (r.side.wallets / r.name("d.keys")).write_bytes(before)
    r.open(0, "d")
    r.look(0)
    exchanged = [r(n, "exchange_multisig_keys", multisig_info=made, password="pw")["multisig_info"] for n in range(COUNT)]
    r.note("another message than the one that was lost", exchanged[0] != lost)
    r(0, "store")
    last = [r(n, "exchange_multisig_keys", multisig_info=exchanged, password="pw") for n in range(COUNT)]
    r.note("one address", len({a["address"] for a in last}))
    r.kill(0)
    r.open(0, "d")
    for number in range(COUNT):
        r.look(number)
    r.note("seeds", len({r.side.call(n, "query_key", key_type="mnemonic")["key"] for n in range(COUNT)}))
    for number in range(COUNT):
        r(number, "exchange_multisig_keys", multisig_info=exchanged, password="pw")
        r(number, "prepare_multisig")
        r(number, "make_multisig")
        r(number, "close_wallet")


def change(message, place):
    return message[:place] + ("x" if message[place] != "x" else "y") + message[place + 1:]


def messages_that_do_not_fit(r):
    r.create("abc")
    m = r.prepare()
    wrong = {"none": ([], 2), "own": ([m[0]], 2), "threshold 4": (m, 4), "threshold 0": (m, 0), "cut": ([m[1], m[2][:-3]], 2),
             "short": ([m[1], "hello"], 2), "no such": ([m[1], m[2].replace("R1", "R9")], 2),
             "version 1": ([m[1], m[2].replace("xV2", "xV1")], 2), "later": ([m[1], m[2].replace("R1", "Rn")], 2),
             "twice": ([m[1], m[2], m[1]], 2), "changed": ([m[1], change(m[2], 100)], 2), "a text": ("x", 2), "numbers": ([1, 2], 2)}
    for label, (infos, threshold) in wrong.items():
        r(0, "make_multisig", label, multisig_info=infos, threshold=threshold, password="pw")
    r(0, "is_multisig")
    second = r(0, "make_multisig", "own among them", multisig_info=m, threshold=2, password="pw")["multisig_info"]
    r(1, "make_multisig", "of the next round", multisig_info=[second, m[2]], threshold=2, password="pw")
    e = [second] + [r(n, "make_multisig", multisig_info=[x for x in m if x != m[n]], threshold=2, password="pw")["multisig_info"]
                    for n in (1, 2)]
    r(0, "prepare_multisig")
    r(0, "make_multisig", multisig_info=m, threshold=2, password="pw")
    wrong = {"none": [], "own": [e[0]], "one": [e[1]], "own and one": e[:2], "twice": [e[1], e[1]], "old": m,
             "one old": [m[1], e[2]], "cut": [e[1], e[2][:-3]], "short": ["hello", e[1]], "no such": [e[1], e[2].replace("Rn", "R2")]}
    for label, infos in wrong.items():
        r(0, "exchange_multisig_keys", label, multisig_info=infos, password="pw")
    r.look(0)
    f = [r(n, "exchange_multisig_keys", multisig_info=i, password="pw")["multisig_info"]
         for n, i in enumerate(([e[1], e[2], e[1]], [e[2], e[0]], e))]
    wrong = {"none": [], "own": [f[0]], "old": e, "twice": [f[1], f[1]]}
    for label, infos in wrong.items():
        r(0, "exchange_multisig_keys", label, multisig_info=infos, password="pw")
    r(0, "is_multisig")
    r(0, "exchange_multisig_keys", multisig_info=f[1:], password="pw")
    r.look(0)
    # another set, of which one makes its calls without the flag and one with a wrong password
    r.create("ghi")
    m = r.prepare((False, True, True))
    x = r.make(m, ("pw", "wrong", "pw"))
    r(0, "exchange_multisig_keys", "no flag", multisig_info=[], password="pw")
    r(0, "exchange_multisig_keys", "no flag", multisig_info=x, password="pw")
    r(2, "exchange_multisig_keys", "foreign", multisig_info=[x[0], e[1]], password="pw")
    r(2, "exchange_multisig_keys", "foreign beside", multisig_info=[x[0], x[1], e[1]], password="pw")
    r(1, "change_wallet_password", old_password="pw", new_password="pw")
    r(1, "close_wallet")
    r.open(1, "h")
    r.open(1, "h", "wrong")
    r(2, "exchange_multisig_keys", "wrong password", multisig_info=x, password="wrong")
    r(2, "change_wallet_password", old_password="wrong", new_password="pw")
    r(2, "close_wallet")
    r.open(2, "i")
    r.look(2)
    for number in range(COUNT):
        r(number, "close_wallet")


def test_the_same_with_one_wallet(sides):
    the_same(sides, "w", one_wallet)


def test_the_same_with_messages_that_do_not_fit(sides):
    the_same(sides, "m", messages_that_do_not_fit)


def test_the_same_when_killed_at_each_point(own_sides):
    the_same(own_sides, "k", killed_at_each_point)


# --- HTTP ---------------------------------------------------------------------

BODIES = [b"", b"{bad", b"[]", b"{}", b'{"jsonrpc":"2.0","id":7,"method":"get_version"}', b'{"method":"get_version"}',
          b'{"id":null,"method":"get_version"} and more', b'{"id":"x","method":"get_version","params":[]}', b'"x"']


def test_the_same_http(sides):
    for body in BODIES:
        real, stand_in = ((s[0], s[1], json.loads(s[2])) for s in (post(side.port, body) for side in sides))
        assert stand_in == real, body
    assert post(sides[0].port, b"{}", "/other") == post(sides[1].port, b"{}", "/other")


def challenge(port, header=None):
    """The 401 to a request with this header; without its nonce."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/json_rpc", b"{}", {"Authorization": header} if header else {})
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request, timeout=LIMIT)
    with error.value as response:
        lines = response.headers.get_all("WWW-authenticate")
        return response.code, [[f for f in line.split(",") if "nonce" not in f] for line in lines], response.read()


def with_curl(port, login, *more):
    """Two requests on one connection: (status, connections made) of each."""
    url = f"http://127.0.0.1:{port}/json_rpc"
    one = ["-s", "-o", "/dev/null", "-w", "%{http_code} %{num_connects}\n", "--digest", "-u", login, "-d", json.dumps(GET_VERSION), url, *more]
    return subprocess.run(["curl", *one, "--next", *one], stdout=subprocess.PIPE, text=True, check=True).stdout.split("\n")


def test_the_same_login(sides):
    ports = [side.login_port for side in sides]
    for header in (None, "Basic c29tZW9uZTpwdw==", 'Digest username="someone", realm="monero-rpc", nonce="x", uri="/json_rpc", response="y"'):
        assert challenge(ports[0], header) == challenge(ports[1], header)
    assert with_curl(ports[0], LOGIN) == with_curl(ports[1], LOGIN) == ["200 1", "200 0", ""]
    assert with_curl(ports[0], "someone:else") == with_curl(ports[1], "someone:else") == ["401 1", "401 0", ""]


# --- what only the stand-in does ----------------------------------------------

def raw(port, hangs_up=False, enough=lambda got: b"\r\n\r\n" in got):
    """All that comes back for a create_wallet, until it hangs up; if it is not expected
    to, until there is enough and a moment has gone by."""
    body = json.dumps({"jsonrpc": "2.0", "id": "0", "method": "create_wallet",
                       "params": {"filename": f"w{time.monotonic_ns()}", "language": "English"}}).encode()
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as s:
        s.sendall(b"POST /json_rpc HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        got, ended = b"", False
        try:
            while not ended:
                s.settimeout(0.15 if not hangs_up and enough(got) else LIMIT)
                data = s.recv(65536)
                got, ended = got + data, not data
        except ConnectionResetError:
            ended = True
        except TimeoutError:
            pass
    return got, ended


def test_faults(stand_in):
    """kind: (it was carried out, is hung up on, what the answer is like)"""
    side = stand_in()
    expected = {
        "lost_before": (False, True, lambda a: a == b""), "lost": (True, True, lambda a: a == b""),
        "cut": (True, True, lambda a: a.startswith(b"HTTP/1.1 200") and not a.endswith(b"}")),
        "cut_head": (True, True, lambda a: a == b"HTTP/1.1 200 Ok\r\n"),
        "garbage": (True, False, lambda a: b"resu<!--" in a), "twice": (True, False, lambda a: a.count(b'"result"') == 2),
        "http": (False, False, lambda a: a.startswith(b"HTTP/1.1 500 ")),
        "error": (False, False, lambda a: b'"error"' in a)}
    for kind, (carried_out, hung_up, right) in expected.items():
        before = set(side.files())
        side.fault("create_wallet", kind)
        answer, ended = raw(side.port, hung_up, right)
        assert right(answer) and ended == hung_up, (kind, answer)
        assert (set(side.files()) != before) == carried_out, kind
    assert b'"result":{}' in raw(side.port)[0]
    side.fault("create_wallet", "error", value=-38, skip=1, times=2)
    assert [b'"error":{"code":-38' in raw(side.port)[0] for _ in range(4)] == [False, True, True, False]
    side.fault("create_wallet", "http", value=401)
    assert b"WWW-authenticate: Digest" in raw(side.port)[0]
    for kind, suffixes in {"kill_before": [], "kill": ["", ".address.txt", ".keys"], "torn": [".address.txt", ".keys"]}.items():
        before = set(side.files())
        side.fault("create_wallet", kind)
        assert raw(side.port, hangs_up=True) == (b"", True)
        assert sorted(n[n.index("."):] if "." in n else "" for n in set(side.files()) - before) == suffixes
        wait_for(lambda: not listens(side.port), "it is gone")
        side.order("restart", endpoint=side.port)
    assert side.order("counters", endpoint=side.port)["create_wallet"] == 17
    assert "total" in side.order("counters") and "create_wallet" not in side.order("counters", endpoint=side.port + 1)
    side.order("call", endpoint=side.port, call="create_wallet", params={"filename": "behind", "language": "English"})
    assert side.call(0, "is_multisig")["multisig"] is False


def test_one_call_at_a_time(stand_in):
    """A call waits for the one before it on its endpoint, and for no other; and is
    carried out though its client has gone."""
    side = stand_in("--delay", "create_wallet=3000", in_memory=True)
    began, ended = time.monotonic(), {}

    def call(name, *args, **params):
        side.call(*args, **params)
        ended[name] = time.monotonic() - began
    threads = [threading.Thread(target=call, args=("create", 0, "create_wallet"), kwargs={"filename": "x", "language": "English"})]
    threads[0].start()
    wait_for(lambda: side.order("counters").get("create_wallet"), "the call has begun")
    threads += [threading.Thread(target=call, args=(f"version {n}", n, "get_version")) for n in (0, 1)]
    for thread in threads[1:]:
        thread.start()
    for thread in threads:
        thread.join()
    # libevent's clock is coarse: a timer of 3000 ms may end some ms before that.
    assert ended["version 1"] < ended["version 0"] and min(ended["create"], ended["version 0"]) >= 2.5
    with pytest.raises(TimeoutError):
        post(side.port, {"method": "create_wallet", "params": {"filename": "y", "language": "English"}}, timeout=0.1)
    assert side.call(0, "open_wallet", filename="y") == {} and side.call(0, "open_wallet", filename="x") == {}
    side.order("delay", call="create_wallet", value=0)
    began = time.monotonic()
    side.call(0, "create_wallet", filename="z", language="English")
    assert time.monotonic() - began < 2.4


def test_sigterm_stores_and_sigkill_does_not(stand_in):
    side = stand_in()
    side.call(0, "create_wallet", filename="w", language="English")
    side.call(0, "set_attribute", key="k", value="killed")
    side.kill_and_restart(0)
    assert side.call(0, "open_wallet", filename="w") == {} and side.call(0, "get_attribute", key="k")["code"] == -45
    side.call(0, "set_attribute", key="k", value="stopped")
    side.call(0, "stop_wallet")
    wait_for(lambda: not listens(side.port), "it stops once it has answered")
    side.order("restart", endpoint=side.port)
    assert side.call(0, "open_wallet", filename="w") == {} and side.call(0, "get_attribute", key="k") == {"value": "stopped"}
    side.call(0, "set_attribute", key="k", value="terminated")
    side.process.terminate()
    side.process.wait(LIMIT)
    other = stand_in()
    for name in ("w", "w.keys"):
        shutil.copy(side.wallets / name, other.wallets / name)
    assert other.call(0, "open_wallet", filename="w") == {} and other.call(0, "get_attribute", key="k") == {"value": "terminated"}


@pytest.mark.parametrize("login, in_memory", [(None, False), (LOGIN, False), (None, True)], ids=["files", "login", "memory"])
def test_msigd_opens_an_escrow_on_it(stand_in, msigd, folder, login, in_memory):
    side = stand_in(*(("--rpc-login", login) if login else ()), in_memory=in_memory)
    options = {"wallet-dir": "" if in_memory else side.wallets}
    if login:
        options["login-file"] = folder / "login"
        write_private(options["login-file"], login + "\n")
    m = msigd([section(f"s{n}", f"http://127.0.0.1:{side.port + n}", **options) for n in range(COUNT)])
    m.wait_idle(COUNT)
    escrow = m.ready(m.open())
    m.idle_again()
    assert side.order("counters")["make_multisig"] == COUNT
    wait_for(lambda: m.get(escrow["escrow_id"])["verified_at"], "the wallets were opened from disk and are good", limit=LIMIT)
