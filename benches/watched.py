#!/usr/bin/env python3
"""What it costs to be watched: a server with 1,000 clients, without a screen and with one that `haul attach` draws.

    ulimit -n 4096; benches/watched.py target/release/haul [CLIENTS [SECONDS]]

Each client is a session of its own that has taken a file and holds its connection; nothing flows while it is measured, so that all
that is counted is the watching. Tells the processor time of the server and of the screen, in percent of a core, and fails where the
server's share of the watching is 1 % or more.
"""

import fcntl
import os
import pty
import resource
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time

COST_MAX = 1.0  # percent of a core
TICK = os.sysconf("SC_CLK_TCK")


def used(pid):
    """Seconds of processor time, of all threads."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def share(pids, seconds):
    """Percent of a core that each process takes in so many seconds."""
    before, start = [used(pid) for pid in pids], time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - start
    return [100 * (used(pid) - past) / took for pid, past in zip(pids, before)]


def client(port, number):
    stream = socket.socket()
    stream.settimeout(20)
    stream.connect(("127.0.0.1", port))
    request = f"GET /file HTTP/1.1\r\nHost: watched\r\nHaul-Session: {number:032x}\r\nHaul-Name: client-{number}\r\n\r\n"
    stream.sendall(request.encode())
    answer = stream.recv(65536)
    assert answer.startswith(b"HTTP/1.1 200"), answer
    return stream


def attach(haul, environment):
    """A screen of 120 by 36 cells, whose terminal is read; its process and what it has drawn."""
    own, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 36, 120, 0, 0))

    def session():
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    command = [haul, "attach", "watched", "--theme", "dark"]
    environment = environment | {"TERM": "xterm-256color"}
    process = subprocess.Popen(command, stdin=other, stdout=other, stderr=other, env=environment, preexec_fn=session)
    os.close(other)
    drawn = bytearray()

    def read():
        try:
            while part := os.read(own, 65536):
                drawn.extend(part)
        except OSError:
            pass  # the terminal of a program that has ended

    threading.Thread(target=read, daemon=True).start()
    return process, drawn


def main():
    haul = os.path.abspath(sys.argv[1])
    count, seconds = (int(word) for word in (sys.argv[2:] + ["1000", "30"][len(sys.argv) - 2:])[:2])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as root:
        with open(f"{root}/file", "w") as file:
            file.write("content")
        environment = os.environ | {"XDG_RUNTIME_DIR": root, "XDG_STATE_HOME": root, "XDG_CACHE_HOME": root}
        command = [haul, "serve", root, "--headless", "-p", "0", "-a", "127.0.0.1", "-t", "30m", "-v", "error"]
        command += ["--max-connections", str(count * 2), "--instance", "watched"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        screen = None
        try:
            port = int(server.stdout.readline().strip().rsplit(":", 1)[1])
            streams = [client(port, number) for number in range(1, count + 1)]
            time.sleep(5)  # whatever ends behind the requests has ended
            [alone] = share([server.pid], seconds)
            screen, drawn = attach(haul, environment)
            deadline = time.monotonic() + 30
            while b"client-" not in drawn:
                assert time.monotonic() < deadline and screen.poll() is None, bytes(drawn[-2000:])
                time.sleep(0.1)
            time.sleep(5)
            watched, drawing = share([server.pid, screen.pid], seconds)
        finally:
            for process in (screen, server):
                if process:
                    process.terminate()
                    process.wait()
    cost = watched - alone
    print(f"{len(streams)} clients: the server takes {alone:.2f} % of a core alone, {watched:.2f} % watched: {cost:.2f} % more")
    print(f"the screen takes {drawing:.2f} %")
    return 1 if cost >= COST_MAX else 0


if __name__ == "__main__":
    sys.exit(main())
