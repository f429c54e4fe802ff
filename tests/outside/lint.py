#!/usr/bin/env python3
"""Every kind of answer, read from the socket byte by byte and shown to httplint.

    lint.py URL [--login USER:PASS]

Fails on each note that is BAD or a WARN that is not in LEFT, on each status that is not the right one, and on framing that is not
exact: a byte too many or too few.
"""

import base64
import sys
import time

from httplint import HttpRequestLinter, HttpResponseLinter, levels

import check

# Warnings that are left as they are, by httplint's name for them; docs/CONFORMANCE.md says more.
LEFT = {
    # Listings and trees have no validator: to make one, all of what they tell would have to be looked at.
    "FRESHNESS_NO_CACHE_NO_VALIDATOR",
    # Text for `curl`, a page for browsers: both send `Accept: */*` or much like it.
    "VARY_USER_AGENT",
}
# Notes that only repeat what a status means.
MEANING = {400: "STATUS_BAD_REQUEST", 414: "STATUS_URI_TOO_LONG"}
# httplint asks for Content-Range in any 206, where one of several parts must not have it (RFC 9110 §15.3.7.2): see `judge_parts`.
WITHOUT_RANGE = "PARTIAL_WITHOUT_RANGE"
RANGES = [(0, 3), (20, 29)]

JSON = ("Accept", "application/json")
TEXT = ("Accept", "text/plain")
HTML = ("Accept", "text/html")


class Bad(Exception):
    """An answer whose framing is wrong."""


def cases(etag, modified):
    """(what, method, target, fields, status)"""
    file, dir = "/file.txt", "/"
    return [
        ("file", "GET", file, [], 200),
        ("large file", "GET", "/large.bin", [], 200),
        ("empty file", "GET", "/empty", [], 200),
        ("file to save", "GET", file + "?download", [], 200),
        ("escaped name", "GET", "/sub/a%20b%20%C3%A9.html", [], 200),
        ("HEAD of a file", "HEAD", file, [], 200),
        ("range", "GET", file, [("Range", "bytes=2-9")], 206),
        ("last bytes", "GET", file, [("Range", "bytes=-5")], 206),
        (SEVERAL, "GET", file, [("Range", "bytes=" + ",".join(f"{a}-{b}" for a, b in RANGES))], 206),
        ("range under If-Range", "GET", file, [("Range", "bytes=2-9"), ("If-Range", etag)], 206),
        ("range of another version", "GET", file, [("Range", "bytes=2-9"), ("If-Range", '"other"')], 200),
        ("range beyond the end", "GET", file, [("Range", "bytes=99999-")], 416),
        ("If-None-Match", "GET", file, [("If-None-Match", etag)], 304),
        ("If-None-Match, HEAD", "HEAD", file, [("If-None-Match", etag)], 304),
        ("If-Modified-Since", "GET", file, [("If-Modified-Since", modified)], 304),
        ("If-Match of another version", "GET", file, [("If-Match", '"other"')], 412),
        ("directory in JSON", "GET", dir, [JSON], 200),
        ("directory in text", "GET", dir, [TEXT], 200),
        ("directory in HTML", "GET", dir, [HTML], 200),
        ("HEAD of a directory", "HEAD", dir, [HTML], 200),
        ("?meta4 of a file", "GET", file + "?meta4", [], 200),
        ("file with a known digest", "GET", file, [], 200),
        ("?meta4 of a directory", "GET", dir + "?meta4", [], 200),
        ("?pieces", "GET", "/large.bin?pieces", [], 200),
        ("?blocks", "GET", "/large.bin?blocks=0-1", [], 200),
        ("?blocks that there are not", "GET", "/large.bin?blocks=1-0", [], 400),
        ("?tar", "GET", dir + "?tar", [], 200),
        ("directory without a slash", "GET", "/sub", [], 301),
        ("missing, in HTML", "GET", "/none", [HTML], 404),
        ("missing, in text", "GET", "/none", [TEXT], 404),
        ("HEAD of a missing file", "HEAD", "/none", [], 404),
        ("POST", "POST", file, [("Content-Length", "0")], 405),
        ("unknown method", "BREW", file, [], 501),
        ("OPTIONS", "OPTIONS", file, [], 204),
        ("OPTIONS *", "OPTIONS", "*", [], 204),
        ("escape that is none", "GET", "/%zz", [], 400),
        ("target too long", "GET", "/" + "a" * 9000, [], 414),
        ("another expectation", "GET", file, [("Expect", "miracles")], 417),
        ("head too long", "GET", file, [("X-Long", "a" * 40000)], 431),
        ("two lengths", "GET", file, [("Content-Length", "1"), ("Content-Length", "2")], 400),
    ]


