#!/usr/bin/env python3
"""Mutation testing of the modules that decide which bytes are right: the mutants of cargo-mutants, all in one build.

    mutation.py [--jobs 1] [GROUP...]            of pieces landing http1 pace escape schedule
    mutation.py --in-diff CHANGE.DIFF            of the lines that a change touches
    mutation.py --only 'PART OF A NAME' GROUP    those mutants alone, with what their tests print
    mutation.py --again GROUP                    those alone that its last run missed, where no line has moved

cargo-mutants lists the mutants and builds each: for 3,000 of them that is days. Here all of them are put into a copy of the tree,
each behind a question about a variable, so that there is one build and then a run of the tests for each. Those that do not compile
are found by the compiler's errors and taken out (`unviable`). Of the few that cannot be asked for at run time (in a `const fn`, where
an `impl` is returned, in a chain of `let`) each is built by itself. Each mutant is held against the tests beside it, then what those
missed against all tests of the copy, the schedule against simulated runs of 4 and then 100 seeds of each kind. Tests of the whole
program do not count.

The copy has no modules above the client in src/lib.rs, which nothing below them uses. Results are kept in
target/mutation/GROUP.txt; each that is missed becomes a test, or a line in docs/RELIABILITY.md.
Needs cargo-mutants, and tree-sitter and tree-sitter-rust from PyPI.
"""

import argparse
import collections
import concurrent.futures
import hashlib
import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import tree_sitter
import tree_sitter_rust

sys.dont_write_bytecode = True
from mutants import ABOVE, keep_below  # noqa: E402

TOP = Path(__file__).resolve().parents[2]
OUT = Path(os.environ.get("CARGO_TARGET_DIR", TOP / "target")) / "mutation"
COPY = OUT / "tree"
MEMORY_MAX = 6 << 30
# A mutant whose tests take longer than those of the program by so much never ends; a test fails by that.
TIMES, AT_LEAST = 6, 10
# The files of a group, and the tests that are near them.
GROUPS = {
    "pieces": (["src/pieces/**/*.rs", "src/client/proof.rs"], ["pieces::", "client::proof"]),
    "landing": (
        [
            "src/client/disk/journal/**/*.rs",
            "src/client/disk/conflict.rs",
            "src/client/disk/land.rs",
            "src/client/disk/lander.rs",
        ],
        ["client::disk", "client::engine"],
    ),
    "http1": (["src/http1/**/*.rs"], ["http1::", "client::net"]),
    "pace": (["src/pace.rs"], ["pace::"]),
    "escape": (["src/escape.rs"], ["escape::"]),
    "schedule": (["src/client/schedule/**/*.rs"], ["client::schedule"]),
}
NOT_MUTATED = ["src/client/schedule/sim/**", "**/tests.rs"]
# What asks, at the end of src/lib.rs.
ASKS = """
/// Whether the mutant of this number is to be.
pub fn is_mutant(number: u32) -> bool {
    static WHICH: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    *WHICH.get_or_init(|| std::env::var("HAUL_MUTANT").ok().and_then(|which| which.parse().ok()).unwrap_or(0)) == number
}
"""
RUST = tree_sitter.Parser(tree_sitter.Language(tree_sitter_rust.language()))


def copy_tree():
    """A fresh copy, without what is above; files keep their times, so that little is built anew."""
    for name in ("src", "tests"):
        shutil.rmtree(COPY / name, ignore_errors=True)
    shutil.copytree(TOP / "src", COPY / "src", dirs_exist_ok=True)
    shutil.copytree(TOP / "tests/fuzz", COPY / "tests/fuzz")
    for name in ("Cargo.lock", "clippy.toml"):
        shutil.copy2(TOP / name, COPY / name)
    lib = keep_below((COPY / "src/lib.rs").read_text())
    for module in ABOVE:
        shutil.rmtree(COPY / "src" / module, ignore_errors=True)
        (COPY / f"src/{module}.rs").unlink(missing_ok=True)
    (COPY / "src/main.rs").unlink()
    (COPY / "src/lib.rs").write_text(lib)
    # Neither the program, nor its tests, nor other members of the workspace are there.
    manifest = (TOP / "Cargo.toml").read_text()
    manifest = re.sub(r"^members = .*\n", "", manifest, flags=re.M)
    manifest = re.sub(r"^\[\[(bin|test)\]\]\n(.+\n)+", "", manifest, flags=re.M)
    manifest = manifest.replace("codegen-units = 1\n", "codegen-units = 16\nincremental = true\n")
    (COPY / "Cargo.toml").write_text(manifest)


