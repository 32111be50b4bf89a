"""A 2-of-3 set-up without msigd: the calls that worker/setup.c and worker/gate.c
make of three wallet-rpcs, one after the other or with the wallets in parallel.

Nothing is stored, no key file is read, and nobody is asked before a step: what
msigd takes longer than this is what msigd costs.
"""
import json
import os
import socket
import threading
import time

ROLES = ("buyer", "vendor", "arbiter")
NO_ATTRIBUTE = -45
MAIN = {"create_wallet", "prepare_multisig", "make_multisig", "exchange_multisig_keys"}


class Wallet:
    """One wallet-rpc, over one connection that is kept."""

    def __init__(self, port, name):
        self.name, self.password = name, os.urandom(32).hex()
        self.stamp = json.dumps({"name": name, "nonce": os.urandom(16).hex()})
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.main_s = {}    # {round: seconds in its main call}; create is 0, prepare 1, make 2
        self.round = 0
        self.message = self.address = self.seed = None

    def _receive(self):
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, body = data.split(b"\r\n\r\n", 1)
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
        while len(body) < length:
            body += self._more()
        return json.loads(body)

    def _more(self):
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("wallet-rpc has hung up")
        return data

    def call(self, method, **params):
        body = json.dumps({"jsonrpc": "2.0", "id": "0", "method": method, "params": params}).encode()
        began = time.monotonic()
        self.socket.sendall(b"POST /json_rpc HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                            b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        answer = self._receive()
        if "result" not in answer:
            if method == "get_attribute" and answer["error"]["code"] == NO_ATTRIBUTE:
                return None
            raise RuntimeError(f"{method}: {answer.get('error')}")
        if method in MAIN:
            self.main_s[self.round] = time.monotonic() - began
            self.round += 1
        return answer["result"]

    # the scripts of setup.c

    def check_stamp(self):
        assert self.call("get_attribute", key="msigd")["value"] == self.stamp

    def look_at_address(self):
        self.address = self.call("get_address", account_index=0, address_index=[0])["address"]
        self.check_address()

    def check_address(self):
        assert self.call("validate_address", address=self.address, any_net_type=True)["valid"]

    def create(self):
        self.call("create_wallet", filename=self.name, password=self.password, language="English")
        assert not self.call("is_multisig")["multisig"]
        self.look_at_address()
        assert self.call("get_attribute", key="msigd") is None
        self.call("set_attribute", key="msigd", value=self.stamp)
        self.call("store")

    def prepare(self):
        self.check_stamp()
        self.message = self.call("prepare_multisig", enable_multisig_experimental=True)["multisig_info"]

    def make(self, messages):
        assert not self.call("is_multisig")["multisig"]
        self.check_stamp()
        self.message = self.call("make_multisig", multisig_info=messages, threshold=2, password=self.password)["multisig_info"]
        assert self.call("is_multisig")["total"] == 3
        self.call("store")

    def exchange(self, messages):
        """True: the wallet is ready."""
        self.check_stamp()
        self.message = self.call("exchange_multisig_keys", multisig_info=messages, password=self.password)["multisig_info"]
        ready = self.call("is_multisig")["ready"]
        self.call("store")
        return ready

    def prove(self, is_first):
        """The gate (gate.c)."""
        self.check_stamp()
        assert self.call("is_multisig")["ready"]
        self.address = self.call("get_address", account_index=0, address_index=[0])["address"]
        if is_first:
            self.check_address()
        self.seed = self.call("query_key", key_type="mnemonic")["key"]

    def ask(self):
        """What worker/session.c asks for a request."""
        self.check_stamp()
        self.call("is_multisig")
        self.call("get_address", account_index=0, address_index=[0])
        self.call("get_balance", account_index=0)
        self.call("get_height")

    def close(self):
        self.call("close_wallet")
        self.socket.close()


def _each_in_turn(functions):
    return [f() for f in functions]


class _Threads:
    """One for each wallet; all are waited for."""

    def __call__(self, functions):
        results, errors = [None] * len(functions), []

        def run(i):
            try:
                results[i] = functions[i]()
            except BaseException as e:  # pylint: disable=broad-except
                errors.append(e)
        threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(len(functions))]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        if errors:
            raise errors[0]
        return results


def create_and_prepare(wallet):
    wallet.create()
    wallet.prepare()


def _exchange(wallets, each):
    """From three messages of prepare_multisig to three proven wallets."""
    messages = sorted(w.message for w in wallets)
    each([lambda w=w: w.make(messages) for w in wallets])
    ready = False
    while not ready:
        messages = sorted(w.message for w in wallets)
        ready = all(each([lambda w=w: w.exchange(messages) for w in wallets]))
    each([lambda w=w: w.prove(w is wallets[0]) for w in wallets])
    assert len({w.address for w in wallets}) == 1 and len({w.seed for w in wallets}) == 3


def _new_wallets(ports, name):
    return [Wallet(port, f"{name}-{role}") for port, role in zip(ports, ROLES)]


def set_up(ports, name, parallel):
    """(wall seconds, seconds of it in the slowest main calls). The wallets are
    closed again, and that is not counted."""
    each = _Threads() if parallel else _each_in_turn
    began = time.monotonic()
    wallets = _new_wallets(ports, name)
    if parallel:
        # prepare needs nothing of the others
        each([lambda w=w: create_and_prepare(w) for w in wallets])
    else:
        each([w.create for w in wallets])
        each([w.prepare for w in wallets])
    _exchange(wallets, each)
    wall = time.monotonic() - began
    for w in wallets:
        w.close()
    return wall, critical_path([w.main_s for w in wallets])


def key_exchange(ports, name):
    """The same with the wallets in parallel, created beforehand and open, which
    is not counted."""
    each = _Threads()
    wallets = _new_wallets(ports, name)
    each([w.create for w in wallets])
    for w in wallets:
        w.main_s[0] = 0
    began = time.monotonic()
    each([w.prepare for w in wallets])
    _exchange(wallets, each)
    wall = time.monotonic() - began
    for w in wallets:
        w.close()
    return wall, critical_path([w.main_s for w in wallets])


def ask_seconds(ports, name, times):
    """How long it takes to ask three wallets that are open, in parallel; so many times."""
    each = _Threads()
    wallets = _new_wallets(ports, name)
    each([w.create for w in wallets])
    took = []
    for _ in range(times):
        began = time.monotonic()
        each([w.ask for w in wallets])
        took.append(time.monotonic() - began)
    for w in wallets:
        w.close()
    return took


def critical_path(main_s):
    """Of three {round: seconds}: create and prepare of the slowest, then the
    slowest of each round. What is left of the wall time is overhead."""
    rounds = sorted(set().union(*main_s) - {0, 1})
    return max(m[0] + m[1] for m in main_s) + sum(max(m[r] for m in main_s) for r in rounds)
