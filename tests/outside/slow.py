#!/usr/bin/env python3
"""slowhttptest against a server of its own, while four other clients ask for a small file and one for a large one.

    slow.py DIRECTORY [MODE…]

The attack comes from 127.0.0.1, several times. Other clients come from 127.0.0.1 too and from 127.0.0.2: what closes connections
under pressure goes by address.
"""

import dataclasses
import os
import socket
import statistics
import subprocess
import sys
import threading
import time

import check

CONNECTIONS = 3500
# The server gives up on who reads nothing after so long, in seconds; the default is a minute.
TIMEOUT = 10
# Seconds of each attack. Connections come up in two seconds, and slow readers are dropped after TIMEOUT.
ATTACK = 15
# The first ones fill what the server keeps of the past (clients, and 10,000 log lines), the fewer at a time the busier the machine;
# from then on memory stays as it is. What grows with each attack grows with the last as well.
ATTACKS, MOST = 4, 10

MODES = {
    # Heads that go on for ever, a field now and then.
    "head": ["-H", "-i", "2", "-x", "24"],
    # Bodies that go on for ever.
    "body": ["-B", "-i", "2", "-s", "1000000", "-x", "24"],
    # Hundreds of overlapping ranges.
    "ranges": ["-R", "-t", "GET", "-a", "5", "-b", "500"],
    # Answers that are read a few bytes at a time, through a tiny window.
    "read": ["-X", "-w", "10", "-y", "20", "-n", "2", "-z", "32", "-k", "3"],
}

# A connection that no full backlog dropped is answered before its first packet would be sent a second time: 1 s (RFC 6298 §2).
WORST = 1.0
# As without an attack, for whoever waits.
MEDIAN = 0.05
# Of the rate without an attack, in the median: the processors are shared with the attack itself.
RATE = 0.1
# KiB for each connection of the attack, and MiB for what else a busy server holds.
EACH, REST = 24, 8
# MiB that the last attack may add to the peak of the one before.
MORE = 4