def listed(group, diff):
    """The mutants of a group, as cargo-mutants lists them, numbered from 1."""
    command = ["cargo", "mutants", "--list", "--json", "--config", OUT / "empty.toml"]
    for pattern in GROUPS[group][0]:
        command += ["-f", pattern]
    for pattern in NOT_MUTATED:
        command += ["-e", pattern]
    if diff:
        command += ["--in-diff", diff.resolve()]
    # It prints nothing where a change touches none.
    mutants = json.loads(subprocess.check_output(command, cwd=COPY) or "[]")
    for number, mutant in enumerate(mutants, 1):
        mutant["number"] = number
    return mutants


def offset(text, place):
    """The byte offset of a line and column (both from 1, columns in characters)."""
    lines = text.split(b"\n")
    line = lines[place["line"] - 1].decode()
    return sum(len(line) + 1 for line in lines[: place["line"] - 1]) + len(line[: place["column"] - 1].encode())


class File:
    """A file with its mutants."""

    def __init__(self, text, mutants):
        self.text = text
        self.tree = RUST.parse(text)
        # By the bounds of the node that asks.
        self.wraps = collections.defaultdict(list)
        self.returns = collections.defaultdict(list)
        # Those that cannot be asked for at run time.
        self.apart = []
        for mutant in mutants:
            self.place(mutant)

    def place(self, mutant):
        start, end = offset(self.text, mutant["span"]["start"]), offset(self.text, mutant["span"]["end"])
        genre = mutant["genre"]
        if genre == "FnValue":
            head = self.text[: start].rsplit(b"fn ", 1)
            constant = head[0].rstrip().endswith(b"const")
            if constant or "impl " in mutant["function"]["return_type"]:
                self.apart.append(mutant)
            else:
                self.returns[start].append(mutant)
            return
        node = self.tree.root_node.descendant_for_byte_range(start, max(start, end - 1))
        wanted = {
            "BinaryOperator": ("binary_expression", "compound_assignment_expr"),
            "UnaryOperator": ("unary_expression",),
            "MatchArm": ("match_arm",),
            "StructField": ("field_initializer", "shorthand_field_initializer"),
        }.get(genre)
        if genre == "MatchArmGuard":
            while node and node.type != "match_pattern":
                node = node.parent
            node = node and node.child_by_field_name("condition")
            wanted = () if node is None or node.type in ("let_chain", "let_condition") else (node.type,)
        else:
            while node and node.type not in wanted and (node.start_byte, node.end_byte) != (0, len(self.text)):
                if node.type in ("let_chain", "block", "function_item"):
                    node = None
                    break
                node = node.parent
        is_apart = node is None or node.type not in wanted or self.is_constant(node)
        if is_apart or genre == "MatchArm" and not self.has_others(node):
            self.apart.append(mutant)
        else:
            self.wraps[(node.start_byte, node.end_byte, genre)].append(mutant)

    @staticmethod
    def has_others(arm):
        """Whether another arm takes whatever a match arm leaves, as far as its text tells."""
        for other in arm.parent.children:
            pattern = other.child_by_field_name("pattern") if other.type == "match_arm" and other != arm else None
            if pattern and pattern.text == b"_":
                return True
        return False

    @staticmethod
    def is_constant(node):
        """Whether it is evaluated while it is compiled."""
        while node := node.parent:
            if node.type in ("const_item", "static_item", "array_type", "const_block", "enum_variant"):
                return True
            if node.type == "function_item":
                return any(child.type == "function_modifiers" and b"const" in child.text for child in node.children)
        return False

    def mutated(self, dropped):
        self.dropped = dropped
        return self.emit(self.tree.root_node)

    def alive(self, mutants):
        return [mutant for mutant in mutants if mutant["number"] not in self.dropped]

    def plain(self, node):
        """A node's text, with what is inside it mutated."""
        out, at = b"", node.start_byte
        for child in node.children:
            out += self.between(at, child.start_byte) + self.emit(child)
            at = child.end_byte
        return out + self.between(at, node.end_byte)

    def between(self, start, end):
        return self.text[start:end]

    def emit(self, node):
        bounds = (node.start_byte, node.end_byte)
        text = self.plain(node) if node.child_count else self.between(*bounds)
        for genre in ("BinaryOperator", "UnaryOperator", "MatchArmGuard", "StructField", "MatchArm"):
            mutants = self.alive(self.wraps.get((*bounds, genre), []))
            if mutants and self.is_the_one(node, genre):
                text = self.wrapped(node, genre, mutants, text)
        returns = self.alive(self.returns.get(node.start_byte, []))
        if returns and node.parent is not None and node.parent.type == "block" and self.first(node):
            asks = b""
            for mutant in returns:
                number, value = mutant["number"], mutant["replacement"].encode()
                asks += b"if crate::is_mutant(%d) { /*<%d*/ return %s; /*%d>*/ } " % (number, number, value, number)
            text = asks + text
        return text

    @staticmethod
    def first(node):
        """Whether a node is the outermost one that begins where it does, in its block."""
        return node.parent.start_byte < node.start_byte

    @staticmethod
    def is_the_one(node, genre):
        kinds = {
            "BinaryOperator": ("binary_expression", "compound_assignment_expr"),
            "UnaryOperator": ("unary_expression",),
            "StructField": ("field_initializer", "shorthand_field_initializer"),
            "MatchArm": ("match_arm",),
        }
        if genre in kinds:
            return node.type in kinds[genre]
        return node.parent.type == "match_pattern" and node.parent.child_by_field_name("condition") == node

    def wrapped(self, node, genre, mutants, text):
        numbers = b",".join(b"%d" % mutant["number"] for mutant in mutants)
        open_, close = b"/*[%s*/" % numbers, b"/*%s]*/" % numbers

        def branch(mutant, body):
            number = mutant["number"]
            return b"if crate::is_mutant(%d) { /*<%d*/ %s /*%d>*/ } else " % (number, number, body, number)

        if genre == "BinaryOperator":
            left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
            operator = node.child_by_field_name("operator").text
            left, right = self.emit(left), self.emit(right)
            if operator in (b"&&", b"||"):
                # The left side once: chains of these are long.
                asks = b"".join(branch(m, b"left_side %s (%s)" % (m["replacement"].encode(), right)) for m in mutants)
                return b"%s({ let left_side = %s; %s { left_side %s (%s) } })%s" % (
                    open_, left, asks, operator, right, close,
                )
            if node.type == "binary_expression":
                left = b"(%s)" % left
            asks = b"".join(branch(m, b"%s %s (%s)" % (left, m["replacement"].encode(), right)) for m in mutants)
            return b"%s(%s { %s })%s" % (open_, asks, text, close)
        if genre == "UnaryOperator":
            inner = b"(%s)" % self.emit(node.children[-1])
            return b"%s(%s { %s })%s" % (open_, b"".join(branch(m, inner) for m in mutants), text, close)
        if genre == "MatchArmGuard":
            asks = b"".join(branch(m, m["replacement"].encode()) for m in mutants)
            return b"%s(%s { %s })%s" % (open_, asks, text, close)
        if genre == "StructField":
            base = next(child for child in node.parent.children if child.type == "base_field_initializer")
            name = (node.child_by_field_name("field") or node.children[0]).text
            value = node.child_by_field_name("value")
            value = self.emit(value) if value else name
            base = base.children[-1].text
            asks = b"".join(branch(m, b"(%s).%s" % (base, name)) for m in mutants)
            return b"%s%s: (%s { %s })%s" % (open_, name, asks, value, close)
        # An arm that is not there: one that is never taken.
        pattern = node.child_by_field_name("pattern")
        condition = pattern.child_by_field_name("condition")
        isnt = b" && ".join(b"!crate::is_mutant(%d)" % mutant["number"] for mutant in mutants)
        end = (condition or pattern).end_byte
        value = node.child_by_field_name("value")
        tail = self.text[end : value.start_byte] + self.emit(value) + self.text[value.end_byte : node.end_byte]
        if condition is None:
            head = self.text[node.start_byte : pattern.end_byte] + b" if " + isnt
        else:
            head = self.text[node.start_byte : condition.start_byte]
            guard = self.emit(condition)
            head += b"(%s) && (%s)" % (isnt, guard) if condition.type != "let_chain" else b"(%s) && %s" % (isnt, guard)
        return b"%s%s%s%s" % (open_, head, tail, close)


