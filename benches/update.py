#!/usr/bin/env python3
"""A newer version of a file that is here: haul beside rsync's daemon, zsync and rclone.

    benches/update.py --haul target/release/haul --mib 512 --runs 5
    benches/update.py --haul target/release/haul --mib 512 --kills 50

Everything is in memory and in a network of its own (unshare), so that its loopback's counters tell what went over the wire:
both directions, with requests, acknowledgements and headers of TCP and IP. For each change of the file: the median time of
alternating runs, the median processor time of client and server, and the bytes. --kills ends haul's run with signal 9 at so
many moments instead, and looks that the old file or the new one is there, whole.
"""

import argparse
import hashlib
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

MIB = 1 << 20
PAGE = 4096


def content(seed, mib):
    """So many MiB that do not compress; `randbytes` makes less than 256 of them at once."""
    chance, made = random.Random(seed), bytearray(mib * MIB)
    for at in range(0, len(made), MIB):
        made[at : at + MIB] = chance.randbytes(MIB)
    return made


def versions(old, mib):
    """The old content in other versions; sizes follow the table in docs/UPDATE.md."""
    chance = random.Random(18)
    pages = len(old) // PAGE // 100
    touched = bytearray(old)
    for page in chance.sample(range(len(old) // PAGE), pages):
        touched[page * PAGE : (page + 1) * PAGE] = chance.randbytes(PAGE)
    yield "1 % of pages at random", touched
    together = bytearray(old)
    at = mib // 2 * MIB
    together[at : at + pages * PAGE] = chance.randbytes(pages * PAGE)
    yield "as many pages together", together
    yield "10 MiB and 123 bytes appended", old + chance.randbytes(10 * MIB + 123)
    yield "cut to 300 MiB and 77 bytes", old[: mib * 300 // 512 * MIB + 77]
    front = mib // 4 * MIB
    yield "64 MiB inserted at a piece", old[:front] + chance.randbytes(64 * MIB) + old[front:]
    yield "a byte inserted at the front", b"x" + old


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def wire():
    """Bytes that this network's loopback has carried."""
    for line in open("/proc/net/dev"):
        if line.strip().startswith("lo:"):
            return int(line.split(":")[1].split()[0])
    raise SystemExit("no loopback")


def used(pid):
    """Seconds of processor time of a server and of what it has waited for."""
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def descendants(pid):
    seen = [pid]
    for one in seen:
        try:
            children = open(f"/proc/{one}/task/{one}/children").read().split()
        except FileNotFoundError:
            continue
        seen.extend(map(int, children))
    return seen


class Place:
    """Servers of one directory, and where a client's file goes."""

    def __init__(self, haul, base):
        self.base, self.haul = base, haul
        self.source, self.target = f"{base}/source", f"{base}/target"
        os.mkdir(self.source)
        os.mkdir(self.target)
        self.env = dict(os.environ, HOME=base, XDG_STATE_HOME=f"{base}/state", XDG_CACHE_HOME=f"{base}/cache", XDG_RUNTIME_DIR=base)
        self.servers = {}

    def start(self, name, line):
        self.servers[name] = subprocess.Popen(line, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def serve(self):
        self.start("haul", [self.haul, "serve", self.source, "-a", "127.0.0.1", "-p", "8001", "--headless"])
        with open(f"{self.base}/rsyncd.conf", "w") as conf:
            conf.write(f"use chroot = no\nport = 8002\naddress = 127.0.0.1\n[m]\npath = {self.source}\nuid = {os.getuid()}\ngid = {os.getgid()}\n")
        self.start("rsync", ["rsync", "--daemon", "--no-detach", f"--config={self.base}/rsyncd.conf"])
        with open(f"{self.base}/nginx.conf", "w") as conf:
            conf.write(
                f"daemon off; worker_processes 1; pid {self.base}/nginx.pid; error_log {self.base}/nginx.err; user root;\n"
                "events {}\nhttp { access_log off; sendfile on; tcp_nopush on;\n"
                f"server {{ listen 127.0.0.1:8003; root {self.source}; autoindex on; }} }}\n"
            )
        self.start("nginx", ["nginx", "-c", f"{self.base}/nginx.conf"])
        import socket

        for port in (8001, 8002, 8003):
            for _ in range(200):
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.05)
            else:
                raise SystemExit(f"nothing listens on port {port}")

    def lines(self):
        target = f"{self.target}/x"
        return {
            "haul": ("haul", self.haul_line()),
            "rsync": ("rsync", ["rsync", "-t", "--no-whole-file", "rsync://127.0.0.1:8002/m/x", target]),
            "zsync": ("nginx", ["zsync", "-q", "-i", f"{self.base}/old", "-o", target, "http://127.0.0.1:8003/x.zsync"]),
            "rclone": ("nginx", ["rclone", "--config", "", "copyto", "--http-url", "http://127.0.0.1:8003", ":http:x", target]),
        }

    def haul_line(self, *more):
        return [self.haul, "connect", "http://127.0.0.1:8001/", "--get", "x", "-d", self.target, "--on-conflict", "update", "--headless", *more]

    def old(self):
        """Puts the old version into the target; nothing of another run is left."""
        shutil.rmtree(self.target)
        os.mkdir(self.target)
        shutil.copyfile(f"{self.base}/old", f"{self.target}/x")
        os.utime(f"{self.target}/x", ns=(10**18 + 1, 10**18 + 1))

    def stop(self):
        for server in self.servers.values():
            server.terminate()
        for server in self.servers.values():
            server.wait()


def measure(place, tool):
    server, line = place.lines()[tool]
    place.old()
    pids = descendants(place.servers[server].pid)
    busy, carried, began = sum(map(used, pids)), wire(), time.monotonic()
    mine = os.times()
    done = subprocess.run(line, env=place.env, cwd=place.base, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    took, carried = time.monotonic() - began, wire() - carried
    after = os.times()
    client = after.children_user + after.children_system - mine.children_user - mine.children_system
    if done.returncode != 0:
        raise SystemExit(f"{line}: {done.stdout.decode(errors='replace')}")
    time.sleep(0.1)  # whoever forked has waited for its child
    cpu = client + sum(map(used, [pid for pid in pids if os.path.exists(f"/proc/{pid}")])) - busy
    if subprocess.run(["cmp", "-s", f"{place.source}/x", f"{place.target}/x"]).returncode != 0:
        raise SystemExit(f"{tool}: the file is another")
    return took, cpu, carried


def kill(place, times):
    """Ends haul at many moments of one update: the file there is always the old one or the new one."""
    old, new = digest(f"{place.base}/old"), digest(f"{place.source}/x")
    place.old()
    began = time.monotonic()
    subprocess.run(place.haul_line(), env=place.env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    whole = time.monotonic() - began
    chance, seen, there = random.Random(50), {"old": 0, "new": 0}, old
    for turn in range(times):
        if turn % 5 == 0 or there == new:
            place.old()  # else it goes on with what the last one left
        run = subprocess.Popen(place.haul_line(), env=place.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(0, whole))
        run.send_signal(signal.SIGKILL)
        run.wait()
        there = digest(f"{place.target}/x")
        if there not in (old, new):
            raise SystemExit(f"after kill {turn}: neither the old file nor the new one")
        seen["old" if there == old else "new"] += 1
    subprocess.run(place.haul_line(), env=place.env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if digest(f"{place.target}/x") != new:
        raise SystemExit("the run after the last kill did not end right")
    left = [name for name in os.listdir(place.target) if name != "x"]
    print(f"{times} kills within {whole:.2f} s: {seen['old']} found the old file, {seen['new']} the new one; then left over: {left}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--haul", required=True)
    parser.add_argument("--mib", type=int, default=512, help="size of the old file, at least 128")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--tools", default="haul,rsync,zsync,rclone")
    parser.add_argument("--dir", default="/dev/shm")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if not args.inside:
        own = "-n" if os.getuid() == 0 else "-rn"
        os.execvp("unshare", ["unshare", own, sys.executable, *sys.argv, "--inside", "--haul", os.path.abspath(args.haul)])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    tools = [tool for tool in args.tools.split(",") if tool == "haul" or shutil.which(tool)]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    base = tempfile.mkdtemp(prefix="haul-update-", dir=args.dir)
    place = Place(args.haul, base)
    try:
        old = content(1, args.mib)
        with open(f"{base}/old", "wb") as file:
            file.write(old)
        place.serve()
        if args.kills:
            with open(f"{place.source}/x", "wb") as file:
                file.write(next(versions(old, args.mib))[1])
            del old  # it may be all the memory that there is
            kill(place, args.kills)
            return
        print("| new version | tool | over the wire | time | CPU seconds |\n|---|---|---|---|---|", flush=True)
        for what, new in versions(old, args.mib):
            with open(f"{place.source}/x", "wb") as file:
                file.write(new)
            made = 0.0
            if "zsync" in tools:
                began = time.monotonic()
                subprocess.run(["zsyncmake", "-o", f"{place.source}/x.zsync", "-u", "x", f"{place.source}/x"], check=True, stderr=subprocess.DEVNULL)
                made = time.monotonic() - began
            taken = {tool: [] for tool in tools}
            for _ in range(args.runs):
                for tool in tools:
                    taken[tool].append(measure(place, tool))
            for tool, runs in taken.items():
                took, cpu, carried = (statistics.median(column) for column in zip(*runs))
                note = f" (and {made:.1f} s for zsyncmake)" if tool == "zsync" else ""
                print(f"| {what} | {tool} | {carried / MIB:.1f} MiB | {took:.2f} s | {cpu:.2f}{note} |", flush=True)
    finally:
        place.stop()
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main()
