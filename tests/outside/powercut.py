#!/usr/bin/env python3
"""Takes the power away from a download at seeded moments, on ext4, XFS and btrfs, and looks what is there when it is back.

    tests/outside/powercut.py [--haul PATH] [--states N] [--seed SEED] [--fs ext4,xfs,btrfs]

A file system lies in an image on a loop device, in a file system that shares extents (XFS in another image); haul downloads small and large files into it, from itself (values of pieces)
and from a plain server (none), and keeps its journal there. At seeded moments the image is copied as the kernel has written
it out so far: what a power cut leaves. The copy is mounted, which replays its journal, as on a machine that started anew:
another boot id, other numbers of devices. Then, of each state:

- a file under a final name has the server's bytes;
- where the run had ended before, every file is there;
- no piece that the journal vouches for is wrong in its part;
- the same command completes, with status 0, and every file is right; nothing else is left in the target, but a part that was
  made and not yet noted when the power went, in which nothing is: those are counted;
- from haul, at most what the journal had not noted is fetched again, and what is under final names is not.

Needs root, loop devices, mkfs.ext4, mkfs.xfs, mkfs.btrfs. Exits 1 if anything was not so.
"""
import argparse, collections, glob, hashlib, http.server, json, os, random, re, shutil, signal, subprocess, sys, tempfile, threading, time

sys.dont_write_bytecode = True
MIB = 1 << 20
SIZES = {"ext4": 320, "xfs": 420, "btrfs": 520}
MAKE = {"ext4": ["mkfs.ext4", "-q", "-F"], "xfs": ["mkfs.xfs", "-q", "-f"], "btrfs": ["mkfs.btrfs", "-q", "-f"]}
BOOT = "/proc/sys/kernel/random/boot_id"


def call(*line, **more):
    return subprocess.run(line, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **more)


def tree(root, seed):
    chance = random.Random(seed)
    os.makedirs(f"{root}/many")
    for name, size in [("large", 40 * MIB + 17), ("second", 24 * MIB), ("empty", 0)] + [(f"many/{n}", chance.randrange(1, 90_000)) for n in range(200)]:
        with open(f"{root}/{name}", "wb") as file:
            file.write(chance.randbytes(size))


def contents(root):
    found = {}
    for where, _, names in os.walk(root):
        for name in names:
            path = os.path.join(where, name)
            found[os.path.relpath(path, root)] = open(path, "rb").read()
    return found


class Plain(http.server.BaseHTTPRequestHandler):
    """Files with ranges and entity tags, and listings of links: a server that tells no values."""
    protocol_version = "HTTP/1.1"
    files = {}
    sent = 0

    def do_GET(self):
        path = self.path.strip("/")
        body, more, status = self.files.get(path), {}, 200
        if body is None:
            inside = {name[len(path) + 1 if path else 0:].split("/")[0] + ("/" if "/" in name[len(path) + 1 if path else 0:] else "")
                      for name in self.files if not path or name.startswith(path + "/")}
            body = ("<title>Index of /</title><h1>Index of /</h1><a href='../'>../</a>" + "".join(f"<a href='{name}'>{name}</a>\n" for name in sorted(inside))).encode()
            more["Content-Type"] = "text/html"
        else:
            more = {"ETag": f'"{hashlib.md5(body).hexdigest()}"', "Accept-Ranges": "bytes",
                    "Last-Modified": "Sun, 01 Nov 2026 10:00:00 GMT"}
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            if asked and int(asked[1]) < len(body):
                begin, end = int(asked[1]), min(int(asked[2] or len(body) - 1), len(body) - 1)
                more["Content-Range"] = f"bytes {begin}-{end}/{len(body)}"
                status, body = 206, body[begin:end + 1]
        self.send_response(status)
        for name, value in more.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        try:
            self.end_headers()
            self.wfile.write(body)
            Plain.sent += len(body) if path in self.files else 0
        except OSError:
            self.close_connection = True

    def log_message(self, *_):
        pass


