#!/usr/bin/env python3
"""What idle connections cost a server: its RSS with none and with 10,000, and how soon a new client is answered.

    ulimit -n 32768; benches/idle.py target/release/haul [CONNECTIONS]

Each connection has made one request, so that it has been through the whole path. Fails above 200 MiB or 50 ms.
"""

import http.client
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time

REQUEST = b"GET /file HTTP/1.1\r\nHost: idle\r\n\r\n"
RSS_MAX = 200  # MiB
ANSWER_MAX = 50  # ms


def rss(pid):
    with open(f"/proc/{pid}/status") as status:
        line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def connect(port, host):
    stream = socket.socket()
    stream.settimeout(10)
    # One address has 28,000 ports.
    stream.bind((f"127.0.1.{host}", 0))
    stream.connect(("127.0.0.1", port))
    stream.sendall(REQUEST)
    answer = stream.recv(65536)
    assert answer.startswith(b"HTTP/1.1 200"), answer
    return stream


def answered(port):
    start = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/file")
    assert connection.getresponse().read() == b"content"
    connection.close()
    return (time.monotonic() - start) * 1000


def main():
    haul, count = sys.argv[1], int((sys.argv[2:] or ["10000"])[0])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as root:
        with open(f"{root}/file", "w") as file:
            file.write("content")
        command = [haul, "serve", root, "--headless", "-p", "0", "-a", "127.0.0.1", "-t", "10m", "-v", "error"]
        command += ["-l", f"{root}/.log", "--max-connections", str(count * 2)]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            port = int(server.stdout.readline().strip().rsplit(":", 1)[1])
            answered(port)
            before = rss(server.pid)
            streams = [connect(port, 1 + n % 16) for n in range(count)]
            after = rss(server.pid)
            times = sorted(answered(port) for _ in range(100))
        finally:
            server.terminate()
            server.wait()
    each = (after - before) * 1024 / count
    median, worst = statistics.median(times), times[-1]
    print(f"{len(streams)} idle connections: {before:.1f} -> {after:.1f} MiB RSS, {each:.2f} KiB each")
    print(f"a new client is answered in {median:.1f} ms (median), {worst:.1f} ms (worst of 100)")
    return 1 if after > RSS_MAX or median > ANSWER_MAX else 0


if __name__ == "__main__":
    sys.exit(main())
