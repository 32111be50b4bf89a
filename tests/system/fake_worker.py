#!/usr/bin/python3 -S
"""An msigd-worker that finds every endpoint good and then does MODE instead of
an escrow. Tests bind it over the installed one, for one msigd only."""
import fcntl
import json
import os
import signal
import struct
import sys
import time

MODE = "@MODE@"
FALSE_NUMBERS = {"below 0": {"errors": {"-1": -1}}, "of a method that is none": {"calls": {"fancy": []}}, "in a list": []}


def send(frame):
    text = json.dumps(frame).encode()
    os.write(3, struct.pack(">I", len(text)) + text)


def read(size):
    data = b""
    while len(data) < size:
        part = os.read(3, size - len(data))
        if not part and MODE == "outlives msigd":
            time.sleep(1000)
        if not part:
            sys.exit(65)
        data += part
    return data


def receive():
    return json.loads(read(struct.unpack(">I", read(4))[0]))


def wait_for_stop():
    while receive()["type"] != "stop":
        pass


def tend(start, base):
    """MODE "tends", and what it says in the place of what is right: wallet=…,
    stamp=…, address=… of the reports, made=… or looked=… of the spare at the end."""
    said = dict(part.split("=", 1) for part in MODE.split()[1:])
    finished = {**base, "type": "finished", "outcome": "done", "rtt_ms": 1, "version": 65552, "closed_wallet": False,
                "made": False, "spare": said.get("looked"), "locks": []}
    if "make" in start:
        wallet = f'msigd-{start["make"]["spare_id"]}'
        send({**base, "type": "report", "serial": 1, "spare": {
            "wallet": said.get("wallet", wallet), "stamp": said.get("stamp", "its stamp"), "password": "AAAA"}})
        receive()
        send({**base, "type": "report", "serial": 2, "spare": {"address": said.get("address", "9" * 95)}})
        receive()
        finished.update(made=True, spare=said.get("made", wallet))
    send(finished)


def main():
    if MODE == "silent":
        time.sleep(1000)
    if MODE == "silent setup" and sys.argv[1].startswith("setup"):
        time.sleep(1000)
    if MODE.startswith("silent at ") and sys.argv[1].startswith(f"tend {MODE.split()[2]}"):
        time.sleep(1000)
    if MODE == "other version" or MODE == "other version of setup" and sys.argv[1].startswith("setup"):
        send({"type": "hello", "protocol": 99})
        time.sleep(1000)
    send({"type": "hello", "protocol": 9})
    start = receive()
    base = {"generation": start["generation"]}
    if start["job"] == "tend" and MODE == "finds it busy":
        send({**base, "type": "finished", "outcome": "busy", "holder": f"msigd-worker {os.getpid()}", "locks": []})
        return
    if start["job"] == "tend" and MODE == "finds it silent":
        send({**base, "type": "finished", "outcome": "failed", "cause": "timeout", "reason": "no answer", "fatal": False, "locks": []})
        return
    if start["job"] == "tend" and MODE.startswith("tends"):
        tend(start, base)
        return
    if start["job"] == "tend":
        send({**base, "type": "finished", "outcome": "done", "rtt_ms": 1, "version": 65552, "closed_wallet": False, "locks": []})
        return
    send({**base, "type": "locked", "locks": []})
    if MODE.startswith("exits"):
        sys.exit(int(MODE.split()[1]))
    elif MODE == "kills itself":
        os.kill(os.getpid(), 11)
    elif MODE == "noise":
        os.write(3, b"\xff" * 1000)
    elif MODE == "no JSON":
        os.write(3, struct.pack(">I", 4) + b"oops")
    elif MODE == "unknown message":
        send({**base, "type": "surprise"})
    elif MODE == "false report":
        send({**base, "type": "report", "serial": 1, "results": [
            {"role": "buyer", "call": "make_multisig", "round": 2, "duration_ms": 1}], "intents": []})
    elif MODE.startswith("false event"):
        event, at = MODE.split()[2:]
        send({**base, "type": "trace", "event": event, "at": float(at), "fields": {"seq": 9, "attempt": 9, "t_ms": -9, "worker": 9}})
    elif MODE == "false publish":
        send({**base, "type": "publish", "serial": 1, "address": "9" * 95, "participants": []})
    elif MODE.startswith("numbers "):
        send({**base, "type": "serving", "numbers": FALSE_NUMBERS[MODE.split(" ", 1)[1]]})
    elif MODE == "old generation":
        send({**base, "type": "finished", "outcome": "done", "locks": [], "generation": start["generation"] - 1})
        send({**base, "type": "finished", "outcome": "failed", "cause": "internal", "reason": "it was its own", "fatal": True, "locks": []})
        return
    elif MODE == "many words":  # more than msigd reads at once, and gone before it reads
        os.kill(os.getppid(), signal.SIGSTOP)
        for i in range(60):
            send({**base, "type": "log", "level": "debug", "event": "words", "fields": {"number": i, "text": "x" * 100}})
        send({**base, "type": "finished", "outcome": "failed", "cause": "internal", "reason": "the last word", "fatal": True, "locks": []})
        return
    elif MODE == "long reason":
        send({**base, "type": "finished", "outcome": "failed", "cause": "internal", "reason": "\u00e4" * 600, "fatal": True,
              "locks": []})
        return
    elif MODE.startswith("renames") and start["job"] == "repair":  # at great length, once somebody has written to that FIFO
        wallet = start["participants"][0]
        with open(MODE.split()[1], encoding="ascii") as fifo:
            fifo.read()
        send({**base, "type": "report", "serial": 1, "results": [], "intents": [
            {"role": wallet["role"], "call": "restore", "round": 0, "stamp": "its stamp", "reason": "x" * 60000,
             "wallet": f'{start["escrow_id"]}-{start["attempt"]}-{wallet["role"]}-01234567'}]})
        receive()
        send({**base, "type": "finished", "outcome": "failed", "cause": "internal", "reason": "it only renames", "fatal": True,
              "locks": []})
        return
    elif MODE.startswith("repairs") and start["job"] == "repair":  # the buyer's once somebody has written to that FIFO
        wallet = start["participants"][0]
        if wallet["role"] == "buyer":
            with open(MODE.split()[1], encoding="ascii") as fifo:
                fifo.read()
        send({**base, "type": "finished", "outcome": "done", "roles": [wallet["role"]], "from": "files", "wallet": wallet["wallet"],
              "keys_round": 0, "locks": []})
        return
    elif MODE.startswith("repairs"):
        send({**base, "type": "finished", "outcome": "failed", "cause": "internal", "reason": "it only repairs", "fatal": True,
              "locks": []})
        return
    elif MODE.startswith("checks"):  # and tells for whom
        send({**base, "type": "finished", "outcome": "done", "roles": MODE.split()[1:], "locks": []})
        return
    elif MODE in ("waits", "outlives msigd") or MODE.startswith("silent at "):
        with open(f'{start["lock_dir"]}/escrow-{start["escrow_id"]}.lock', "a+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            lock.write(f'pid {os.getpid()}, {start["job"]} of escrow {start["escrow_id"]}\n'.encode())
            lock.flush()
            wait_for_stop()
        send({**base, "type": "finished", "outcome": "stopped", "locks": []})
        return
    elif MODE in ("deaf", "deaf to SIGTERM"):
        if MODE != "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            receive()
    time.sleep(1000)


main()