def cargo(*arguments, **options):
    environment = {**os.environ, "CARGO_INCREMENTAL": "1", "CARGO_TARGET_DIR": str(OUT / "build")}
    return subprocess.run(["cargo", *arguments], cwd=COPY, env=environment, **options)


def messages(output):
    for line in output.splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue


def blamed(text, start, end):
    """The mutants that a compiler's error is about: the innermost branch around it, or else all of the nearest question."""
    inside, around = None, None
    for found in re.finditer(rb"/\*<(\d+)\*/", text):
        close = text.find(b"/*%s>*/" % found[1], found.end())
        if found.start() <= start and end <= close and (inside is None or found.start() > inside[0]):
            inside = (found.start(), [int(found[1])])
    for found in re.finditer(rb"/\*\[([\d,]+)\*/", text):
        close = text.find(b"/*%s]*/" % found[1], found.end())
        if found.start() <= start and end <= close and (around is None or found.start() > around[0]):
            around = (found.start(), [int(number) for number in found[1].split(b",")])
    if inside and (around is None or inside[0] > around[0]):
        return inside[1]
    return around[1] if around else []


def put_in(files, dropped):
    """Writes the mutated files, and takes out what does not compile until all does."""
    unviable = set()
    while True:
        for name, file in files.items():
            (COPY / name).write_bytes(file.mutated(dropped | unviable))
        result = cargo(
            "check", "--profile", "test", "--lib", "--tests", "--message-format", "json", capture_output=True
        )
        if result.returncode == 0:
            return unviable
        news, lost = set(), []
        for message in messages(result.stdout):
            message = message.get("message")
            if not isinstance(message, dict) or message.get("level") != "error":
                continue
            culprits = set()
            for span in message["spans"]:
                if span["file_name"] in files:
                    text = (COPY / span["file_name"]).read_bytes()
                    found = blamed(text, span["byte_start"], span["byte_end"])
                    if span["is_primary"] or not culprits:
                        culprits |= set(found)
            news |= culprits
            if not culprits:
                lost.append(message["rendered"])
        news -= unviable
        if not news:
            sys.exit("what does not compile is no mutant's:\n" + "\n".join(lost)[:6000] + result.stderr.decode()[-3000:])
        unviable |= news
        print(f"  {len(news)} do not compile", flush=True)


