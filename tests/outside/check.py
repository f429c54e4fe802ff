"""What the checks share: rows of the table, a server of their own, a request by hand."""

import os
import re
import resource
import socket
import ssl
import subprocess
import sys
import time

# Loopback, self-signed: what is checked here is never who the server is.
TRUSTING = ssl.create_default_context()
TRUSTING.check_hostname = False
TRUSTING.verify_mode = ssl.CERT_NONE


def row(checker, what, findings, ok):
    """Adds a line to the table that `run` prints, and to what is on the screen; any that is not ok fails the run."""
    fields = [re.sub(r"\s+", " ", field) for field in (checker, what, findings)] + ["ok" if ok else "FAILED"]
    print("  ".join(fields), flush=True)
    with open(os.environ["OUTSIDE_RESULTS"], "a") as results:
        results.write("\t".join(fields) + "\n")


def raise_open_files():
    """As many files as the system allows: children inherit it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class Served:
    """A server for as long as a `with` lasts: `haul serve`, or any command that prints a URL first."""

    def __init__(self, command):
        self.command = command

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        line = self.process.stdout.readline()
        found = re.search(r"https?://\S+", line)
        if not found:
            self.process.kill()
            sys.exit(f"{self.command[0]} printed no URL but {line!r}")
        self.url = found[0].rstrip("/")
        self.port = int(self.url.rsplit(":", 1)[1])
        self.pid = self.process.pid
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def status(self, field):
        """A number of /proc/PID/status, such as `VmRSS` (in KiB) or `Threads`."""
        with open(f"/proc/{self.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith(field + ":"))

    def rss(self):
        """Resident memory, in MiB."""
        return self.status("VmRSS") / 1024

    def files(self):
        """Open file descriptors."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))


def haul_serve(root, *options):
    """`haul serve` of a directory, on a port of its own."""
    command = [os.environ["HAUL"], "serve", root, "--headless", "-p", "0", "-a", "127.0.0.1"]
    return Served([*command, "-l", os.environ["OUTSIDE_WORK"] + "/haul.log", *options])


def connect(url, timeout=10):
    """A connection to the server of a URL; the host, and the socket."""
    scheme, host, port = re.match(r"(https?)://([^:/]+):(\d+)", url).groups()
    stream = socket.create_connection((host, int(port)), timeout)
    if scheme == "https":
        stream = TRUSTING.wrap_socket(stream, server_hostname=host)
    return f"{host}:{port}", stream


def wait_until(holds, seconds):
    """Waits for a fact; whether it came true in time."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
