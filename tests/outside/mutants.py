#!/usr/bin/env python3
"""Puts faults back, one at a time, and shows that what is there to find them does.

    mutants.py [--debug] [NAME…]           of a copy of the tree, in a build of its own
    mutants.py [--debug] --short [NAME…]   against unit tests and simulated runs alone, without downloads

Those of the landing take away what keeps wrong bytes out: each must make tests fail, and in none may a download through the
damaging proxy (tests/damaged.rs) put a wrong byte under a final name or on stdout, or hang, because the proof of the landing
alone suffices. Those of the schedule are faults that were there once: the simulation must find each within 2,000 seeds.
Without any, everything must pass. The build has all of them in it and asks a variable which one to be, so that there is one
build and not nine.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
SCHEDULE = "src/client/schedule"
# What a mutant is called, where it sits, the line behind which it stands, and what it does; IS asks whether it is the one.
LANDING = {
    "is_complete": (f"{SCHEDULE}/plan.rs", "    pub fn is_complete(&self) -> bool {\n", "if IS { return true; }"),
    "judge": (
        f"{SCHEDULE}/verdict.rs",
        "    fn judge(&mut self, plan: &mut Plan, piece: u32) -> Result<(), Error> {\n",
        "if IS { return Ok(()); }",
    ),
    "remove": (
        "src/pieces/set.rs",
        "    pub fn remove(&mut self, index: u32) -> bool {\n",
        "if IS { return self.contains(index); }",
    ),
}
SIMULATED = {
    # A connection to a server that asked to be left alone goes on asking.
    "busy": (
        f"{SCHEDULE}/place.rs",
        "        let may_ask = self.sources.get(source).may_ask(now).is_ok();\n",
        "let may_ask = may_ask || IS;",
    ),
    # A connection that could not reach a server counts as trying it for ever, and the others wait for that.
    "dead": (
        f"{SCHEDULE}/sources.rs",
        "    pub fn let_go(&mut self, slot: SlotId) -> bool {\n",
        "if IS { return false; }",
    ),
    # A server that cannot be reached is tried again at once.
    "spin": (
        f"{SCHEDULE}/sources.rs",
        "        let pause = backoff(source.failures);\n",
        "let pause = if IS { Duration::ZERO } else { pause };",
    ),
    # Nobody goes to a server that came back, or that something waits for.
    "back": (
        f"{SCHEDULE}/place.rs",
        "    pub(super) fn needed_elsewhere(&self, id: SlotId, now: Instant) -> Option<SourceId> {\n",
        "if IS { return None; }",
    ),
    # An outage of this machine's own network drops servers for good.
    "outage": (
        f"{SCHEDULE}/outage.rs",
        "        let worth_waiting = own && self.sources.get_mut(source).own_outage(now);\n",
        "if IS && self.sources.get(source).failures > self.limits.retries && self.drop_source(source, &error) { return; }",
    ),
    # Connections fetch what is looked for elsewhere.
    "sought": (
        f"{SCHEDULE}/transfer/left.rs",
        "    pub(super) fn free(&mut self, pieces: Range<u32>) {\n",
        "if IS { self.plan.add_free(pieces.clone()); }",
    ),
    # What is not found is not fetched either.
    "unfree": (
        f"{SCHEDULE}/transfer/left.rs",
        "    pub fn search_over(&mut self) {\n",
        "if IS { self.elsewhere = Elsewhere::Over; return; }",
    ),
}
MUTANTS = {**LANDING, **SIMULATED}
# Modules of src/lib.rs that nothing below the client uses.
ABOVE = "app cli compose control dashboard discovery error eval headless metrics plot server ui".split()
# What has to do with pieces; the rest knows nothing of them.
TESTS = ["pieces::", "client::", "damaged::", "resume::", "mirrors::", "stdout"]
BESIDE = ["pieces::", "client::", "--skip", "client::schedule::sim"]
SIMULATION = "client::schedule::sim::whatever_goes_wrong_nothing_is_lost_and_all_ends"
SEEDS = 2000


def keep_below(lib):
    """Takes the modules above the client out of the text of src/lib.rs: without them a build takes half as long."""
    return re.sub(rf"^(pub )?mod ({'|'.join(ABOVE)});\n", "", lib, flags=re.M)


def copy(to, profile):
    target = Path(os.environ.get("CARGO_TARGET_DIR", TOP / "target"))
    skip = shutil.ignore_patterns(".git", "target", target.name)
    shutil.copytree(TOP, to, ignore=skip, symlinks=True, dirs_exist_ok=True)
    for name, (path, line, does) in MUTANTS.items():
        text = (to / path).read_text()
        assert text.count(line) == 1, f"{path} has changed: mend the mutant '{name}'"
        asks = f'std::env::var_os("MUTANT").is_some_and(|mutant| mutant == "{name}")'
        (to / path).write_text(text.replace(line, f"{line}        {does.replace('IS', asks)}\n"))
    # Dependencies that are built already: theirs is most of the time.
    built = target / profile
    for part in ["deps", "build", ".fingerprint"]:
        if (built / part).is_dir():
            skip = shutil.ignore_patterns("haul-*", "libhaul-*")
            shutil.copytree(built / part, to / "target" / profile / part, ignore=skip, symlinks=True)


def cargo(work, options, mutant, tests):
    line = ["cargo", "test", *options, "--locked", "--no-fail-fast", *tests]
    environment = {**os.environ, "MUTANT": mutant or "", "CARGO_TARGET_DIR": str(work / "target"), "HAUL_SEEDS": str(SEEDS)}
    told = subprocess.run(line, cwd=work, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return told.stdout, re.findall(r"^test result: \w+\. (\d+) passed; (\d+) failed", told.stdout, re.M)


def lands(work, options, mutant, is_short):
    where = ["--lib", "--", *BESIDE] if is_short else ["--lib", "--test", "haul", "--", *TESTS]
    told, results = cargo(work, options, mutant, where)
    downloads = re.search(r"^damaged downloads: .*, wrong (\d+), hung (\d+)$", told, re.M)
    if len(results) != (1 if is_short else 2) or not (is_short or downloads):
        sys.exit(f"{told[-4000:]}\nthe tests of '{mutant}' did not run to their end")
    failed = sum(int(failed) for _, failed in results)
    print(f"{mutant or 'none'}: {sum(int(passed) for passed, _ in results)} tests passed, {failed} failed", flush=True)
    if not is_short:
        print(f"    {downloads.group(0)}", flush=True)
    is_sound = is_short or (downloads.group(1), downloads.group(2)) == ("0", "0")
    is_right = is_sound and (failed > 0) == bool(mutant)
    if not is_right:
        print(re.sub(r"^test .* ok\n", "", told, flags=re.M)[-8000:])
    return is_right


def simulates(work, options, mutant):
    told, results = cargo(work, options, mutant, ["--lib", "--", "--exact", SIMULATION])
    if len(results) != 1 or results[0] not in [("1", "0"), ("0", "1")]:
        sys.exit(f"{told[-4000:]}\nthe simulation of '{mutant}' did not run to its end")
    found = re.search(r"^(seed \d+r?: .*)$", told, re.M)
    print(f"{mutant}: {found.group(1)[:100] if found else f'not found within {SEEDS} seeds'}", flush=True)
    return bool(found)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--debug", action="store_true")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("names", nargs="*", metavar="NAME")
    given = parser.parse_args()
    names = given.names or [None, *MUTANTS]
    if unknown := set(names) - {None, *MUTANTS}:
        sys.exit(f"no mutant is called {', '.join(unknown)}: there are {', '.join(MUTANTS)}")
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        copy(work, "debug" if given.debug else "release")
        options = [] if given.debug else ["--release"]
        if given.short:
            lib = work / "src/lib.rs"
            lib.write_text(keep_below(lib.read_text()))
            options += ["--config", "profile.release.package.haul.codegen-units=16"]
        results = [
            simulates(work, options, name) if name in SIMULATED else lands(work, options, name, given.short) for name in names
        ]
    if not all(results):
        sys.exit("a mutant was not noticed, or it let wrong bytes through")


if __name__ == "__main__":
    main()
