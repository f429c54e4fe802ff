#!/usr/bin/env python3
"""Times haul beside the tools that people would use instead, on this machine, memory to memory.

    cargo build --release && benches/compare.py [--rounds 5] [--size 2048] [--files 10000] [--only PATTERN]

Each round runs every pair once, in turn, so that a slow moment of the machine hits all alike; the table gives the
median wall time, its spread, the ratio to haul's in the same round, and CPU seconds of client and server together.
Every result is compared with the source. Needs /dev/shm with room for three copies; tools that are not installed are
left out. Talks to 127.0.0.1 only.
"""
import argparse, contextlib, filecmp, os, re, shutil, signal, socket, statistics, subprocess, sys, tempfile, time
from pathlib import Path

HAUL = Path(__file__).resolve().parent.parent / "target/release/haul"


def free_port():
    with contextlib.closing(socket.socket()) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(port):
    for _ in range(500):
        with contextlib.closing(socket.socket()) as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    sys.exit(f"nothing listens on port {port}")


def cpu_of(pids):
    """CPU seconds of processes and their waited-for children."""
    tick, total = os.sysconf("SC_CLK_TCK"), 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError):
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += sum(map(int, fields[11:15]))
    return total / tick


class Server:
    def __init__(self, name, argv, port, workers=False):
        self.name, self.port = name, port
        self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(port)
        self.pids = [self.process.pid]
        if workers:
            out = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True).stdout
            self.pids += map(int, out.split())

    def cpu(self):
        return cpu_of(self.pids)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()


def servers(base, root):
    started = {}
    port = free_port()
    started["haul"] = Server("haul", [HAUL, "serve", root, "--headless", "-a", "127.0.0.1", "-p", str(port), "-v", "warn"], port)
    if shutil.which("nginx"):
        port, conf = free_port(), base / "nginx.conf"
        conf.write_text(
            f"daemon off; pid {base}/nginx.pid; error_log {base}/nginx.log; worker_processes 2; user root;\n"
            "events { worker_connections 1024; }\n"
            "http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000;\n"
            f" server {{ listen 127.0.0.1:{port}; root {root}; autoindex on; }} }}\n")
        started["nginx"] = Server("nginx", ["nginx", "-c", conf], port, workers=True)
    if shutil.which("rsync"):
        port, conf = free_port(), base / "rsyncd.conf"
        conf.write_text(f"use chroot = no\nport = {port}\naddress = 127.0.0.1\nlog file = {base}/rsyncd.log\n"
                        f"uid = root\ngid = root\n[files]\n path = {root}\n read only = yes\n")
        started["rsync"] = Server("rsync", ["rsync", "--daemon", "--no-detach", f"--config={conf}"], port)
    return started


def pairs(kind, on, root, out, base):
    """name -> (server, argv, verifies)"""
    url = {name: f"http://127.0.0.1:{server.port}" for name, server in on.items()}
    haul = [HAUL, "connect", "--headless", "-v", "error", "-d", out]
    big = kind == "big"
    get = "big.bin" if big else "small/"
    found = {"haul": ("haul", haul + [url["haul"] + "/", "-g", get], "yes, per piece")}
    found["cp (the limit)"] = (None, ["cp", "-r", root / get.rstrip("/"), out], "-")
    if "nginx" in on:
        found["nginx + haul"] = ("nginx", haul + [url["nginx"] + "/", "-g", get], "no")
    if shutil.which("curl"):
        for name in ("nginx", "haul"):
            if name not in on:
                continue
            if big:
                found[f"{name} + curl"] = (name, ["curl", "-s", "-o", out / "big.bin", f"{url[name]}/big.bin"], "no")
            else:
                config = base / f"curl-{name}"
                config.write_text("".join(f'url = "{url[name]}/small/{p.name}"\noutput = "{out}/small/{p.name}"\n'
                                          for p in sorted((root / "small").iterdir())))
                found[f"{name} + curl -Z 16"] = (name, ["curl", "-s", "-Z", "--parallel-max", "16", "--create-dirs",
                                                        "-K", config], "no")
    if shutil.which("aria2c") and "nginx" in on:
        if big:
            argv = ["aria2c", "-q", "-x16", "-s16", "-k1M", "--file-allocation=none", "-d", out, f"{url['nginx']}/big.bin"]
            found["nginx + aria2 -x16"] = ("nginx", argv, "no")
        else:
            listing = base / "aria2.txt"
            listing.write_text("".join(f"{url['nginx']}/small/{p.name}\n dir={out}/small\n" for p in sorted((root / "small").iterdir())))
            found["nginx + aria2 -j16"] = ("nginx", ["aria2c", "-q", "-j16", "--file-allocation=none", "-i", listing], "no")
    if shutil.which("rclone") and "nginx" in on:
        argv = ["rclone", "copy", "--transfers", "16", "--config", "/dev/null", "--http-url", url["nginx"]]
        found["nginx + rclone"] = ("nginx", argv + [":http:" + ("big.bin" if big else "small"), out if big else out / "small"], "no")
    if shutil.which("lftp") and "nginx" in on:
        do = f"pget -n 4 big.bin -o {out}/big.bin" if big else f"mirror --parallel=16 small {out}/small"
        found["nginx + lftp"] = ("nginx", ["lftp", "-e", f"set xfer:log no; {do}; quit", url["nginx"]], "no")
    if "rsync" in on:
        found["rsync daemon"] = ("rsync", ["rsync", "-a", f"rsync://127.0.0.1:{on['rsync'].port}/files/{get}",
                                           f"{out}/" + ("" if big else "small/")], "whole file")
    return found


