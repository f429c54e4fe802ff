#!/usr/bin/env python3
"""Lets every system call of a download fail, one after the other, on either side, and looks what is left.

    tests/outside/torture.py [--haul PATH] [--side SIDE] [--call CALL] [--error ERROR] [--most N] [--short] [--jobs N]

For each call, each error and each N, the N-th such call fails (`strace --inject`), until N is met by no thread. SIDE is
`fresh` (a client that begins), `resumed` (one that goes on with parts and a journal), `serve`, or all of them. Then:

- the status is one of the README's, and one that fits the call; each line on stderr is a plain one of ours;
- no file under a final name has a wrong byte, and 0 is said only where all are there;
- the same command without faults completes, and then nothing else is left: no part, temporary file, journal aside, socket.
  Two things are, and are counted: a part that could not be opened, or of a run that could not read its journal and said
  that a later one cannot go on with it; and a right file as `NAME (1)` beside one that could not be read;
- a server that was up when the fault came is still up, serves the next client, and ends within 10 s when it is told to.

`strace` counts each thread's calls by itself, so that one run may meet several faults. What the loader needs before `main` is
counted apart. `--short` takes one error for each call and fewer N: two minutes; CI takes N of 1 and 2. Needs strace. Exits 1 if anything was not so.
"""
import argparse, collections, concurrent.futures, hashlib, os, re, shutil, signal, subprocess, sys, tempfile, time

ERRORS = "EIO ENOSPC EDQUOT EMFILE EINTR EAGAIN ECONNRESET".split()
# What is called, under which names, which errors beside those above, and which statuses may follow in a client.
DISK, OPEN, NET = {0, 7}, {0, 1, 2, 4, 5, 7}, {0, 4}
CALLS = {
    "openat": ("openat", "EACCES ENFILE", OPEN), "openat2": ("openat2", "EACCES ENOSYS", OPEN), "statx": ("statx", "ENOSYS", OPEN),
    "pwrite64": ("pwrite64", "", DISK), "fallocate": ("fallocate", "EOPNOTSUPP", DISK), "ftruncate": ("ftruncate", "", DISK),
    "fsync": ("fsync", "", DISK), "fdatasync": ("fdatasync", "", DISK), "syncfs": ("syncfs", "", DISK),
    "linkat": ("linkat", "EPERM EXDEV", DISK), "renameat2": ("renameat2,renameat,rename", "EINVAL", DISK),
    "unlinkat": ("unlinkat,unlink", "EPERM", DISK), "mkdirat": ("mkdirat,mkdir", "EACCES", DISK | {1}),
    "utimensat": ("utimensat", "EPERM", DISK), "flock": ("flock", "ENOLCK", DISK), "getdents64": ("getdents64", "", DISK | {1}),
    "socket": ("socket", "ENFILE EACCES", NET | {1}), "connect": ("connect", "ECONNREFUSED ENETUNREACH ETIMEDOUT", NET),
    "recvfrom": ("recvfrom", "", NET), "sendto": ("sendto", "EPIPE", NET), "getrandom": ("getrandom", "ENOSYS EPERM", {0, 1}),
    "sendfile": ("sendfile", "EPIPE", None), "accept4": ("accept4", "ECONNABORTED ENOBUFS", None), "preadv2": ("preadv2", "EOPNOTSUPP", None),
    "bind": ("bind,listen", "EADDRINUSE EACCES", None),
}
# The kernel fails this with EINTR, and a filter with the others; elsewhere std and tokio panic, in each thread that begins.
ONLY = {"getrandom": ["EINTR", "ENOSYS", "EPERM"]}
PASSING = {"EMFILE", "ENFILE", "EINTR", "EAGAIN"}
CLIENT_ONLY, SERVER_ONLY = {"pwrite64", "fallocate", "ftruncate", "syncfs", "linkat", "utimensat", "connect"}, {"sendfile", "accept4", "preadv2"}
STATUSES, ENDED = {0, 1, 2, 3, 4, 5, 6, 7}, 143
LOADER = re.compile(r"error while loading shared libraries|cannot allocate memory in static TLS")
LINE = re.compile(r"haul: |INFO |WARN |ERROR |\d+ files?, |nothing |  +")
SELF_PIPE = re.compile("Bad read on self-pipe")
UNPLAIN = re.compile(r"panicked|RUST_BACKTRACE|a fault of haul|os error|Os \{|Error \{|unwrap")


