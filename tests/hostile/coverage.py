#!/usr/bin/env python3
"""Line coverage of our code, from a build with --coverage (make coverage, make fuzz-coverage).

    tests/hostile/coverage.py BUILD              of all that was run in it, file by file
    tests/hostile/coverage.py BUILD --targets [CORPORA]
                                                 of each fuzz target alone, in the files that it is for: the
                                                 line "For: FILE FILE" in the comment that it begins with.
                                                 CORPORA: more inputs, a folder for each target. Exit code 1
                                                 when a target runs less than 85 % of the lines of one

A line counts when any program ran it: the product's or a test's that includes the file.
"""
import glob
import json
import os
import re
import subprocess
import sys
import tempfile

ROOMS = ("common/", "rules/", "sensor/", "collector/")
ENOUGH = 85.0


def collect(gcda):
    """{file: {line: ran}} of the given counters."""
    lines = {}
    for i in range(0, len(gcda), 64):
        p = subprocess.run(["gcov", "--json-format", "--stdout"] + gcda[i : i + 64], capture_output=True, text=True)
        for document in filter(None, p.stdout.splitlines()):
            for f in json.loads(document)["files"]:
                name = os.path.normpath(f["file"])
                if name.startswith(ROOMS) and name.endswith(".c"):
                    seen = lines.setdefault(name, {})
                    for l in f["lines"]:
                        seen[l["line_number"]] = seen.get(l["line_number"], False) or l["count"] > 0
    return lines


def share(lines):
    return sum(lines.values()), len(lines)


def percent(ran, total):
    return 100.0 * ran / total if total else 100.0


def everything(build):
    lines = collect(glob.glob(build + "/**/*.gcda", recursive=True))
    total = [0, 0]
    for name in sorted(lines):
        ran, n = share(lines[name])
        total = [total[0] + ran, total[1] + n]
        print("%6.1f %%  %5d of %5d  %s" % (percent(ran, n), ran, n, name))
    print("%6.1f %%  %5d of %5d  all" % (percent(*total), *total))


def files_of(source):
    with open(source) as f:
        named = re.findall(r"^(?: \*|/\*) For: ([^*]*)", f.read().split("*/")[0], re.M)
    files = " ".join(named).split()
    bad = [f for f in files if not os.path.exists(f)]
    if bad or not files:
        sys.exit('%s: %s; its first comment says "For: " and the files that it is for' % (source, ", ".join(bad) + " is no file" if bad else "is for no file"))
    return files


def target(build, path, inputs, files):
    """{file: {line: ran}} of one target's own replay."""
    with tempfile.TemporaryDirectory() as top:
        p = subprocess.run([path] + inputs, env=dict(os.environ, GCOV_PREFIX=top), capture_output=True, text=True)
        if p.returncode:
            sys.exit("%s failed (%d):\n%s" % (path, p.returncode, p.stderr[-2000:]))
        gcda = []
        for f in files:
            base = os.path.join(build, f[:-2])
            if os.path.exists(top + base + ".gcda"):
                os.symlink(base + ".gcno", top + base + ".gcno")  # gcov looks for the notes beside the counters
                gcda.append(top + base + ".gcda")
        return collect(gcda)


def targets(build, corpora):
    low = 0
    for source in sorted(glob.glob("tests/fuzz/fuzz_*.c")):
        name = os.path.basename(source)[5:-2]
        files = files_of(source)
        inputs = ["tests/fuzz/corpus/" + name] + ([os.path.join(corpora, name)] if corpora else [])
        lines = target(build, "%s/tests/fuzz/fuzz_%s" % (build, name), inputs, files)
        shares = {f: share(lines.get(f, {0: False})) for f in files}
        ran, n = (sum(s[i] for s in shares.values()) for i in (0, 1))
        low += any(percent(*shares[f]) < ENOUGH for f in files)
        each = ["%s %.0f" % (f, percent(*shares[f])) if len(files) > 1 else f for f in files]
        print("%6.1f %%  %5d of %5d  %-14s %s" % (percent(ran, n), ran, n, name, ", ".join(each)), flush=True)
    return low


if __name__ == "__main__":
    if sys.argv[2:3] == ["--targets"]:
        low = targets(os.path.abspath(sys.argv[1]), sys.argv[3] if len(sys.argv) > 3 else None)
        if low:
            sys.exit("fuzz-coverage: %d targets run less than %.0f %% of a file that they are for" % (low, ENOUGH))
    else:
        everything(sys.argv[1])