def same(kind, root, out):
    if kind == "big":
        return filecmp.cmp(root / "big.bin", out / "big.bin", shallow=False)
    left, right = sorted(os.listdir(root / "small")), sorted(os.listdir(out / "small"))
    return left == right and not filecmp.cmpfiles(root / "small", out / "small", left, shallow=False)[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=2048, help="MiB of the large file")
    parser.add_argument("--files", type=int, default=10_000, help="number of 4 KiB files")
    parser.add_argument("--only", default="", help="regular expression over the pairs' names; haul always runs")
    args = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="haul-compare-", dir="/dev/shm"))
    os.environ.update(XDG_STATE_HOME=str(base / "state"), XDG_CACHE_HOME=str(base / "cache"))
    root, out = base / "root", base / "out"
    (root / "small").mkdir(parents=True)
    on = {}
    try:
        with open(root / "big.bin", "wb") as file:
            for _ in range(args.size):
                file.write(os.urandom(1 << 20))
        for i in range(args.files):
            (root / f"small/f{i:06}").write_bytes(os.urandom(4096))
        time.sleep(2.5)  # values of files younger than two seconds are not kept
        on = servers(base, root)
        for kind, title in (("big", f"one file of {args.size} MiB"), ("small", f"{args.files} files of 4 KiB")):
            found = {n: p for n, p in pairs(kind, on, root, out, base).items() if n == "haul" or re.search(args.only, n)}
            walls, cpus, wrong = {n: [] for n in found}, {n: [] for n in found}, set()
            for round_ in range(args.rounds + 1):  # the first warms caches and does not count
                for name, (server, argv, _) in found.items():
                    shutil.rmtree(out, ignore_errors=True)
                    out.mkdir()
                    if kind == "small" and not name.startswith(("haul", "nginx + haul", "cp")):
                        (out / "small").mkdir()
                    before = on[server].cpu() if server else 0
                    children = os.times()
                    began = time.perf_counter()
                    status = subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
                    wall = time.perf_counter() - began
                    after = os.times()
                    cpu = after.children_user + after.children_system - children.children_user - children.children_system
                    cpu += (on[server].cpu() - before) if server else 0
                    if status or not same(kind, root, out):
                        wrong.add(name)
                    if round_:
                        walls[name].append(wall)
                        cpus[name].append(cpu)
            print(f"\n{title}, {args.rounds} rounds, {os.cpu_count()} cores")
            print(f"| pair | median s | min–max s | time / haul's | CPU s | verifies |\n|---|---|---|---|---|---|")
            for name in sorted(found, key=lambda name: statistics.median(walls[name])):
                ratio = statistics.median(w / h for w, h in zip(walls[name], walls["haul"]))
                print(f"| {name}{' **WRONG**' if name in wrong else ''} | {statistics.median(walls[name]):.3f} "
                      f"| {min(walls[name]):.3f}–{max(walls[name]):.3f} | {ratio:.2f} "
                      f"| {statistics.median(cpus[name]):.2f} | {found[name][2]} |", flush=True)
    finally:
        for server in on.values():
            server.stop()
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main()
