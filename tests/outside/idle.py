#!/usr/bin/env python3
"""benches/idle.py as a row of the table: 10,000 idle connections, under 200 MiB, a new client answered in under 50 ms."""

import os
import pathlib
import subprocess
import sys

import check

BENCH = pathlib.Path(__file__).resolve().parents[2] / "benches" / "idle.py"
COUNT = 10_000


def main():
    # Both ends of each connection, of which the server has one.
    if check.raise_open_files() < COUNT + 100:
        check.row("idle", f"{COUNT} connections", "`ulimit -n` is too low", False)
        return 1
    done = subprocess.run([sys.executable, BENCH, os.environ["HAUL"], str(COUNT)], stdout=subprocess.PIPE, text=True, timeout=600)
    facts = "; ".join(done.stdout.split("\n")).strip("; ") or "broke off"
    check.row("idle", f"{COUNT} connections", facts, done.returncode == 0)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
