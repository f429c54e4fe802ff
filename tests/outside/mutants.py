"""Takes away what keeps wrong bytes out, one thing at a time, and shows that the proof of the landing alone suffices.

    mutants.py [--debug] [NAME…]    of a copy of the tree, in a build of its own

Each mutant must make tests fail, and in none may a download through the damaging proxy (tests/damaged.rs) put a wrong
byte under a final name or on stdout, or hang. Without any, everything must pass. The build has all of them in it and asks a
variable which one to be, so that there is one build and not three.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
# What a mutant is called, where it sits, the line behind which it returns, and what it returns.
MUTANTS = {
    "is_complete": ("src/client/plan.rs", "    pub fn is_complete(&self) -> bool {\n", "return true;"),
    "judge": (
        "src/client/job/judge.rs",
        "    pub(super) fn judge(&self, state: &mut State, piece: u32) -> Result<(), Error> {\n",
        "return Ok(());",
    ),
    "remove": (
        "src/pieces/set.rs",
        "    pub fn remove(&mut self, index: u32) -> bool {\n",
        "return self.contains(index);",
    ),
}
# What has to do with pieces; the rest knows nothing of them.
TESTS = ["pieces::", "client::", "damaged::", "resume::", "mirrors::", "stdout"]


def copy(to, profile):
    files = subprocess.run(["git", "ls-files", "-z"], cwd=TOP, capture_output=True, check=True).stdout.split(b"\0")
    for name in filter(None, files):
        source, target = TOP / os.fsdecode(name), to / os.fsdecode(name)
        if source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    for name, (path, line, does) in MUTANTS.items():
        text = (to / path).read_text()
        assert text.count(line) == 1, f"{path} has changed: mend the mutant '{name}'"
        asks = f'        if std::env::var_os("MUTANT").is_some_and(|mutant| mutant == "{name}") {{ {does} }}\n'
        (to / path).write_text(text.replace(line, line + asks))
    # Dependencies that are built already: theirs is most of the time.
    built = Path(os.environ.get("CARGO_TARGET_DIR", TOP / "target"), profile)
    for part in ["deps", "build", ".fingerprint"]:
        if (built / part).is_dir():
            skip = shutil.ignore_patterns("haul-*", "libhaul-*")
            shutil.copytree(built / part, to / "target" / profile / part, ignore=skip, symlinks=True)


def run(work, options, mutant):
    line = ["cargo", "test", *options, "--locked", "--no-fail-fast", "--lib", "--test", "haul", "--", *TESTS]
    environment = {**os.environ, "MUTANT": mutant or "", "CARGO_TARGET_DIR": str(work / "target")}
    told = subprocess.run(line, cwd=work, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    results = re.findall(r"^test result: \w+\. (\d+) passed; (\d+) failed", told.stdout, re.M)
    downloads = re.search(r"^damaged downloads: .*, wrong (\d+), hung (\d+)$", told.stdout, re.M)
    if len(results) != 2 or not downloads:
        sys.exit(f"{told.stdout[-4000:]}\nthe tests of '{mutant}' did not run to their end")
    failed = sum(int(failed) for _, failed in results)
    print(f"{mutant or 'none'}: {sum(int(passed) for passed, _ in results)} tests passed, {failed} failed")
    print(f"    {downloads.group(0)}", flush=True)
    is_sound = (downloads.group(1), downloads.group(2)) == ("0", "0")
    is_right = is_sound and (failed > 0) == bool(mutant)
    if not is_right:
        print(re.sub(r"^test .* ok\n", "", told.stdout, flags=re.M)[-8000:])
    return is_right


def main():
    arguments = sys.argv[1:]
    is_debug = "--debug" in arguments
    names = [name for name in arguments if name != "--debug"] or [None, *MUTANTS]
    if unknown := set(names) - {None, *MUTANTS}:
        sys.exit(f"no mutant is called {', '.join(unknown)}: there are {', '.join(MUTANTS)}")
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        copy(work, "debug" if is_debug else "release")
        results = [run(work, [] if is_debug else ["--release"], name) for name in names]
    if not all(results):
        sys.exit("a mutant was not noticed, or it let wrong bytes through")


if __name__ == "__main__":
    main()