SEVERAL = "several ranges"


def ask(url, method, target, fields):
    """Sends one request; all that comes back until the server closes."""
    host, stream = check.connect(url, timeout=5)
    given = {name.lower() for name, _ in fields}
    fields = [("Host", host), ("User-Agent", "outside/1"), *fields]
    if "accept" not in given:
        fields.append(("Accept", "*/*"))
    fields.append(("Connection", "close"))
    head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in fields) + "\r\n"
    answer = bytearray()
    with stream:
        stream.sendall(head.encode())
        try:
            while got := stream.recv(1 << 16):
                answer += got
        except OSError as error:
            raise Bad(f"{len(answer)} bytes, then: {error}") from error
    return fields, bytes(answer)


def parse(answer, has_body):
    """Version, status, phrase, fields, and the body without its framing."""
    head, end, rest = answer.partition(b"\r\n\r\n")
    if not end:
        raise Bad(f"no end of a head in {answer[:80]!r}")
    lines = head.split(b"\r\n")
    if any(b"\n" in line or b"\r" in line for line in lines):
        raise Bad("a bare CR or LF in the head")
    proto, status, phrase = lines[0].split(b" ", 2)
    fields = []
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip():
            raise Bad(f"no field: {line!r}")
        fields.append((name, value.strip(b" \t")))
    named = {name.lower(): value for name, value in fields}
    if len(named) != len(fields):
        raise Bad("a field that is there twice")
    if not has_body or int(status) in (204, 304):
        if rest:
            raise Bad(f"{len(rest)} bytes behind an answer without a body")
        return proto, status, phrase, fields, b""
    if named.get(b"transfer-encoding") == b"chunked":
        return proto, status, phrase, fields, unchunk(rest)
    if b"content-length" not in named:
        raise Bad("a body whose end only the close tells")
    if len(rest) != int(named[b"content-length"]):
        raise Bad(f"Content-Length {named[b'content-length'].decode()} before {len(rest)} bytes")
    return proto, status, phrase, fields, rest


def judge_parts(answer, whole):
    """What is wrong with several ranges in one answer: media type, parts in order, and the bytes of each (RFC 9110 §14.6)."""
    _, _, _, fields, body = parse(answer, True)
    named = {name.lower(): value for name, value in fields}
    kind, _, boundary = named.get(b"content-type", b"").partition(b"; boundary=")
    if kind != b"multipart/byteranges" or b"content-range" in named:
        return [f"{SEVERAL}: {named}"]
    before, *parts, after = body.split(b"--" + boundary.strip(b'"'))
    if before.strip() or after.strip() != b"--" or len(parts) != len(RANGES):
        return [f"{SEVERAL}: {len(parts)} parts: {body!r}"]
    wrong = []
    for part, (first, last) in zip(parts, RANGES):
        head, _, content = part.partition(b"\r\n\r\n")
        range = f"content-range: bytes {first}-{last}/{len(whole)}".encode()
        if range not in head.lower() or content != whole[first : last + 1] + b"\r\n":
            wrong.append(f"{SEVERAL}: not {range.decode()}: {part!r}")
    return wrong


