"""The stand-in for monero-wallet-rpc, tests/stand_in, for tests.

Everything started here lies in a folder of the test and is ended by whoever
started it; conftest.py looks that nothing is left.
"""
import http.client
import json
import os
import subprocess
from pathlib import Path

from machine import free_ports, listens, wait_for
from wallet_rpcs import WalletError

STAND_IN = Path(os.environ.get("MSIGD_STAND_IN", Path(__file__).resolve().parents[2] / "build/plain-build/stand_in"))
COUNT = 3
LIMIT = 60  # seconds that no call takes
LOGIN = "someone:a secret"
GET_VERSION = {"jsonrpc": "2.0", "id": "0", "method": "get_version", "params": {}}


def post(port, body, path="/json_rpc", timeout=LIMIT):
    """(status, content type, body)"""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("POST", path, body if isinstance(body, (bytes, str)) else json.dumps(body))
        response = connection.getresponse()
        return response.status, response.headers["Content-Type"], response.read()
    finally:
        connection.close()


class Side:
    """Three endpoints and one folder of wallets."""

    def __init__(self, folder):
        self.wallets = folder / "wallets"
        self.wallets.mkdir(parents=True)
        self.port = free_ports(COUNT + 2)

    def call(self, number, method, **params):
        """The result, or the error."""
        reply = json.loads(post(self.port + number, {"jsonrpc": "2.0", "id": "0", "method": method, "params": params})[2])
        return reply.get("result", reply.get("error"))

    def files(self):
        # a wallet2 that was misled by a wrong password may leave this, by chance
        return {p.name: p.read_bytes() for p in self.wallets.iterdir() if p.suffix != ".unportable"}


class StandIn(Side):
    def __init__(self, folder, *options, login=False, in_memory=False):
        super().__init__(folder)
        self.process = self.other = None
        self.control = self.port + COUNT
        self.login_port = self.port + COUNT + 1
        where = [] if in_memory else ["--wallet-dir", self.wallets]
        self.process = self.start("--port-base", self.port, "--count", COUNT, "--control-port", self.control, *where, *options)
        if login:
            self.other = self.start("--port-base", self.login_port, "--rpc-login", LOGIN, *where, *options)

    @staticmethod
    def start(*arguments):
        process = subprocess.Popen([STAND_IN, *map(str, arguments)], stdin=subprocess.DEVNULL)
        ports = [int(arguments[i + 1]) for i, a in enumerate(arguments) if a in ("--port-base", "--control-port")]
        wait_for(lambda: process.poll() is not None or all(map(listens, ports)), "the stand-in")
        assert process.poll() is None
        return process

    def order(self, method, **params):
        reply = json.loads(post(self.control, {"method": method, "params": params})[2])
        assert "error" not in reply, reply
        return reply["result"]

    def fault(self, call, kind, number=0, **more):
        self.order("fault", endpoint=self.port + number, call=call, kind=kind, **more)

    def kill_and_restart(self, number):
        self.order("kill", endpoint=self.port + number)
        assert not listens(self.port + number)
        self.order("restart", endpoint=self.port + number)

    def end(self):
        statuses = []
        for process in filter(None, (self.process, self.other)):
            process.terminate()
            statuses.append(process.wait(LIMIT))
        assert not any(statuses), statuses


class Stood:
    """One endpoint of a stand-in, as a WalletRpc."""
    login_file = certificate = None

    def __init__(self, side, number):
        self.side, self.number = side, number
        self.port, self.wallets = side.port + number, side.wallets
        self.url = f"http://127.0.0.1:{self.port}"

    def call(self, method, **params):
        found = self.side.call(self.number, method, **params)
        if "code" in found and "message" in found:
            raise WalletError(found)
        return found