def tree(root):
    os.makedirs(f"{root}/sub")
    for name, size in [("a", 0), ("b", 10), ("sub/c", 70_000), ("large", 3 * (1 << 20) + 5), ("sub/d", 1 << 20)]:
        with open(f"{root}/{name}", "wb") as file:
            file.write(os.urandom(size))


def digests(root):
    found = {}
    for where, _, names in os.walk(root):
        for name in names:
            path = os.path.join(where, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, root)] = hashlib.sha256(file.read()).hexdigest()
    return found


def environment(home):
    kept = {name: value for name, value in os.environ.items() if not name.lower().startswith("haul_")}
    for name in ("run", "tmp"):
        os.makedirs(f"{home}/{name}", mode=0o700, exist_ok=True)
    return {**kept, "HOME": home, "XDG_STATE_HOME": f"{home}/state", "XDG_CACHE_HOME": f"{home}/cache",
            "XDG_CONFIG_HOME": f"{home}/config", "XDG_RUNTIME_DIR": f"{home}/run", "TMPDIR": f"{home}/tmp"}


def kill(child):
    """Ends a child and what strace follows for it, which outlives it otherwise."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait()


class Server:
    """A server; `url` is None where it ended, or said nothing for 20 s (`hangs`), before it listened."""

    def __init__(self, haul, root, home, inject=(), port=0):
        self.home = home
        line = [*inject, haul, "serve", root, "--headless", "-a", "127.0.0.1", "-p", str(port)]
        with open(f"{home}.out", "w") as out, open(f"{home}.err", "w") as told:
            self.child = subprocess.Popen(line, stdout=out, stderr=told, env=environment(home), start_new_session=True)
        self.traced, self.url, self.hangs = bool(inject), None, False
        before = time.monotonic()
        while self.url is None and self.child.poll() is None and not self.hangs:
            self.hangs = time.monotonic() > before + 20
            found = re.search(r"listening on (http://127\.0\.0\.1:\d+)\s", open(f"{home}.out").read())
            if found:
                self.url = found.group(1) + "/"
            else:
                time.sleep(0.005)

    def told(self):
        return open(f"{self.home}.err", errors="replace").read()

    def stop(self):
        """Its status after SIGTERM, and another one 5 s later; None where it has not ended 10 s later. The first is lost where
        the runtime's wake-up of itself (`sendto` on a pair of sockets, which does not fail) is the call that failed."""
        pid = self.child.pid
        if self.traced:
            found = open(f"/proc/{pid}/task/{pid}/children").read().split()
            pid = int(found[0]) if found else pid
        try:
            os.kill(pid, signal.SIGTERM)
            try:
                return self.child.wait(5)
            except subprocess.TimeoutExpired:
                os.kill(pid, signal.SIGTERM)
                return self.child.wait(5)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            return None
        finally:
            kill(self.child)


def connect(haul, url, target, home, inject=()):
    """Status (None: hung), stdout, stderr."""
    line = [*inject, haul, "connect", url, "--all", "--headless", "-d", target, "-r", "1", "--timeout", "3s", "--netrc", "off"]
    child = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
                             env=environment(home), start_new_session=True)
    try:
        out, told = child.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        kill(child)
        child.communicate()
        return None, "", ""
    return child.returncode, out, told


def left(home, target, wanted):
    """What a finished run leaves that it should not: in the target, and of its own files."""
    strange = [name for name in digests(target) if name not in wanted]
    for where, folders, names in os.walk(home):
        short = os.path.relpath(where, home)
        strange += [f"~/{short}/{name}" for name in names
                    if not (short == "state/haul" and name.endswith(".log") or short == "cache/haul" and name == "digests"
                            or short == "state/haul/journals" and name.endswith(".jsonl"))]
    journals = f"{home}/state/haul/journals"
    if os.path.isdir(journals) and len(os.listdir(journals)) > 1:
        strange.append(f"journals {os.listdir(journals)}")
    return strange


