#!/usr/bin/env python3
"""Lets every system call of a download fail, one after the other, and looks what is left.

    tests/outside/torture.py [--haul PATH] [--call CALL] [--error ERROR] [--most N]

For each call, each error and each N the N-th such call of `haul connect` fails (`strace --inject`). Then:
the exit status is one of the README's, one line says what failed, no file under a final name has a wrong byte,
the same command without faults completes, and nothing else is left. `--side serve` tortures the server in the same way.
Left out: `write`, `getrandom`, `pread64` and `mmap`, which the loader and the runtime need for themselves. `strace` counts the N of each
thread by itself, so that one run may meet several faults. Needs strace. Prints what it did and each thing that was not so; exits 1 if there was one.
"""
import argparse, collections, hashlib, os, re, shutil, signal, subprocess, sys, tempfile, time

CALLS = {
    "openat": "EIO EMFILE EACCES ENOSPC", "openat2": "EIO EMFILE EACCES EINTR", "pwrite64": "EIO ENOSPC EDQUOT EINTR", "fallocate": "EIO ENOSPC EOPNOTSUPP EINTR", "ftruncate": "EIO ENOSPC EINTR",
    "fsync": "EIO ENOSPC", "fdatasync": "EIO ENOSPC EDQUOT", "syncfs": "EIO", "linkat": "EIO ENOSPC EPERM EXDEV",
    "renameat2": "EIO ENOSPC EINVAL", "renameat": "EIO ENOSPC", "unlinkat": "EIO EPERM", "statx": "EIO ENOSYS",
    "mkdirat": "EIO ENOSPC EACCES", "connect": "ECONNREFUSED ENETUNREACH EADDRNOTAVAIL ETIMEDOUT",
    "recvfrom": "ECONNRESET EIO EINTR EAGAIN", "sendto": "ECONNRESET EPIPE EINTR EAGAIN",
    "flock": "EIO ENOLCK", "utimensat": "EIO EPERM", "socket": "EMFILE ENFILE EACCES",
}
SERVER = {
    "sendfile": "EIO EINTR EAGAIN ECONNRESET", "accept4": "EMFILE ECONNABORTED EINTR EAGAIN", "openat2": "EIO EMFILE EINTR",
    "statx": "EIO ENOSYS", "recvfrom": "ECONNRESET EIO EINTR EAGAIN", "write": "EPIPE EIO EINTR", "pread64": "EIO EINTR",
    "getdents64": "EIO EINTR", "preadv2": "EIO EOPNOTSUPP", "fstat": "EIO", "sendto": "ECONNRESET EINTR EAGAIN", "close": "EIO",
}
STATUSES = {0, 1, 2, 3, 4, 5, 6, 7}


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
    return {**kept, "HOME": home, "XDG_STATE_HOME": f"{home}/state", "XDG_CACHE_HOME": f"{home}/cache"}


class Server:
    def __init__(self, haul, root, home, inject=(), port=0):
        line = [*inject, haul, "serve", root, "--headless", "-a", "127.0.0.1", "-p", str(port)]
        self.child = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                      env=environment(home), start_new_session=True)
        self.url = None
        for line in self.child.stdout:
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
            if found:
                self.url = found.group() + "/"
                break

    def end(self):
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait()


def connect(haul, url, target, home, inject=()):
    line = [*inject, haul, "connect", url, "--all", "--headless", "-d", target, "-r", "1", "--timeout", "3s", "--netrc", "off"]
    child = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(home),
                             start_new_session=True)
    try:
        out, told = child.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        # What strace follows outlives it.
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        return None, "", ""
    return child.returncode, out, told


def judge(wanted, there):
    """Files that are not the server's, and files that nobody asked for."""
    wrong = [name for name, digest in there.items() if name in wanted and digest != wanted[name]]
    strange = [name for name in there if name not in wanted]
    return wrong, strange


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--haul", default="target/release/haul")
    parser.add_argument("--side", choices=["connect", "serve"], default="connect")
    parser.add_argument("--call")
    parser.add_argument("--error")
    parser.add_argument("--most", type=int, default=40)
    options = parser.parse_args()
    haul = os.path.abspath(options.haul)
    base = tempfile.mkdtemp(prefix="haul-torture-")
    root = f"{base}/root"
    tree(root)
    wanted = digests(root)
    calls = CALLS if options.side == "connect" else SERVER
    runs, faults, statuses = 0, [], collections.Counter()
    server = Server(haul, root, f"{base}/server-home") if options.side == "connect" else None
    for call, errors in calls.items():
        if options.call and call != options.call:
            continue
        for error in errors.split():
            if options.error and error != options.error:
                continue
            for n in range(1, options.most + 1):
                home, target, trace = f"{base}/home", f"{base}/target", f"{base}/trace"
                for path in (home, target):
                    shutil.rmtree(path, ignore_errors=True)
                    os.makedirs(path)
                inject = ["strace", "-f", "--seccomp-bpf", "-qq", "-o", trace, "-e", f"trace={call}",
                          "-e", f"inject={call}:error={error}:when={n}"]
                case = f"{call} {error} {n}"
                if options.side == "serve":
                    tortured = Server(haul, root, f"{base}/server-home", inject)
                    if tortured.url is None:
                        tortured.end()
                        status, out, told = 1, "", "haul: the server did not start"
                    else:
                        status, out, told = connect(haul, tortured.url, target, home)
                    alive = tortured.child.poll() is None
                    tortured.end()
                    if not alive and tortured.url is not None:
                        faults.append(f"{case}: the server ended")
                    if tortured.url is None and n > 60:
                        break
                else:
                    status, out, told = connect(haul, server.url, target, home, inject)
                hit = "(INJECTED)" in open(trace, errors="replace").read() if os.path.exists(trace) else False
                if not hit:
                    break
                runs += 1
                statuses[status] += 1
                say = lambda what: faults.append(f"{case}: {what}")
                if status is None:
                    say("it hangs")
                elif status not in STATUSES:
                    say(f"status {status}: {told.strip().splitlines()[-1:]}")
                if "panicked" in told or "a fault of haul" in told or "a fault of haul" in out:
                    say(f"a fault of haul: {told.strip()[:300]}")
                if status not in (0, None) and not re.search(r"^haul: ", told, re.M):
                    say(f"status {status} without a word: {told.strip()[:200]!r}")
                there = digests(target)
                wrong, _ = judge(wanted, {name: it for name, it in there.items() if not name.endswith(".part")})
                if wrong:
                    say(f"WRONG BYTES under a final name: {wrong}")
                if status == 0 and not all(name in there for name in wanted):
                    say(f"status 0, and missing: {[name for name in wanted if name not in there]}")
                # The same port: what is gone on with belongs to one server.
                port = int(tortured.url.rsplit(":", 1)[1].strip("/")) if options.side == "serve" and tortured.url else 0
                again = Server(haul, root, f"{base}/server-home", port=port) if options.side == "serve" else server
                status, out, told = connect(haul, again.url, target, home)
                if options.side == "serve":
                    again.end()
                there = digests(target)
                wrong, strange = judge(wanted, there)
                if status != 0 or wrong or len(there) < len(wanted):
                    say(f"the next run does not complete: status {status}: {told.strip()[:200]}")
                if strange:
                    say(f"left behind: {strange}")
    if server:
        server.end()
    shutil.rmtree(base, ignore_errors=True)
    print(f"{runs} runs with a fault; statuses {dict(sorted(statuses.items(), key=str))}")
    for fault in faults:
        print(fault)
    sys.exit(1 if faults else 0)


main()