def built(*arguments):
    """The test program; `None` where it does not compile."""
    command = ["test", *arguments, "--no-run", "--message-format", "json"]
    result = cargo(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    programs = [message["executable"] for message in messages(result.stdout) if message.get("profile", {}).get("test")]
    return next((program for program in programs if program), None)


def limited():
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX, MEMORY_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run(program, number, tests, limit, seeds, show=False):
    """What the tests say of a mutant: missed, caught or timeout; and how long they took."""
    begun = time.monotonic()
    out = None if show else subprocess.DEVNULL
    child = subprocess.Popen(
        [program, *tests, *(["--nocapture"] if show else [])],
        cwd=COPY,
        env={**os.environ, "HAUL_MUTANT": str(number), "HAUL_SEEDS": str(seeds), "RUST_BACKTRACE": "0"},
        stdout=out,
        stderr=out,
        preexec_fn=limited,
        start_new_session=True,
    )
    try:
        status = child.wait(limit)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, 9)
        child.wait()
        return "timeout", time.monotonic() - begun
    return "missed" if status == 0 else "caught", time.monotonic() - begun


def rounds(group):
    """The tests near the group, then more that take longer: simulated runs, few and then many, or all there are."""
    near = GROUPS[group][1]
    if group == "schedule":
        return [(near + ["--skip", "schedule::sim"], 1), (near, 4), (near, 100)]
    # Whether the samples are in the repository cannot be seen from the copy.
    return [(near, 1), (["--skip", "schedule::sim", "--skip", "samples::"], 1)]


class Kept:
    """Verdicts as they come: a run that was stopped goes on where it was, as long as the tree is the same."""

    def __init__(self, group):
        tree = hashlib.sha256()
        for path in sorted(COPY.glob("src/**/*.rs")):
            tree.update(path.read_bytes())
        self.path = OUT / f"{group}.{tree.hexdigest()[:16]}.jsonl"
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        self.known = {(number, seeds): verdict for number, seeds, verdict in map(json.loads, lines)}
        self.file = self.path.open("a")

    def get(self, number, seeds):
        return self.known.get((number, seeds))

    def put(self, number, seeds, verdict):
        self.file.write(json.dumps([number, seeds, verdict]) + "\n")
        self.file.flush()