class Cut:
    def __init__(self, haul, base, seed):
        self.haul, self.base, self.seed = haul, base, seed
        self.root, self.mount = f"{base}/root", f"{base}/mount"
        os.makedirs(self.mount)
        tree(self.root, seed)
        self.wanted = contents(self.root)
        Plain.files = self.wanted
        self.plain = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Plain)
        # A client that leaves is no news here.
        self.plain.handle_error = lambda *_: None
        threading.Thread(target=self.plain.serve_forever, daemon=True).start()
        os.makedirs(f"{base}/server")
        self.server = subprocess.Popen([haul, "serve", self.root, "--headless", "-a", "127.0.0.1", "-p", "0"], text=True,
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=self.environment(f"{base}/server"))
        self.urls = [re.search(r"http://\S+", self.server.stdout.readline())[0].rstrip("/") + "/",
                     f"http://127.0.0.1:{self.plain.server_address[1]}/"]
        self.faults, self.counts, self.again = [], collections.Counter(), collections.Counter()

    def end(self):
        self.server.terminate()
        self.server.wait()
        self.plain.shutdown()
        subprocess.run(["umount", "-l", self.mount], stderr=subprocess.DEVNULL)

    def environment(self, home):
        kept = {name: value for name, value in os.environ.items() if not name.lower().startswith("haul_")}
        os.makedirs(f"{self.base}/run", mode=0o700, exist_ok=True)
        return {**kept, "HOME": home, "XDG_STATE_HOME": f"{home}/state", "XDG_CACHE_HOME": f"{home}/cache",
                "XDG_CONFIG_HOME": f"{home}/config", "XDG_RUNTIME_DIR": f"{self.base}/run"}

    def line(self, url, limit=None):
        at = self.mount
        line = [self.haul, "connect", url, "--all", "--headless", "-d", f"{at}/target", "--timeout", "10s", "--netrc", "off",
                "-l", f"{self.base}/connect.log", "--control", "off"]
        return [*line, *(["--limit", limit] if limit else [])]

    def run(self, fs, url, moments, chance):
        """One download, from which the power is taken at each of the moments."""
        image = f"{self.base}/image"
        with open(image, "wb") as file:
            file.truncate(SIZES[fs] * MIB)
        call(*MAKE[fs], image)
        call("mount", "-o", "loop", image, self.mount)
        copies = []

        def cut(ended):
            copy = f"{self.base}/copy{len(copies)}"
            call("cp", "--reflink=always", image, copy)
            copies.append((copy, ended))

        try:
            os.makedirs(f"{self.mount}/target")
            subprocess.run(["sync", "-f", self.mount], check=True)
            # Slow enough that syncs every 5 s fall within, and moments before and behind them.
            limit = chance.choice(["7M", "12M", "25M", None])
            child = subprocess.Popen(self.line(url, limit), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                     env=self.environment(self.mount))
            begun = time.monotonic()
            for moment in moments:
                wait = begun + moment * {"7M": 10, "12M": 6, "25M": 3, None: 0.5}[limit] - time.monotonic()
                if wait > 0:
                    time.sleep(wait)
                cut(child.poll() is not None)
            # The last state is that of the moment in which it has ended.
            cut(child.wait(60) == 0)
        finally:
            call("umount", self.mount)
            os.remove(image)
        for copy, ended in copies:
            try:
                self.state(fs, url, copy, ended)
            finally:
                os.remove(copy)

    def state(self, fs, url, copy, ended):
        self.counts[fs] += 1
        case = f"{fs} {'haul' if url == self.urls[0] else 'plain'} seed {self.seed} state {self.counts[fs]}"
        say = lambda what: self.faults.append(f"{case}: {what}") or print(self.faults[-1], flush=True)
        mounted = subprocess.run(["mount", "-o", "loop", copy, self.mount], stderr=subprocess.PIPE, text=True)
        if mounted.returncode:
            # No fault of haul's: the copy is not of one moment. Counted apart.
            self.counts[f"{fs} not mountable"] += 1
            return
        try:
            there = contents(f"{self.mount}/target")
            for name, body in there.items():
                if not name.endswith(".part") and body != self.wanted.get(name):
                    say(f"WRONG BYTES under a final name: {name}, {len(body)} bytes")
            vouched = self.vouched(there, say)
            final = sum(len(body) for name, body in there.items() if not name.endswith(".part"))
            whole = sum(map(len, self.wanted.values()))
            self.counts["cut behind the end of the run"] += ended
            if ended and not all(name in there for name in self.wanted):
                say(f"the run had ended, and {sum(name not in there for name in self.wanted)} names are not there")
            child = ["unshare", "-m", "sh", "-c", f'mount --bind "$0" {BOOT} && exec "$@"', f"{self.base}/boot", *self.line(url)]
            with open(f"{self.base}/boot", "w") as file:
                file.write(f"{random.getrandbits(128):032x}\n")
            sent = Plain.sent
            ran = subprocess.run(child, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120, env=self.environment(self.mount))
            if ran.returncode:
                say(f"the next run ends with {ran.returncode}: {ran.stderr.strip()[-300:]}")
            after = contents(f"{self.mount}/target")
            wrong = [name for name, body in self.wanted.items() if after.get(name) != body]
            if wrong:
                say(f"the next run leaves wrong: {wrong[:5]}")
            # Made and not yet noted when the power went: it holds nothing, and nobody knows whose it is.
            fresh = [name for name in after if not there.get(name, b"x").strip(b"\0")]
            self.counts["empty part left, made as the power went"] += any(name not in self.wanted for name in fresh)
            strange = [name for name in after if name not in self.wanted and name not in fresh]
            if strange:
                say(f"left behind: {strange[:5]}, parts before: {[name for name in there if name.endswith('.part')]}")
            fetched = Plain.sent - sent if url == self.urls[1] else self.fetched(ran.stdout + ran.stderr)
            if fetched is not None:
                self.again["fetched"] += fetched
                self.again["final"] += final
                self.again["vouched"] += vouched
                self.again["whole"] += whole
                # Of a server without values, what is judged is what the journal vouches for: its answers are not counted well
                # enough, since what is cut off in mid-answer was sent as well.
                if url == self.urls[0] and fetched > whole - final - vouched + 4 * MIB:
                    say(f"{fetched} bytes were fetched; {final} were final, and {vouched} vouched for, of {whole}")
        finally:
            call("umount", self.mount)

    def fetched(self, told):
        """Bytes that a run says it fetched, to the three figures that it tells; None for no such word."""
        size = r"([0-9.]+) ([KMG]i)?B"
        found = re.search(rf"kept, {size} fetched, ", told) or re.search(rf"^[\d,]+ files?, {size} in ", told, re.M)
        return found and int(float(found[1]) * 1024 ** " KMG".index((found[2] or " ")[0]))

    def vouched(self, there, say):
        """Bytes of parts that the journal says are there; each is looked at."""
        known = {}
        for journal in glob.glob(f"{self.mount}/state/haul/journals/*.jsonl"):
            for line in open(journal, "rb").read().split(b"\n"):
                try:
                    it = json.loads(line)
                except ValueError:
                    continue
                if "synced" in it:
                    known[it["synced"]["part"]["ino"]] = it["synced"]["pieces"]
                elif "began" in it or "ended" in it:
                    known.pop(it.get("began", it.get("ended"))["ino"], None)
        total = 0
        for name, body in there.items():
            if not name.endswith(".part"):
                continue
            right = self.wanted[name.removesuffix(".part")]
            for piece in known.get(os.stat(f"{self.mount}/target/{name}").st_ino, []):
                begin, end = piece["start"] * MIB, min(piece["end"] * MIB, len(right))
                total += end - begin
                if body[begin:end] != right[begin:end]:
                    say(f"the journal vouches for pieces {piece} of {name}, which are wrong")
        return total


