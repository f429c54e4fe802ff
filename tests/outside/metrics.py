#!/usr/bin/env python3
"""promtool, and Prometheus' own parser of OpenMetrics, on the figures of a server and of its client.

    metrics.py DIRECTORY

Fails on whatever either says, on samples that change their type, and on counters that do not hold what was transferred.
"""

import os
import subprocess
import sys
import tempfile
import threading
import urllib.request
from pathlib import Path

from prometheus_client.openmetrics.parser import text_string_to_metric_families

import check


def get(url, accept):
    request = urllib.request.Request(url, headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


def judge(side, url, wrong):
    """Goes through both texts; the samples of the new one."""
    form, classic = get(url, "text/plain")
    if not form.startswith("text/plain"):
        wrong.append(f"text/plain is answered with {form}")
    found = subprocess.run(["promtool", "check", "metrics"], input=classic, text=True, capture_output=True)
    if found.returncode or found.stderr or found.stdout:
        wrong.append(f"promtool on {side}: {found.stdout}{found.stderr}")
    form, text = get(url, "application/openmetrics-text; version=1.0.0")
    if not form.startswith("application/openmetrics-text"):
        wrong.append(f"OpenMetrics is answered with {form}")
    samples = {}
    for family in text_string_to_metric_families(text):
        if family.type not in ("counter", "gauge"):
            wrong.append(f"{family.name} is of type {family.type}")
        samples |= {(sample.name, *sample.labels.values()): sample.value for sample in family.samples}
    return samples


def line_with(process, start):
    # Who never says it is ended, and so are its lines.
    patience = threading.Timer(60, process.kill)
    patience.start()
    try:
        for line in process.stdout:
            if line.startswith(start):
                return line[len(start):].strip()
    finally:
        patience.cancel()
    sys.exit(f"there is no line `{start}`")


def run(directory, into, wrong):
    haul = os.environ["HAUL"]
    common = dict(stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    serve = [haul, "serve", directory, "--headless", "-p", "0", "-a", "127.0.0.1", "--metrics", "0"]
    with subprocess.Popen(serve, **common) as server:
        try:
            url = line_with(server, "listening on ")
            of_server = line_with(server, "metrics on ")
            connect = [haul, "connect", url, "-d", into, "--run", "-", "--metrics", "0"]
            with subprocess.Popen(connect, stdin=subprocess.PIPE, **common) as client:
                of_client = line_with(client, "metrics on ")
                client.stdin.write("get large.bin file.txt\n")
                client.stdin.flush()
                line_with(client, "large.bin: finished")
                there = judge("the client", of_client, wrong)
                client.stdin.close()
                client.wait(20)
            here = judge("the server", of_server, wrong)
        finally:
            server.terminate()
    size = Path(directory, "large.bin").stat().st_size
    if here.get(("haul_server_sent_bytes_total",), 0) < size:
        wrong.append("the server tells fewer bytes than it sent")
    if there.get(("haul_client_downloads_total", "verified"), 0) < 1:
        wrong.append("the client tells no verified download")
    return len(here), len(there)


def main():
    wrong, counts = [], (0, 0)
    with tempfile.TemporaryDirectory(dir=os.environ["OUTSIDE_WORK"]) as into:
        try:
            counts = run(sys.argv[1], into, wrong)
        except (SystemExit, Exception) as error:
            wrong.append(str(error) or type(error).__name__)
    lint = [line for line in wrong if line.startswith("promtool")]
    rest = [line for line in wrong if not line.startswith("promtool")]
    seen = f"{counts[0]} samples of a server, {counts[1]} of a client"
    check.row("promtool", "metrics", "; ".join(lint) or seen, not lint and all(counts))
    check.row("OpenMetrics", "metrics", "; ".join(rest) or seen, not rest)


main()
