#!/usr/bin/env python3
"""Functions that rustc miscompiles (rust-lang/rust#158206): in this crate, and in everything that it is built of.

    miscompiled.py [TOOLCHAIN]      all of them, with the compiler of the release by default; needs 10 GiB and minutes
    miscompiled.py --dumps DIR      dumps that are there already
    miscompiled.py --prove          shows that it finds the fault, in the lines in which it was found

The MIR pass SimplifyComparisonIntegral removes the definition of a comparison that is used both in a branch and
otherwise. The compiler writes every function down before and after that pass; what is defined before, not defined after,
and used after was removed wrongly. Nothing is run and no machine code is made.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

PASS = "SimplifyComparisonIntegral"
TOP = Path(__file__).resolve().parents[2]
DEFINITION = re.compile(r"^\s*(_\d+) = (?:Eq|Ne|Lt|Le|Gt|Ge)\(.*\);", re.M)
ASSIGNED = re.compile(r"^\s*(_\d+) = ", re.M)

# The set that lost count: what `remove` answers is both subtracted and asked about by who calls it.
PROOF = """
pub struct Set { words: Vec<u64>, count: u32 }
impl Set {
    #[inline]
    pub fn remove(&mut self, at: usize) -> bool {
        let word = &mut self.words[at / 64];
        let was = *word & 1 << (at % 64) != 0;
        *word &= !(1 << (at % 64));
        self.count -= u32::from(was);
        was
    }
}
pub fn reject(set: &mut Set, free: &mut Vec<usize>, at: usize) {
    if !set.remove(at) { return; }
    free.push(at);
}
"""


def flags(dumps):
    dump = f"-Zdump-mir={PASS} -Zdump-mir-dir={dumps} -Zmir-include-spans=off"
    return f"{dump} -Zalways-encode-mir -Copt-level=3"


def wrong(before, after):
    """The locals whose definition is gone while something still reads them."""
    kept = set(ASSIGNED.findall(after))
    for local in set(DEFINITION.findall(before)) - kept:
        lines = (line.split("//")[0] for line in after.splitlines())
        uses = (line.strip() for line in lines if re.search(rf"\b{local}\b", line))
        uses = [use for use in uses if not re.match(r"(let|Storage\w+\(|debug )", use)]
        if uses:
            yield local, uses


def judge(dumps):
    looked, found = 0, {}
    for before in Path(dumps).rglob(f"*.{PASS}.before.mir"):
        after = before.with_name(before.name.replace(".before.mir", ".after.mir"))
        # A compiler that was stopped between the two.
        if not after.exists():
            sys.exit(f"{after} is missing")
        looked += 1
        one, other = before.read_text(), after.read_text()
        if one.split("\n", 1)[1] == other.split("\n", 1)[1]:
            continue
        for local, uses in wrong(one, other):
            name = re.search(r"^(?:pub )?(?:const )?fn .*", one, re.M)
            where = before.name.split(".")[0]
            found.setdefault(where, []).append((name.group(0)[:160] if name else before.name, local, uses[:3]))
    return looked, found


def tell(looked, found):
    for crate in sorted(found):
        for name, local, uses in found[crate]:
            print(f"{crate}: {name}\n    {local} is used, and not defined: {'; '.join(uses)}")
    count = sum(map(len, found.values()))
    print(f"{looked} functions, {count} of them miscompiled, in {len(found)} crates")
    return count


def main():
    arguments = sys.argv[1:]
    environment = dict(os.environ, RUSTC_BOOTSTRAP="1")
    if arguments[:1] == ["--dumps"]:
        sys.exit(tell(*judge(arguments[1])) > 0)
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as work:
        dumps = Path(work, "mir")
        if arguments == ["--prove"]:
            source = Path(work, "proof.rs")
            source.write_text(PROOF)
            line = ["rustc", "--crate-type=lib", "--edition=2024", *flags(dumps).split(), "-o", f"{work}/proof.rlib", source]
            subprocess.run(line, cwd=work, env=environment, check=True)
            sys.exit(tell(*judge(dumps)) == 0)
        toolchain = [f"+{arguments[0]}"] if arguments else []
        host = subprocess.run(["rustc", *toolchain, "-vV"], capture_output=True, text=True, check=True).stdout
        host = re.search(r"^host: (.*)", host, re.M).group(1)
        environment.update(RUSTFLAGS=flags(dumps), CARGO_TARGET_DIR=f"{work}/target")
        # With a target named, the flags do not reach what runs at build time.
        line = ["cargo", *toolchain, "check", "--release", "--locked", "--target", host]
        subprocess.run(line, cwd=TOP, env=environment, check=True)
        sys.exit(tell(*judge(dumps)) > 0)


if __name__ == "__main__":
    main()
