#!/usr/bin/env python3
"""Times two builds of haul beside each other on this machine, memory to memory over loopback.

    benches/builds.py target/release/haul target/x86_64-unknown-linux-musl/release/haul [--rounds 7] [--size 2048] [--files 3000]

Each round runs both builds once, in turn, each as server and as client; the one that begins changes with the round. The table has
the median wall time, its spread, the median of the ratios within a round, and CPU seconds of both ends. What was downloaded is
compared with its source. Needs /dev/shm with room for two copies. Talks to 127.0.0.1 only.
"""
import argparse, filecmp, os, resource, shutil, statistics, subprocess, sys, tempfile, time
from pathlib import Path


def fill(root, size, files):
    (root / "large").mkdir()
    with open(root / "large/file", "wb") as out:
        for _ in range(size):
            out.write(os.urandom(1 << 20))
    (root / "small").mkdir()
    for n in range(files):
        (root / f"small/{n:05}").write_bytes(os.urandom(4096))


def run(haul, root, what, dir):
    """Seconds of the download, and CPU seconds of both ends."""
    env = {"HOME": str(dir), "XDG_RUNTIME_DIR": str(dir), "PATH": os.environ["PATH"]}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    line = [haul, "serve", root, "--headless", "-a", "127.0.0.1", "-p", "0", "--control", "off"]
    server = subprocess.Popen(line, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    url = server.stdout.readline().split()[-1]
    target = dir / "target"
    line = [haul, "connect", f"{url}/{what}/", "--all", "--headless", "-d", target, "--control", "off"]
    start = time.monotonic()
    subprocess.run(line, env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    took = time.monotonic() - start
    server.terminate()
    server.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    names = os.listdir(root / what)
    _, differ, missing = filecmp.cmpfiles(root / what, target, names, shallow=False)
    if differ or missing:
        sys.exit(f"{haul}: {len(differ) + len(missing)} files differ")
    shutil.rmtree(dir)
    dir.mkdir()
    return took, cpu


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", nargs=2, type=lambda path: Path(path).resolve())
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--size", type=int, default=2048, help="MiB of the large file")
    parser.add_argument("--files", type=int, default=3000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as temp:
        root, dir = Path(temp) / "root", Path(temp) / "run"
        root.mkdir(), dir.mkdir()
        fill(root, args.size, args.files)
        for what, title in ("large", f"a file of {args.size} MiB"), ("small", f"{args.files} files of 4 KiB"):
            times = {build: [] for build in args.build}
            for build in args.build:
                run(build, root, what, dir)
            for number in range(args.rounds):
                for build in args.build if number % 2 else args.build[::-1]:
                    times[build].append(run(build, root, what, dir))
            first = [took for took, _ in times[args.build[0]]]
            print(f"\n| {title} | median s | min–max s | time / the first's | CPU s |\n|---|---|---|---|---|")
            for build in args.build:
                took = [took for took, _ in times[build]]
                ratio = statistics.median(a / b for a, b in zip(took, first))
                cpu = statistics.median(cpu for _, cpu in times[build])
                name = build.parent.parent.name
                spread = f"{min(took):.3f}–{max(took):.3f}"
                print(f"| {name} | {statistics.median(took):.3f} | {spread} | {ratio:.2f} | {cpu:.2f} |", flush=True)


main()