class Client(threading.Thread):
    """Asks again and again from an address of its own, on a new connection or on one that stays."""

    def __init__(self, server, source, stays):
        super().__init__(daemon=True)
        self.server, self.source, self.stays = server, source, stays
        self.times, self.failures, self.over = [], [], threading.Event()
        self.stream = None

    def run(self):
        while not self.over.is_set():
            start = time.monotonic()
            try:
                self.ask()
                self.times.append(time.monotonic() - start)
            except OSError as error:
                self.failures.append(str(error))
                self.stream = None
            self.over.wait(0.02)

    def ask(self):
        # A connection that stayed may have been closed as an idle one: any client asks again then, once.
        for attempt in (self.stream, None):
            try:
                self.stream = attempt or connect(self.server, self.source)
                self.answer()
                break
            except OSError:
                if not attempt:
                    raise
        if not self.stays:
            self.stream.close()
            self.stream = None

    def answer(self):
        self.stream.sendall(b"GET /file.txt HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        while b"\r\n\r\n" not in answer or len(answer.partition(b"\r\n\r\n")[2]) < length(answer):
            got = self.stream.recv(1 << 16)
            if not got:
                raise ConnectionResetError("closed before the answer was there")
            answer += got
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise OSError(answer[:40].decode())


def length(answer):
    head = answer.partition(b"\r\n\r\n")[0].lower()
    return int(head.partition(b"\r\ncontent-length: ")[2].split(b"\r\n")[0])


def connect(server, source):
    return socket.create_connection(("127.0.0.1", server.port), 10, (source, 0))


def download(server, source):
    """Takes the large file whole; its bytes a second."""
    start, taken = time.monotonic(), 0
    with connect(server, source) as stream:
        stream.sendall(b"GET /huge.bin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        buffer = bytearray(1 << 18)
        head = stream.recv_into(buffer)
        begun = bytes(buffer[:head]).partition(b"\r\n\r\n")
        size, taken = length(begun[0] + b"\r\n\r\n"), len(begun[2])
        while got := stream.recv_into(buffer):
            taken += got
    if taken != size:
        raise OSError(f"{taken} of {size} bytes")
    return taken / (time.monotonic() - start)


@dataclasses.dataclass
class Seen:
    """What was seen during one attack."""

    rss: list = dataclasses.field(default_factory=list)
    files: int = 0
    threads: int = 0
    rates: list = dataclasses.field(default_factory=list)
    failures: list = dataclasses.field(default_factory=list)


def attack(server, mode, seen):
    """Runs slowhttptest to its end, downloads beside it, and takes samples."""
    command = ["slowhttptest", *MODES[mode], "-c", str(CONNECTIONS), "-r", "2000", "-l", str(ATTACK), "-p", "3", "-v", "0"]
    if mode == "body":
        command += ["-t", "POST"]
    command += ["-u", server.url + ("/huge.bin" if mode in ("read", "ranges") else "/file.txt")]
    over = threading.Event()

    def take():
        while not over.is_set():
            try:
                seen.rates.append(download(server, "127.0.0.2"))
            except OSError as error:
                seen.failures.append(f"download: {error}")
            over.wait(0.5)

    taker = threading.Thread(target=take, daemon=True)
    taker.start()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as attacker:
        end = time.monotonic() + ATTACK + 30
        while attacker.poll() is None:
            if time.monotonic() > end:
                attacker.kill()
            sample(server, seen)
            time.sleep(0.1)
    over.set()
    taker.join(60)
    sample(server, seen)


def sample(server, seen):
    seen.rss.append(server.rss())
    seen.files = max(seen.files, server.files())
    seen.threads = max(seen.threads, server.status("Threads"))


def grows(attacks):
    return max(attacks[-1].rss) > max(attacks[-2].rss) + MORE


def judge(mode, server, clients, base, rates, attacks):
    """One row of the table, from all that was seen."""
    wrong = []
    for name, client in clients.items():
        if client.failures:
            wrong.append(f"{name}: {len(client.failures)} requests failed: {client.failures[0]}")
        if not client.times:
            wrong.append(f"{name}: no answer at all")
        elif max(client.times) > WORST or statistics.median(client.times) > MEDIAN:
            wrong.append(f"{name}: {in_ms(client.times)}")
    for seen in attacks:
        wrong += seen.failures
    taken = [rate for seen in attacks for rate in seen.rates]
    kept = statistics.median(taken or [0]) / statistics.median(rates)
    if kept < RATE:
        wrong.append(f"downloads at {kept:.0%} of the rate before")
    opened = max(seen.files for seen in attacks) - base.files
    if mode in ("head", "read") and opened < CONNECTIONS / 2:
        wrong.append(f"the attack had only {opened} files open at once")
    peaks = [max(seen.rss) for seen in attacks]
    grown = max(peaks) - max(base.rss)
    if grown > CONNECTIONS * EACH / 1024 + REST:
        wrong.append(f"{grown:.0f} MiB more memory")
    if grows(attacks):
        wrong.append(f"{peaks[-1] - peaks[-2]:.0f} MiB more memory for the last attack")
    left = [server.files() - base.files, server.status("Threads") - base.threads]
    if left[0] > 0 or left[1] > 0:
        wrong.append(f"{left[0]} files and {left[1]} threads are left")
    times = [time for client in clients.values() for time in client.times]
    for line in wrong:
        print(f"  {line}")
    what = f"{mode}: {len(attacks)} x {CONNECTIONS} connections, {opened} files open at once"
    facts = f"{in_ms(times)} of {len(times)} answers; downloads at {kept:.0%}; "
    rss = [max(base.rss), *peaks, server.rss()]
    facts += "RSS " + ", ".join(f"{mib:.1f}" for mib in rss) + " MiB"
    check.row("slowhttptest", what, facts, not wrong)
    return not wrong


def in_ms(times):
    if not times:
        return "none"
    return f"{statistics.median(times) * 1000:.1f} ms, {max(times) * 1000:.0f} ms at worst"


def run(root, mode):
    with check.haul_serve(root, "-t", f"{TIMEOUT}s") as server:
        rates = [download(server, "127.0.0.2") for _ in range(3)]
        base = Seen()
        # Threads that wait for work on files end after ten seconds without any.
        for _ in range(10):
            sample(server, base)
        clients = {
            f"{where}, {how}": Client(server, source, stays)
            for where, source in [("same address", "127.0.0.1"), ("other address", "127.0.0.2")]
            for how, stays in [("new connections", False), ("one connection", True)]
        }
        for client in clients.values():
            client.start()
        attacks = []
        while len(attacks) < ATTACKS or (grows(attacks) and len(attacks) < MOST):
            attacks.append(Seen())
            attack(server, mode, attacks[-1])
            # What the attack had open is closed.
            check.wait_until(lambda: server.files() <= base.files + 2 * len(clients), 30)
        for client in clients.values():
            client.over.set()
        for client in clients.values():
            client.join(15)
            if client.stream:
                client.stream.close()
        check.wait_until(lambda: server.files() <= base.files and server.status("Threads") <= base.threads, 30)
        return judge(mode, server, clients, base, rates, attacks)


def main():
    check.raise_open_files()
    root, modes = sys.argv[1], sys.argv[2:] or list(MODES)
    with open(os.path.join(root, "huge.bin"), "wb") as huge:
        # All holes: it takes no room.
        huge.truncate(512 << 20)
    return 0 if all([run(root, mode) for mode in modes]) else 1


if __name__ == "__main__":
    sys.exit(main())