class Case:
    """One call and one error on one side, for every N."""

    def __init__(self, run, side, call, error):
        self.run, self.side, self.call, self.error = run, side, call, error
        self.faults, self.statuses, self.loader = [], collections.Counter(), 0
        self.base = f"{run.base}/{side}-{call}-{error}"

    def all(self):
        numbers = [1, 2, 3, 5, 8, 13, 21, 34] if self.run.short else range(1, self.run.most + 1)
        numbers = [n for n in numbers if n <= self.run.most]
        missed = 0
        for n in numbers:
            missed = 0 if self.once(n) else missed + 1
            # Which thread does what differs from run to run: one miss alone says little.
            if missed == (1 if self.run.short else 2):
                break
        shutil.rmtree(self.base, ignore_errors=True)
        return self

    def once(self, n):
        """Whether the fault was met."""
        shutil.rmtree(self.base, ignore_errors=True)
        home, target, trace = f"{self.base}/home", f"{self.base}/target", f"{self.base}/trace"
        if self.side == "resumed":
            self.run.killed(self.base)
        for path in (home, target):
            os.makedirs(path, exist_ok=True)
        names = CALLS[self.call][0]
        inject = ["strace", "-f", "--seccomp-bpf", "-qq", "-o", trace, "-e", f"trace={names}",
                  "-e", f"inject={names}:error={self.error}:when={n}"]
        case = f"{self.side} {self.call} {self.error} {n}"
        say = lambda what: self.faults.append(f"{case}: {what}")
        judge = self.serve if self.side == "serve" else self.client
        judge(inject, home, target, say)
        return "(INJECTED)" in open(trace, errors="replace").read() if os.path.exists(trace) else False

    def client(self, inject, home, target, say):
        run = self.run
        status, out, told = connect(run.haul, run.server.url, target, home, inject)
        if LOADER.search(told):
            self.loader += 1
            return
        if SELF_PIPE.search(told):
            self.statuses["self-pipe"] += 1
            return
        self.statuses[status] += 1
        self.ended(status, out, told, target, say)
        fits = CALLS[self.call][2] or STATUSES
        if status in STATUSES and status not in fits:
            say(f"status {status} does not fit: {told.strip()[-300:]}")
        sockets = os.listdir(f"{home}/run/haul") if os.path.isdir(f"{home}/run/haul") else []
        if sockets and self.call != "unlinkat" and status is not None:
            say(f"a socket is left: {sockets}")
        unknown = "cannot be gone on with later" in told
        status, out, told = connect(run.haul, run.server.url, target, home)
        self.completes(status, told, home, target, say, unknown)

    def serve(self, inject, home, target, say):
        run, own = self.run, f"{self.base}/server"
        os.makedirs(own)
        server = Server(run.haul, run.root, own, inject)
        if server.url is None:
            told, status = server.told(), server.child.poll()
            kill(server.child)
            if LOADER.search(told):
                self.loader += 1
                return
            self.statuses["not started"] += 1
            if server.hangs:
                say("the server neither listens nor ends")
            elif status not in STATUSES - {0}:
                say(f"the server ended with {status}: {told.strip()[-300:]}")
            self.plain(told, say)
            if not re.search(r"^haul: ", told, re.M):
                say(f"the server did not start, without a word: {told.strip()[:200]!r}")
            return
        status, out, told = connect(run.haul, server.url, target, home)
        self.statuses[status] += 1
        self.ended(status, out, told, target, say)
        # Other threads may meet the fault only now.
        for _ in range(4):
            status, out, told = connect(run.haul, server.url, target, home)
            if status == 0:
                break
        self.completes(status, told, home, target, say)
        if server.child.poll() is not None:
            say(f"the server ended: {server.told().strip()[-300:]}")
        status = server.stop()
        if SELF_PIPE.search(server.told()):
            # The runtime's own pair of sockets for signals: no kernel fails it.
            self.statuses["self-pipe"] += 1
            return
        if status != ENDED:
            say(f"told to end, the server ended with {status}")
        self.plain(server.told(), say)
        sockets = os.listdir(f"{own}/run/haul") if os.path.isdir(f"{own}/run/haul") else []
        if sockets and self.call != "unlinkat":
            say(f"the server's socket is left: {sockets}")

    def plain(self, told, say):
        for line in told.splitlines():
            if UNPLAIN.search(line) or not LINE.match(line):
                say(f"no plain line: {line[:300]!r}")

    def ended(self, status, out, told, target, say):
        wanted = self.run.wanted
        if status is None:
            say("it hangs")
        elif status not in STATUSES:
            say(f"status {status}: {told.strip()[-300:]}")
        self.plain(told, say)
        if status not in (0, None) and not re.search(r"^haul: ", told, re.M):
            say(f"status {status} without a word: {told.strip()[:200]!r}")
        there = digests(target)
        wrong = [name for name in there if name in wanted and there[name] != wanted[name]]
        if wrong:
            say(f"WRONG BYTES under a final name: {wrong}")
        if status == 0 and not all(name in there for name in wanted):
            say(f"status 0, and missing: {[name for name in wanted if name not in there]}")

    def completes(self, status, told, home, target, say, unknown=False):
        there = digests(target)
        wanted = self.run.wanted
        if status != 0 or any(there.get(name) != wanted[name] for name in wanted):
            say(f"the next run does not complete: status {status}: {told.strip()[-300:]}")
        strange = left(home, target, wanted)
        kept = [name for name in strange if (unknown or self.call.startswith("open") and self.error not in PASSING) and name.endswith(".part")
                or self.call.startswith(("open", "statx")) and there.get(name, "") == wanted.get(name.replace(" (1)", ""))]
        if kept:
            self.statuses["kept beside"] += 1
            strange = [name for name in strange if name not in kept]
        if strange:
            say(f"left behind: {strange}")


