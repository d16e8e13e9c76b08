"""A program of Python's standard library alone, built by componentize-py: it prints what WASI gives it, one `name: value` a line.

Tests read its lines; it must not decide what is right. Modules are loaded while the component is built, for a scene has no files: what
Python would load when it is first used is named here.
"""

import encodings.idna  # For names of hosts.
import os
import socket
import sys
import time

import wit_world


class WitWorld(wit_world.WitWorld):
    async def start(self) -> None:
        print("arguments:", len(sys.argv))
        print("environment:", len(os.environ))

        print("open:", outcome(lambda: open("/etc/passwd")))
        print("create:", outcome(lambda: open("scene.txt", "w")))
        print("list:", outcome(lambda: os.listdir("/")))

        print("tcp connect:", outcome(lambda: socket.socket(type=socket.SOCK_STREAM).connect(("127.0.0.1", 80))))
        print("udp bind:", outcome(lambda: socket.socket(type=socket.SOCK_DGRAM).bind(("0.0.0.0", 0))))
        print("lookup:", outcome(lambda: socket.getaddrinfo("scene.invalid", 80)))

        print("stdin:", len(sys.stdin.read()))

        before = time.monotonic()
        time.sleep(0.02)
        print("slept:", int((time.monotonic() - before) * 1_000_000))
        print("date:", int(time.time()))

        print("random:", os.urandom(8).hex())

        print("error output: \x1b[31mred", file=sys.stderr)
        print("unfinished", end="", flush=True)


def outcome(action) -> str:
    """The kind of an error; `ok` for anything else."""
    try:
        action()
    except OSError as error:
        return type(error).__name__
    return "ok"
