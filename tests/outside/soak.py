#!/usr/bin/env python3
"""Soaks a server: clients come and go, files change, limits too, screens are attached and killed; looks whether anything grows.

    tests/outside/soak.py [--haul PATH] [--minutes 60] [--clients 200] [--seed SEED]

For so many minutes up to so many clients at once: `haul connect` of the tree, of one file, and ones that are killed; plain
clients that read slowly, stop in the middle or send nonsense. Meanwhile files appear, change, are renamed and vanish,
`haul ctl` sets limits, pauses and kicks, and `haul attach` runs in pseudo-terminals that are resized and killed. Then:

- no file that lasts has a wrong byte, in any download that says that it is done;
- RSS grows by at most 5 % and 2 MiB after ten minutes, for which clients that left are remembered, at most half of the time
  (measured while nobody is there: every minute all leave);
- descriptors and threads are then what they were after that time;
- nothing in the server's log or on its stderr tells of a panic or a fault; it ends in time, with 143, and its socket is gone.

Needs a release build for figures that mean something. Exits 1 if anything was not so.
"""
import argparse, collections, fcntl, hashlib, os, pty, random, re, select, shutil, signal, socket, struct, subprocess, sys, tempfile, termios, threading, time

KIB = 1 << 10
# Seconds within which a download ends, whatever is done to it.
PATIENCE = 300
LASTING = {"lasts/large": 9_000 * KIB + 3, "lasts/middle": 700 * KIB, "lasts/small": 40 * KIB, "lasts/empty": 0}


