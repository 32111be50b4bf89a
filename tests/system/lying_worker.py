#!/usr/bin/python3 -S
"""The worker at REAL, but what it replies to a request is changed first, by the
statement about `reply` and its `wallets` that is in the file LIE then. Tests bind
this over the installed worker, for one msigd only."""
import json
import os
import select
import socket
import struct
import sys

REAL = "@REAL@"
LIE = "@LIE@"


def changed(text):
    reply = json.loads(text)
    if reply["type"] != "reply":
        return text
    with open(LIE, encoding="ascii") as lie:
        exec(lie.read(), {"reply": reply, "wallets": reply["wallets"]})  # pylint: disable=exec-used
    return json.dumps(reply).encode()


def main():
    supervisor = socket.socket(fileno=3)
    ours, theirs = socket.socketpair()
    pid = os.posix_spawn(REAL, ["msigd-worker", *sys.argv[1:]], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, theirs.fileno(), 3)])
    theirs.close()
    said = b""
    while True:
        ready = select.select([supervisor, ours], [], [])[0]
        if supervisor in ready:
            asked = supervisor.recv(65536)
            if not asked:
                sys.exit(65)  # the end of the other is seen by it
            ours.sendall(asked)
        if ours in ready:
            part = ours.recv(65536)
            if not part:
                sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            said += part
        while len(said) >= 4 and len(said) >= 4 + struct.unpack(">I", said[:4])[0]:
            size = struct.unpack(">I", said[:4])[0]
            text, said = changed(said[4:4 + size]), said[4 + size:]
            supervisor.sendall(struct.pack(">I", len(text)) + text)


main()
