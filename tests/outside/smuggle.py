#!/usr/bin/env python3
"""smugglex with all its checks, and with mutated payloads, against a file and a directory.

    smuggle.py URL [--login USER:PASS]

Fails on each check that it calls vulnerable, and on each that it could not make. SMUGGLEX names the program.
"""

import base64
import itertools
import json
import os
import subprocess
import sys

import check

CHECKS = ["cl-te", "te-cl", "te-te", "h2c", "h2", "cl-edge", "cl-0", "0-cl", "parser-discrepancy"]
# Methods of the attacks: what is answered, and what is refused.
METHODS = ["GET", "POST", "HEAD", "OPTIONS"]
# Seconds after which an answer counts as held back. The server itself gives up on a head after ten.
TIMEOUT = 3


def scan(url, method, checks, options):
    """The results of all checks on one URL."""
    command = [os.environ["SMUGGLEX"], "--json", "--fuzz", "-k", "-1", "-t", str(TIMEOUT), "-m", method, "-c", ",".join(checks)]
    done = subprocess.run([*command, *options, url], stdout=subprocess.PIPE, text=True, timeout=1800)
    (result,) = json.loads(done.stdout)["results"]
    if result.get("error"):
        raise RuntimeError(result["error"])
    return result["checks"]


def judge(results, checks):
    """What is wrong with the results of one URL."""
    found = [result for result in results if result["vulnerable"]]
    if found:
        return [
            f"{result['check_type']}: {', '.join(result.get('detection_signals', []))}: {result.get('payload', '')!r}"
            for result in found
        ]
    names = {result["check_type"] for result in results}
    wrong = [f"{name}: was not made" for name in checks if name not in names]
    for result in results:
        failed = [note for note in result.get("diagnostics", []) if note.startswith("check_failed")]
        wrong += [f"{result['check_type']}: {note}" for note in failed]
    return wrong


def main():
    url, options = sys.argv[1], []
    tls = url.startswith("https")
    kind = "TLS" if tls else "plain"
    if "--login" in sys.argv:
        login = sys.argv[sys.argv.index("--login") + 1]
        options = ["-H", "Authorization: Basic " + base64.b64encode(login.encode()).decode()]
        kind += " and a login"
    # The last needs a server that speaks HTTP/2; it is made to see that there is none to be fooled.
    checks = CHECKS + (["h2-downgrade"] if tls else [])
    made, wrong = 0, []
    for target, method in itertools.product(("/file.txt", "/sub/"), METHODS):
        results = scan(url + target, method, checks, options)
        made += len(results)
        wrong += [f"{method} {target}: {line}" for line in judge(results, checks)]
        # To make sure of a finding takes minutes; one is enough to fail.
        if wrong:
            break
    for line in wrong:
        print(f"  {line}")
    check.row("smugglex", f"{kind}: {made} checks, by {', '.join(METHODS)}", f"{len(wrong)}" if wrong else "none", not wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