def apart(group, mutants):
    """Those that have to be built one by one."""
    results = {}
    for mutant in mutants:
        path = COPY / mutant["file"]
        text = path.read_bytes()
        start, end = offset(text, mutant["span"]["start"]), offset(text, mutant["span"]["end"])
        path.write_bytes(text[:start] + mutant["replacement"].encode() + text[end:])
        program = built("--lib")
        if program is None:
            results[mutant["number"]] = "unviable"
        else:
            for tests, seeds in rounds(group):
                results[mutant["number"]], _ = run(program, 0, tests, 300, min(seeds, 100))
                if results[mutant["number"]] != "missed":
                    break
        path.write_bytes(text)
        print(f"  {results[mutant['number']]}: {mutant['name']}", flush=True)
    return results


def test(group, options):
    copy_tree()
    mutants = listed(group, options.in_diff)
    if options.again:
        before = (OUT / f"{group}.txt").read_text().splitlines()
        missed = {line.removeprefix("missed: ") for line in before if line.startswith("missed: ")}
        mutants = [mutant for mutant in mutants if mutant["name"] in missed]
    if options.only:
        mutants = [mutant for mutant in mutants if options.only in mutant["name"]]
    if not mutants:
        return
    by_file = collections.defaultdict(list)
    for mutant in mutants:
        by_file[mutant["file"]].append(mutant)
    files = {name: File((COPY / name).read_bytes(), of) for name, of in by_file.items()}
    alone = [mutant for file in files.values() for mutant in file.apart]
    lib = COPY / "src/lib.rs"
    lib.write_text(lib.read_text() + ASKS)
    print(f"{group}: {len(mutants)} mutants", flush=True)
    results = {number: "unviable" for number in put_in(files, {mutant["number"] for mutant in alone})}
    program = built("--release", "--lib")
    if program is None:
        sys.exit("the copy with all mutants does not build")
    todo = [mutant for mutant in mutants if mutant["number"] not in results and mutant not in alone]
    # A run that is stopped has seen a part of each file.
    random.Random(1).shuffle(todo)
    kept = Kept(group)
    for tests, seeds in rounds(group):
        verdict, took = run(program, 0, tests, 600, seeds)
        if verdict != "missed":
            sys.exit(f"{group}: without any mutant the tests fail ({verdict})")
        limit = max(AT_LEAST, TIMES * took)
        print(f"  {len(todo)} against tests that take {took:.1f} s", flush=True)

        def of(mutant):
            number = mutant["number"]
            verdict = kept.get(number, seeds)
            if verdict is None:
                verdict, _ = run(program, number, tests, limit, seeds, bool(options.only))
                kept.put(number, seeds, verdict)
            return mutant, verdict

        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            for mutant, verdict in pool.map(of, todo):
                results[mutant["number"]] = verdict
                if verdict == "missed" and (tests, seeds) == rounds(group)[-1]:
                    print(f"  missed: {mutant['name']}", flush=True)
        todo = [mutant for mutant in todo if results[mutant["number"]] == "missed"]
    if alone:
        copy_tree()
        results |= apart(group, alone)
    told = OUT / f"{group}.txt"
    verdicts = {mutant["name"]: results[mutant["number"]] for mutant in mutants}
    if options.again:
        before = (line.split(": ", 1) for line in told.read_text().splitlines())
        verdicts = {name: verdict for verdict, name in before} | verdicts
    if not options.only and not options.in_diff:
        told.write_text("".join(f"{verdict}: {name}\n" for name, verdict in verdicts.items()))
    counts = collections.Counter(results.values())
    print(f"{group}: " + ", ".join(f"{counts[kind]} {kind}" for kind in ("caught", "timeout", "missed", "unviable")), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--in-diff", type=Path)
    parser.add_argument("--only")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("groups", nargs="*")
    options = parser.parse_args()
    COPY.mkdir(parents=True, exist_ok=True)
    (OUT / "empty.toml").write_text("")
    for group in options.groups or GROUPS:
        test(group, options)


if __name__ == "__main__":
    main()
