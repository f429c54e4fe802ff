#!/usr/bin/env python3
"""What a dashboard costs with 1,000 active transfers: CPU with the screen and without, of the same trickle of bytes.

    cargo build --release && benches/active.py [--haul target/release/haul] [--seconds 20] [--only serve|connect|idle]

serve: 1,000 connections, a client each, take a file of their own, a few KiB/s each. connect: 1,000 files are queued over
as many connections as one client may have, from a server that lets a trickle through. idle: neither does anything.
Everything is in memory and on loopback. The difference is what drawing costs; fails where that is above 5 % of a core,
or an idle dashboard above 0.5 %.
"""

import argparse
import fcntl
import os
import pty
import re
import selectors
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time

COUNT = 1000
SIZE = 8 << 20
# Bytes a second, all transfers together: so much that each of the server's moves within five seconds.
TRICKLE = {"serve": "16M", "connect": "1M", "idle": "1M"}
ACTIVE_MAX = 5.0
IDLE_MAX = 0.5
TICK = os.sysconf("SC_CLK_TCK")


class Program:
    """haul on a terminal of its own, or without one; what it draws is read and counted."""

    def __init__(self, argv, home, screen, size=(120, 36)):
        environment = {"HOME": home, "PATH": os.environ["PATH"], "TERM": "xterm-256color"}
        self.drawn, self.text = 0, b""
        if screen:
            self.pid, self.terminal = pty.fork()
            if self.pid == 0:
                os.execve(argv[0], argv + ["--theme", "dark"], environment)
            fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
            out = self.terminal
        else:
            process = subprocess.Popen(
                argv + ["--headless"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            self.process, self.pid, out = process, process.pid, process.stdout.fileno()
        threading.Thread(target=self.read, args=(out,), daemon=True).start()

    def read(self, out):
        while True:
            try:
                chunk = os.read(out, 65536)
            except OSError:
                return
            if not chunk:
                return
            self.drawn += len(chunk)
            self.text = (self.text + chunk)[-200000:]

    def press(self, keys):
        os.write(self.terminal, keys.encode())

    def wait_for(self, pattern, patience=30):
        end = time.monotonic() + patience
        while not (found := re.search(pattern, self.text)):
            if time.monotonic() > end:
                sys.exit(f"no {pattern} in {self.text[-2000:]!r}")
            time.sleep(0.02)
        return found

    def cpu(self):
        with open(f"/proc/{self.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def measure(self, seconds):
        """Percent of a core, and bytes drawn a second."""
        cpu, drawn, start = self.cpu(), self.drawn, time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - start
        return (self.cpu() - cpu) / took * 100, (self.drawn - drawn) / took

    def end(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port, patience=10):
    end = time.monotonic() + patience
    while time.monotonic() < end:
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
    sys.exit(f"nothing listens on port {port}")


def files(root, count):
    for n in range(count):
        with open(f"{root}/file-{n:04}.bin", "wb") as file:
            file.truncate(SIZE)


def served(haul, root, port, home, screen, limit):
    argv = [haul, "serve", root, "-p", str(port), "-a", "127.0.0.1", "--limit", limit]
    program = Program(argv, home, screen)
    answers(port)
    return program


class Readers:
    """As many clients as there are files, each of which takes its own over a connection that it keeps reading."""

    def __init__(self, port):
        self.received, self.going = [0] * COUNT, True
        self.selector = selectors.DefaultSelector()
        for n in range(COUNT):
            stream = socket.socket()
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            stream.connect(("127.0.0.1", port))
            request = f"GET /file-{n:04}.bin HTTP/1.1\r\nHost: h\r\nHaul-Session: {n}\r\nHaul-Name: client{n}\r\n\r\n"
            stream.sendall(request.encode())
            stream.setblocking(False)
            self.selector.register(stream, selectors.EVENT_READ, n)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        while self.going:
            for key, _ in self.selector.select(0.1):
                chunk = key.fileobj.recv(65536)
                self.received[key.data] += len(chunk)
                if not chunk:
                    sys.exit(f"client {key.data}'s connection ended")
            # In strides: this process must not take the core that is measured.
            time.sleep(0.05)

    def end(self):
        self.going = False


def serve(haul, seconds, home):
    """Percent of a core with a screen and without."""
    found = {}
    for screen in (True, False):
        with tempfile.TemporaryDirectory(dir="/dev/shm") as root:
            files(root, COUNT)
            port = free_port()
            program = served(haul, root, port, home, screen, TRICKLE["serve"])
            readers = Readers(port)
            time.sleep(5)
            before = readers.received[:]
            cpu, drawn = program.measure(seconds)
            moved = [now - then for now, then in zip(readers.received, before)]
            active = sum(1 for bytes in moved if bytes > 0)
            readers.end()
            program.end()
        found[screen] = cpu
        print(
            f"serve {'with a screen' if screen else 'headless':14} {cpu:5.2f} % of a core, {active} of {COUNT} moved, "
            f"{sum(moved) / seconds / 1024:.0f} KiB/s, {drawn / 1024:.0f} KiB/s drawn"
        )
    return found[True] - found[False]


def connect(haul, seconds, home, workers):
    found = {}
    for screen in (True, False):
        with tempfile.TemporaryDirectory(dir="/dev/shm") as root, tempfile.TemporaryDirectory(dir="/dev/shm") as into:
            files(root, COUNT)
            port = free_port()
            # The first looks at the files cost hashing: that is over before the trickle begins.
            server = served(haul, root, port, home, False, TRICKLE["connect"])
            argv = [haul, "connect", f"http://127.0.0.1:{port}/", "-d", into, "-w", str(workers), "--no-resume"]
            if screen:
                program = Program(argv, home, True)
                program.wait_for(rb"file-0000")
                program.press("\x01d")
                program.wait_for(rb"1,?000 added to the queue")
                program.press("2")
            else:
                patterns = [f"--get=file-{n:04}.bin" for n in range(COUNT)]
                program = Program(argv + patterns, home, False)
            time.sleep(10)
            cpu, drawn = program.measure(seconds)
            program.end()
            server.end()
        found[screen] = cpu
        print(
            f"connect {'with a screen' if screen else 'headless':14} {cpu:5.2f} % of a core, {COUNT} queued, "
            f"{workers} connections, {drawn / 1024:.0f} KiB/s drawn"
        )
    return found[True] - found[False]


def idle(haul, seconds, home):
    worst = 0
    with tempfile.TemporaryDirectory(dir="/dev/shm") as root, tempfile.TemporaryDirectory(dir="/dev/shm") as into:
        files(root, 40)
        port = free_port()
        server = served(haul, root, port, home, True, TRICKLE["idle"])
        client = Program([haul, "connect", f"http://127.0.0.1:{port}/", "-d", into], home, True)
        client.wait_for(rb"file-0000")
        time.sleep(5)
        for name, program in (("serve", server), ("connect", client)):
            cpu, drawn = program.measure(seconds * 2)
            worst = max(worst, cpu)
            print(f"idle {name}: {cpu:.2f} % of a core, {drawn:.0f} B/s drawn")
        client.end()
        server.end()
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--haul", default="target/release/haul")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--only", choices=["serve", "connect", "idle"])
    options = parser.parse_args()
    haul, failed = os.path.abspath(options.haul), False
    with tempfile.TemporaryDirectory() as home:
        for name, measure, most in (
            ("serve", lambda: serve(haul, options.seconds, home), ACTIVE_MAX),
            ("connect", lambda: connect(haul, options.seconds, home, options.workers), ACTIVE_MAX),
            ("idle", lambda: idle(haul, options.seconds, home), IDLE_MAX),
        ):
            if options.only in (None, name):
                cost = measure()
                print(f"{name}: {cost:.2f} % of a core for the screen, {most} % allowed")
                failed |= cost > most
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