class Soak:
    def __init__(self, options, base):
        self.haul, self.base, self.root = os.path.abspath(options.haul), base, f"{base}/root"
        self.random, self.clients = random.Random(options.seed), options.clients
        self.seed, self.counts, self.faults = options.seed, collections.Counter(), []
        self.rest = threading.Event()
        self.ended = threading.Event()
        # Clients that download now, and turns that are under way.
        self.names, self.busy, self.lock = {}, 0, threading.Lock()
        for name, size in [*LASTING.items(), *((f"lasts/many/{n}", 3 * KIB) for n in range(200))]:
            os.makedirs(os.path.dirname(f"{self.root}/{name}"), exist_ok=True)
            with open(f"{self.root}/{name}", "wb") as file:
                file.write(self.random.randbytes(size))
        os.makedirs(f"{self.root}/changes")
        # A name of its own: whoever may see other servers of this machine would have to say which one.
        self.name = f"soak{os.getpid()}"
        self.digests = {name: digest(f"{self.root}/{name}") for name in LASTING}
        with open(f"{base}/server.out", "w") as out, open(f"{base}/server.err", "w") as told:
            self.server = subprocess.Popen(self.line("serve", self.root, "--headless", "-a", "127.0.0.1", "-p", "0", "--instance", self.name, "-l", f"{base}/server.log"),
                                           stdout=out, stderr=told, env=self.environment("server"))
        while not (found := re.search(r"http://(127\.0\.0\.1):(\d+)", open(f"{base}/server.out").read())):
            if self.server.poll() is not None:
                raise SystemExit("the server did not start")
            time.sleep(0.01)
        self.url, self.address = found[0] + "/", (found[1], int(found[2]))

    def line(self, *words):
        return [self.haul, *words]

    def environment(self, name):
        home = f"{self.base}/home-{name}"
        os.makedirs(f"{self.base}/run", mode=0o700, exist_ok=True)
        kept = {name: value for name, value in os.environ.items() if not name.lower().startswith("haul_")}
        return {**kept, "HOME": home, "XDG_STATE_HOME": f"{home}/state", "XDG_CACHE_HOME": f"{home}/cache", "TERM": "xterm-256color",
                "XDG_CONFIG_HOME": f"{home}/config", "XDG_RUNTIME_DIR": f"{self.base}/run"}

    def fault(self, what):
        self.faults.append(what)
        print(what, flush=True)

    def measured(self):
        """RSS in KiB, descriptors, threads."""
        status = open(f"/proc/{self.server.pid}/status").read()
        figure = lambda name: int(re.search(rf"{name}:\s+(\d+)", status)[1])
        return figure("VmRSS"), len(os.listdir(f"/proc/{self.server.pid}/fd")), figure("Threads")

    # Those who come and go; each is one turn of a thread.
    def tree(self, chance, me):
        self.download(chance, me, self.url, "--all", kill=chance.random() < 0.3)

    def one(self, chance, me):
        self.download(chance, me, f"{self.url}{chance.choice(list(LASTING))}", kill=chance.random() < 0.2)

    def download(self, chance, me, *what, kill):
        target, name = f"{self.base}/target-{me}", f"client{me}-{chance.randrange(10**6)}"
        line = self.line("connect", *what, "--headless", "-d", target, "-w", str(chance.randrange(1, 6)), "--control", "off",
                         "--netrc", "off", "--timeout", "20s", "-u", name)
        self.names[me] = name
        child = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=self.environment(f"client{me}"))
        try:
            # Who is kicked waits before it comes back.
            status = child.wait(chance.random() if kill else PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            self.counts["killed" if kill else "hung"] += 1
            if not kill:
                self.fault(f"a client hung: {line}")
            self.names.pop(me)
            return
        self.names.pop(me)
        self.counts[f"status {status}"] += 1
        for name, wanted in self.digests.items():
            for path in (f"{target}/{name}", f"{target}/{os.path.basename(name)}"):
                if os.path.exists(path) and digest(path) != wanted:
                    self.fault(f"WRONG BYTES: {path}")
        if status == 0:
            self.counts["files held against the server's"] += len(self.digests)
        shutil.rmtree(target, ignore_errors=True)

    def slow(self, chance, me):
        with socket.create_connection(self.address, 5) as peer:
            peer.sendall(b"GET /lasts/large HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            for _ in range(chance.randrange(1, 10)):
                peer.recv(4096)
                time.sleep(chance.random() / 3)
        self.counts["slow readers"] += 1

    def nonsense(self, chance, me):
        with socket.create_connection(self.address, 5) as peer:
            peer.sendall(chance.choice([chance.randbytes(300), b"GET / HTTP/1.1\r\n", b"\r\n" * 200, b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhel"]))
            peer.settimeout(chance.random())
            try:
                peer.recv(4096)
            except OSError:
                pass
        self.counts["nonsense"] += 1

    def screen(self, chance, me):
        child, terminal = pty.fork()
        if child == 0:
            os.execve(self.haul, self.line("attach", self.name), self.environment("screen"))
        until = time.monotonic() + chance.random() * 4
        while time.monotonic() < until:
            fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", chance.randrange(1, 60), chance.randrange(1, 200), 0, 0))
            try:
                os.write(terminal, chance.choice([b"j", b"\t", b"?", b"\x1b", b"z", b"1", b"2", b"s"]))
                while select.select([terminal], [], [], 0.1)[0]:
                    os.read(terminal, 65536)
            except OSError:
                break
        os.kill(child, chance.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGHUP]))
        os.close(terminal)
        os.waitpid(child, 0)
        self.counts["screens killed"] += 1

    def ctl(self, *words):
        done = subprocess.run(self.line("ctl", self.name, *words), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                              env=self.environment("screen"))
        self.counts[f"ctl {words[0]}: {done.returncode}"] += 1
        if "panicked" in done.stderr:
            self.fault(f"ctl {words}: {done.stderr}")
        return done.returncode == 0

    def steer(self, chance, me):
        if chance.random() < 0.5:
            self.ctl("limit", chance.choice(["80M", "off", "300M"]))
        elif names := list(self.names.values()):
            name = chance.choice(names)
            if chance.random() < 0.1:
                self.ctl("kick", name, "enough")
            elif self.ctl("pause", name):
                time.sleep(0.3)
                # On a machine that is busy enough, it may take longer to answer than `ctl` waits.
                while not self.ctl("resume", name) and name in self.names.values():
                    time.sleep(0.3)
        time.sleep(0.1)

    def change(self, chance, me):
        there = f"{self.root}/changes"
        name, other = (f"{there}/{chance.randrange(300)}" for _ in range(2))
        try:
            match chance.randrange(4):
                case 0 | 1:
                    with open(name, chance.choice(["wb", "ab", "r+b"])) as file:
                        file.write(chance.randbytes(chance.randrange(1, 60_000)))
                case 2:
                    os.rename(name, other)
                case 3:
                    os.remove(name)
        except OSError:
            pass
        self.counts["changes"] += 1
        time.sleep(0.02)

    def turns(self, me, kinds):
        chance = random.Random(f"{self.seed}-{me}")
        while not self.ended.is_set():
            if self.rest.is_set():
                time.sleep(0.1)
                continue
            with self.lock:
                self.busy += 1
            try:
                chance.choice(kinds)(chance, me)
            except (ConnectionError, TimeoutError) as error:
                self.counts[type(error).__name__] += 1
            finally:
                with self.lock:
                    self.busy -= 1

    def run(self, minutes):
        kinds = [[self.tree, self.one, self.one, self.slow, self.nonsense]] * self.clients + [[self.screen]] * 3 + [[self.steer], [self.change]]
        threads = [threading.Thread(target=self.turns, args=(me, mine)) for me, mine in enumerate(kinds)]
        for thread in threads:
            thread.start()
        begun, figures = time.monotonic(), []
        while time.monotonic() < begun + 60 * minutes and self.server.poll() is None:
            time.sleep(45)
            # All leave, so that what is measured is what stays; threads for work that blocks stay 10 s.
            self.rest.set()
            calm = time.monotonic() + PATIENCE
            while self.busy and time.monotonic() < calm:
                time.sleep(0.1)
            time.sleep(12)
            if self.server.poll() is None:
                figures.append((time.monotonic() - begun, *self.measured()))
                print("{:.0f} s: RSS {} KiB, {} descriptors, {} threads".format(*figures[-1]), flush=True)
            self.rest.clear()
        self.ended.set()
        for thread in threads:
            thread.join()
        if not self.counts["ctl limit: 0"] or not self.counts["screens killed"]:
            self.fault("no limit was changed, or no screen was there")
        self.judge(figures, minutes)

    def judge(self, figures, minutes):
        if self.server.poll() is not None:
            self.fault(f"the server ended with {self.server.returncode}")
        # Who left is remembered for ten minutes.
        warm = [it for it in figures if it[0] >= min(30 * minutes, 600)]
        if len(warm) < 3:
            self.fault("too few figures: let it run longer")
        else:
            first, last = warm[0], warm[-1]
            for name, at, more in [("RSS", 1, first[1] * 0.05 + 2048), ("descriptors", 2, 2), ("threads", 3, 2)]:
                if last[at] > first[at] + more:
                    self.fault(f"{name} grew from {first[at]} to {last[at]}")
        self.server.terminate()
        try:
            status = self.server.wait(15)
            if status != 143:
                self.fault(f"told to end, the server ended with {status}")
        except subprocess.TimeoutExpired:
            self.fault("told to end, the server did not")
            self.server.kill()
        for log in ("server.log", "server.err"):
            for line in open(f"{self.base}/{log}", errors="replace"):
                if re.search("panicked|a fault of haul|ERROR", line):
                    self.fault(f"{log}: {line.strip()[:300]}")
        if left := [name for name in os.listdir(f"{self.base}/run/haul") if name.startswith(self.name)]:
            self.fault(f"left behind: {left}")


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main():
    # Whoever ends this early has it tidy up as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--haul", default="target/release/haul")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    base = tempfile.mkdtemp(prefix="haul-soak-")
    soak = Soak(options, base)
    try:
        soak.run(options.minutes)
    finally:
        soak.ended.set()
        if soak.server.poll() is None:
            soak.server.kill()
        shutil.rmtree(base, ignore_errors=True)
    print(f"{dict(sorted(soak.counts.items()))}; {len(soak.faults)} faults")
    sys.exit(1 if soak.faults else 0)


main()