def unchunk(rest):
    """The content of a chunked body that ends exactly where the bytes do (RFC 9112 §7.1)."""
    content = bytearray()
    while True:
        size, end, rest = rest.partition(b"\r\n")
        if not end or not size or size.strip(b"0123456789abcdefABCDEF"):
            raise Bad(f"no size of a chunk: {size[:40]!r}")
        count = int(size, 16)
        if rest[count : count + 2] != b"\r\n":
            raise Bad("a chunk without its end")
        content += rest[:count]
        rest = rest[count + 2 :]
        if count == 0:
            if rest:
                raise Bad(f"{len(rest)} bytes behind the last chunk")
            return bytes(content)


def lint(method, url, sent, answer):
    """Notes of httplint on one exchange: (level, name, summary). Bad framing counts as a note."""
    try:
        proto, status, phrase, fields, body = parse(answer, method != "HEAD")
    except (Bad, ValueError) as bad:
        return 0, {}, [("BAD", "framing", str(bad))]
    request = HttpRequestLinter(start_time=time.time())
    request.process_request_topline(method.encode(), url.encode(), b"HTTP/1.1")
    request.process_headers([(name.encode(), value.encode()) for name, value in sent])
    response = HttpResponseLinter(start_time=time.time())
    response.request = request
    response.base_uri = url
    response.is_head_response = method == "HEAD"
    response.process_response_topline(proto.removeprefix(b"HTTP/"), status, phrase)
    response.process_headers(fields)
    response.feed_content(body)
    response.finish_content(True)
    notes = []
    todo = list(response.notes)
    while todo:
        note = todo.pop()
        todo += note.subnotes
        if note.level in (levels.BAD, levels.WARN):
            notes.append((note.level.name, type(note).__name__, f"{note.subject}: {note.summary}"))
    named = {name.lower().decode(): value.decode("latin-1") for name, value in fields}
    return int(status), named, notes


def main():
    url, login = sys.argv[1], None
    if "--login" in sys.argv:
        login = sys.argv[sys.argv.index("--login") + 1]
    token = base64.b64encode(login.encode()).decode() if login else ""
    auth = [("Authorization", f"Basic {token}")] if login else []
    kind = ("TLS" if url.startswith("https") else "plain") + (" and a login" if login else "")
    sent, answer = ask(url, "HEAD", "/file.txt", auth)
    named = lint("HEAD", url + "/file.txt", sent, answer)[1]
    todo = cases(named.get("etag", '"none"'), named.get("last-modified", "none"))
    if login:
        todo += [
            ("no login", "GET", "/", None, 401),
            ("wrong login", "GET", "/", [("Authorization", "Basic eDp5")], 401),
        ]
    whole = parse(ask(url, "GET", "/file.txt", auth)[1], True)[-1]
    seen, wrong, left = [], [], {}
    for what, method, target, fields, expected in todo:
        if fields is None:
            fields = []
        elif not any(name == "Authorization" for name, _ in fields):
            fields = auth + fields
        try:
            sent, answer = ask(url, method, target, fields)
        except Bad as bad:
            wrong.append(f"{what}: {bad}")
            continue
        status, _, notes = lint(method, url + target, sent, answer)
        seen.append(status)
        if status != expected:
            wrong.append(f"{what}: {status} instead of {expected}")
        if what == SEVERAL:
            wrong += judge_parts(answer, whole)
            notes = [note for note in notes if note[1] != WITHOUT_RANGE]
        for level, name, summary in notes:
            if level == "WARN" and name in LEFT:
                left[name] = left.get(name, 0) + 1
            elif name != MEANING.get(expected):
                wrong.append(f"{what} ({status}): {level} {name}: {summary}")
    for line in wrong:
        print(f"  {line}")
    found = f"{len(wrong)} notes" if wrong else "none"
    if left:
        found += "; left: " + ", ".join(f"{name} {count}x" for name, count in sorted(left.items()))
    statuses = " ".join(str(status) for status in sorted(set(seen)))
    check.row("httplint", f"{kind}: {len(seen)} answers ({statuses})", found, not wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
