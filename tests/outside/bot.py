#!/usr/bin/env python3
"""redbot's active checks (ranges, conditions, negotiation) on a few resources.

    bot.py URL [--login USER:PASS]

Fails on each note that is BAD, or a WARN that is not in LEFT.
"""

import base64
import concurrent.futures
import configparser
import sys

import thor
from httplint import levels
from redbot.resource import HttpResource

import check
import lint

JSON, TEXT, HTML = [lint.JSON], [lint.TEXT], [lint.HTML]
RESOURCES = [
    ("/file.txt", []),
    ("/large.bin", []),
    ("/empty", []),
    ("/sub/a%20b%20%C3%A9.html", []),
    ("/large.bin?pieces", []),
    ("/large.bin?blocks=0-1", []),
    ("/file.txt?meta4", []),
    ("/", JSON),
    ("/", TEXT),
    ("/", HTML),
    ("/?tar", []),
    ("/sub", []),
    ("/none", []),
]


def notes(url, fields):
    """[`look`] in a process of its own: redbot's event loop is made for one resource."""
    with concurrent.futures.ProcessPoolExecutor(1) as pool:
        return pool.submit(look, url, fields).result(60)


def look(url, fields):
    """(level, name, summary) of all that redbot says of a resource, its own further requests included."""
    config = configparser.ConfigParser()
    config.read_dict({"redbot": {"enable_local_access": "True"}})
    resource = HttpResource(config["redbot"])
    resource.set_request(url, headers=fields)
    resource.on("check_done", thor.stop)
    resource.check()
    if not resource.check_done:
        thor.run()
    if resource.fetch_error or not resource.response.complete:
        return [("BAD", "FETCH", str(resource.fetch_error))]
    found = {}
    for response in [resource.response, *(check.response for check in resource.subreqs.values())]:
        for note in response.notes:
            if note.level in (levels.BAD, levels.WARN):
                found[type(note).__name__, note.subject] = (note.level.name, f"{note.subject}: {note.summary}")
    return [(level, name, summary) for (name, _), (level, summary) in found.items()]


def main():
    url, login = sys.argv[1], None
    if "--login" in sys.argv:
        login = sys.argv[sys.argv.index("--login") + 1]
    token = base64.b64encode(login.encode()).decode() if login else ""
    auth = [("Authorization", f"Basic {token}")] if login else []
    kind = ("TLS" if url.startswith("https") else "plain") + (" and a login" if login else "")
    wrong, left = [], {}
    for target, fields in RESOURCES:
        for level, name, summary in notes(url + target, auth + fields):
            if level == "WARN" and name in lint.LEFT:
                left[name] = left.get(name, 0) + 1
            else:
                wrong.append(f"{target} {' '.join(value for _, value in fields)}: {level} {name}: {summary}")
    for line in wrong:
        print(f"  {line}")
    found = f"{len(wrong)} notes" if wrong else "none"
    if left:
        found += "; left: " + ", ".join(f"{name} {count}x" for name, count in sorted(left.items()))
    check.row("redbot", f"{kind}: {len(RESOURCES)} resources", found, not wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