def main():
    # Whoever ends this early has it tidy up as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--haul", default="target/release/haul")
    parser.add_argument("--states", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fs", default="ext4,xfs,btrfs")
    parser.add_argument("--dir", default="/dev/shm", help="where the images lie")
    options = parser.parse_args()
    outer = tempfile.mkdtemp(prefix="haul-powercut-", dir=options.dir)
    # Images are copied in one step where extents are shared: a copy that takes time is of no moment.
    with open(f"{outer}/image", "wb") as file:
        file.truncate(8192 * MIB)
    call("mkfs.xfs", "-q", "-m", "reflink=1", f"{outer}/image")
    base = f"{outer}/base"
    os.makedirs(base)
    call("mount", "-o", "loop", f"{outer}/image", base)
    begun, chance = time.monotonic(), random.Random(options.seed)
    cut = Cut(os.path.abspath(options.haul), base, options.seed)
    kinds = [(fs, url) for fs in options.fs.split(",") for url in cut.urls]
    done = turn = 0
    try:
        while done < options.states:
            count = min(10, options.states - done)
            cut.run(*kinds[turn % len(kinds)], sorted(chance.random() for _ in range(count)), chance)
            done, turn = done + count, turn + 1
    finally:
        print(f"{done} states in {time.monotonic() - begun:.0f} s: {dict(cut.counts)}; bytes: {dict(cut.again)}; {len(cut.faults)} faults")
        cut.end()
        call("umount", base)
        shutil.rmtree(outer)
    sys.exit(1 if cut.faults or not done else 0)


main()
