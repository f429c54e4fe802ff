#!/usr/bin/env python3
"""What waits inside a server, at full size: nobody else waits for it, and memory stays bounded.

    waits.py HAUL [NAME…]

    pieces    3,000 unread `?pieces` and `?meta4` of a sparse file of 100 GiB
    listings  4,096 unread listings of 100,000 names from one address; another address asks for the same
    silent    200 silent sockets of one address, with 64 open files
    log       10,000 refused requests of 8 KiB, with stderr a pipe that nobody reads
    disk      two files of 8 GiB, taken and hashed from a disk that reads 20 MB/s (cgroup v1 as root, else skipped)
"""

import contextlib
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

MIB = 1 << 20
THROTTLE = "/sys/fs/cgroup/blkio"


class Server:
    """A server of `root` on a port of its own."""

    def __init__(self, haul, root, before=()):
        self.state = tempfile.mkdtemp()
        home = {"HOME": self.state, "XDG_STATE_HOME": self.state, "XDG_CACHE_HOME": self.state}
        line = [*before, haul, "serve", root, "--headless", "-a", "127.0.0.1", "-p", "0", "-v", "debug"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.child = subprocess.Popen(line, env=os.environ | home, **pipes)
        self.port = int(self.child.stdout.readline().strip().rstrip("/").rsplit(":", 1)[1])

    def reads_stderr(self):
        threading.Thread(target=self.child.stderr.read, daemon=True).start()
        return self

    def memory(self):
        """The most that it held, in MiB."""
        with open(f"/proc/{self.child.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024

    def ask(self, host, target, fields="", reads=True):
        stream = socket.socket()
        if not reads:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stream.settimeout(60)
        stream.bind((host, 0))
        stream.connect(("127.0.0.1", self.port))
        head = f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{fields}\r\n"
        with contextlib.suppress(ConnectionError):
            stream.sendall(head.encode("latin-1"))
        return stream

    def fetch(self, host, target, fields=""):
        """Status, and the seconds until all of the answer was there."""
        begun = time.monotonic()
        with self.ask(host, target, fields) as stream:
            status = stream.recv(65536).split(b" ", 2)[1]
            while stream.recv(1 << 18):
                pass
        return status, time.monotonic() - begun

    def end(self):
        self.child.kill()
        self.child.wait()
        shutil.rmtree(self.state, ignore_errors=True)


def sparse(path, size):
    with open(path, "wb") as file:
        file.truncate(size)


def pieces(haul, root):
    sparse(f"{root}/big", 100 << 30)
    server = Server(haul, root).reads_stderr()
    unread = [
        server.ask(f"127.0.0.{2 + n % 20}", "/big?" + ("pieces", "meta4")[n % 2], reads=False) for n in range(3000)
    ]
    time.sleep(20)
    _, took = server.fetch("127.0.0.1", "/")
    peak = server.memory()
    server.end()
    return peak < 128 and took < 1, f"{len(unread)} unread, RSS {peak:.0f} MiB, a listing in {took:.2f} s"


def listings(haul, root):
    for n in range(100_000):
        os.close(os.open(f"{root}/a file with a name {n:06}", os.O_CREAT))
    server = Server(haul, root).reads_stderr()
    fields = "Accept: application/json\r\n"
    alone = min(server.fetch("127.0.0.1", "/", fields)[1] for _ in range(3))
    unread = [server.ask("127.0.0.9", "/", fields, reads=False) for _ in range(4096)]
    took = [server.fetch("127.0.0.1", "/", fields)[1] for _ in range(10)]
    peak = server.memory()
    server.end()
    told = f"{len(unread)} unread, RSS {peak:.0f} MiB, {alone:.2f} s alone, at worst {max(took):.2f} s beside them"
    return max(took) < 1, told


def silent(haul, root):
    open(f"{root}/a.txt", "w").close()
    server = Server(haul, root, ["bash", "-c", 'ulimit -n 64; exec "$@"', "bash"]).reads_stderr()
    held = []
    for _ in range(200):
        stream = socket.socket()
        stream.bind(("127.0.0.9", 0))
        stream.connect(("127.0.0.1", server.port))
        held.append(stream)
    answers = [server.fetch("127.0.0.2", "/a.txt") for _ in range(20)]
    server.end()
    worst = max(took for _, took in answers)
    return worst < 1 and all(status == b"200" for status, _ in answers), f"another is answered in {worst:.2f} s"


def log(haul, root):
    open(f"{root}/a.txt", "w").close()
    server = Server(haul, root)
    target, took = "/" + "\xff" * 8000, []
    for n in range(10_000):
        server.fetch("127.0.0.9", target)
        if n % 100 == 99:
            took.append(server.fetch("127.0.0.1", "/a.txt")[1])
    time.sleep(0.5)
    peak = server.memory()
    with open(f"{server.state}/haul/serve.log") as file:
        told = [line for line in file if "lines of the log were dropped" in line]
    server.end()
    worst = sorted(took)[-1] * 1000
    said = f"another is answered in {worst:.1f} ms at worst, RSS {peak:.0f} MiB, dropped lines are told {len(told)} times"
    return worst < 10 and peak < 64 and bool(told), said


def disk(haul, root):
    if not os.access(THROTTLE, os.W_OK):
        return None, "no cgroup v1 here that limits a disk"
    # A minute's reading is data; what comes behind it is never reached.
    for name, data, size in [("one", 1024, 8 << 30), ("two", 1024, 8 << 30), ("third", 3, 3 * MIB), ("fourth", 3, 3 * MIB)]:
        with open(f"{root}/{name}", "wb") as file:
            for _ in range(data):
                file.write(os.urandom(MIB))
            file.flush()
            os.fsync(file.fileno())
            file.truncate(size)
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    group, device = f"{THROTTLE}/haul-waits", os.stat(root).st_dev
    os.makedirs(group, exist_ok=True)
    limit = f"{os.major(device)}:{os.minor(device)} "

    def write(name, text):
        with open(f"{group}/{name}", "w") as file:
            file.write(text)

    def third(server, name):
        begun = time.monotonic()
        line = [haul, "connect", f"http://127.0.0.1:{server.port}/{name}", "-d", f"{server.state}/{name}", "--headless"]
        home = {"HOME": server.state, "XDG_STATE_HOME": server.state, "XDG_CACHE_HOME": server.state}
        line += ["--timeout", "6s", "--retries", "1"]
        subprocess.run(line, check=True, capture_output=True, env=os.environ | home)
        return time.monotonic() - begun

    server = Server(haul, root).reads_stderr()
    try:
        write("blkio.throttle.read_bps_device", limit + "20000000")
        write("cgroup.procs", str(server.child.pid))
        alone = third(server, "third")
        for n, name in enumerate(("one", "two")):
            for query in ("", "?pieces", "?meta4"):
                stream = server.ask(f"127.0.0.{2 + n}", f"/{name}{query}", f"Haul-Session: s{n}\r\n")

                def drain(stream=stream):
                    with contextlib.suppress(OSError):
                        while stream.recv(1 << 18):
                            pass

                threading.Thread(target=drain, daemon=True).start()
        time.sleep(5)
        beside = third(server, "fourth")
    finally:
        server.end()
        os.rmdir(group)
    return beside < alone + 2, f"3 MiB in {alone:.2f} s alone, {beside:.2f} s beside two of 8 GiB"


def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, [resource.getrlimit(resource.RLIMIT_NOFILE)[1]] * 2)
    haul, names = os.path.abspath(sys.argv[1]), sys.argv[2:] or ["pieces", "listings", "silent", "log", "disk"]
    failed = False
    for name in names:
        # Not on tmpfs: a disk is what is waited for.
        with tempfile.TemporaryDirectory(dir="/var/tmp") as root:
            good, told = globals()[name](haul, root)
        print({True: "ok  ", False: "FAIL", None: "skip"}[good], f"{name:9}", told, flush=True)
        failed |= good is False
    sys.exit(failed)


if __name__ == "__main__":
    main()