class Run:
    def __init__(self, options, base):
        self.haul, self.most, self.short, self.base = os.path.abspath(options.haul), options.most, options.short, base
        self.root = f"{base}/root"
        self.server = None

    def begin(self):
        base = self.base
        tree(self.root)
        self.wanted = digests(self.root)
        os.makedirs(f"{base}/plain-server")
        self.server = Server(self.haul, self.root, f"{base}/plain-server")

    def killed(self, base):
        """A run that is killed in the middle: some pieces are here and noted, and all is still wanted."""
        for n in range(5, 0, -1):
            shutil.rmtree(base, ignore_errors=True)
            for path in ("home", "target"):
                os.makedirs(f"{base}/{path}")
            inject = ["strace", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", "trace=pwrite64",
                      "-e", f"inject=pwrite64:signal=SIGKILL:when={n}"]
            connect(self.haul, self.server.url, f"{base}/target", f"{base}/home", inject)
            if any(name.endswith(".part") for name in digests(f"{base}/target")):
                shutil.rmtree(f"{base}/home/run")
                return
        raise SystemExit("no run that was killed left a part to go on with")

    def cases(self, options):
        for side in [options.side] if options.side else ["fresh", "resumed", "serve"]:
            for call, (_, more, _) in CALLS.items():
                if call in (CLIENT_ONLY if side == "serve" else SERVER_ONLY) or options.call not in (None, call):
                    continue
                errors = (["EINTR"] if options.short and call in ONLY else ["ECONNRESET" if call in ("recvfrom", "sendto", "connect", "sendfile") else "EIO"] if options.short
                          else ONLY.get(call, [*ERRORS, *more.split()]))
                yield from (Case(self, side, call, error) for error in errors if options.error in (None, error))


def table(cases):
    rows = {}
    for case in cases:
        statuses, loader = rows.setdefault((case.side, case.call), (collections.Counter(), collections.Counter()))
        statuses.update(case.statuses)
        loader[""] += case.loader
    print("side | call | runs | statuses")
    for (side, call), (statuses, loader) in rows.items():
        shown = ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items(), key=str))
        print(f"{side} | {call} | {sum(statuses.values())} | {shown}" + (f" (the loader: {loader['']})" if loader[""] else ""))


def main():
    # Whoever ends this early has it tidy up as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--haul", default="target/release/haul")
    parser.add_argument("--side", choices=["fresh", "resumed", "serve"])
    parser.add_argument("--call", choices=CALLS)
    parser.add_argument("--error")
    parser.add_argument("--most", type=int, default=200, help="the largest N")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    base = tempfile.mkdtemp(prefix="haul-torture-")
    begun = time.monotonic()
    run = Run(options, base)
    try:
        run.begin()
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            cases = []
            for case in pool.map(Case.all, run.cases(options)):
                cases.append(case)
                for fault in case.faults:
                    print(fault, flush=True)
    finally:
        if run.server:
            kill(run.server.child)
        shutil.rmtree(base, ignore_errors=True)
    table(cases)
    runs, faults = sum(sum(case.statuses.values()) for case in cases), sum(len(case.faults) for case in cases)
    print(f"{runs} runs in {time.monotonic() - begun:.0f} s, {faults} faults")
    sys.exit(1 if faults or not runs else 0)


main()
