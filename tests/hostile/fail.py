#!/usr/bin/env python3
"""Calls that fail: memory, open, read, write, fsync, rename, one after the other, in the
command line, the compiled set, the spool and the configuration (tests/hostile/fail.c).

    tests/hostile/fail.py BUILD [CALLS]

Each command first runs with every call counted, then once for each of at most CALLS
calls of a kind (default 2000; make test takes few) with that call failing, and for
reads and writes also with fewer bytes than asked. What must hold: no signal, an exit
code of the page, a sentence when it is not 0, the right output when it is 0, and the
old file as it was, or the new one whole.
"""
import concurrent.futures
import errno
import os
import re
import shutil
import subprocess
import sys
import tempfile

CODES = (0, 1, 2, 3, 4, 5)
WAYS = [("malloc", "once", errno.ENOMEM), ("malloc", "from", errno.ENOMEM), ("open", "once", errno.EMFILE),
        ("read", "once", errno.EIO), ("read", "short", 0), ("write", "once", errno.ENOSPC), ("write", "from", errno.ENOSPC),
        ("write", "short", 0), ("fsync", "once", errno.EIO), ("rename", "once", errno.EACCES), ("ftruncate", "once", errno.EIO)]


class Case:
    """A command in a folder of its own. out: the file that it replaces; after: a command that
    must succeed on what it left behind (%d: the last number of a line "committed N"). varies: two files differ, after tells whether it is good.
    good: the exit code when nothing fails."""

    def __init__(self, name, command, out=None, after=None, varies=False, good=0):
        self.name, self.command, self.out, self.after, self.varies, self.good = name, command, out, after, varies, good


def cases(build, here):
    rules = os.path.join(here, "rules.yaml")
    shutil.copy("deploy/demo/rules.yaml", rules)
    shutil.copy("deploy/demo/recorded.pcap", here)
    bundle = os.path.join(here, "bundle.json")
    with open(bundle, "w") as f:
        f.write('{"type":"bundle","id":"bundle--00000000-0000-4000-8000-000000000001","objects":[{"type":"indicator","spec_version":"2.1",'
                '"id":"indicator--00000000-0000-4000-8000-000000000002","created":"2026-01-01T00:00:00Z","modified":"2026-01-01T00:00:00Z",'
                '"pattern":"[domain-name:value = \'bad.example\']","pattern_type":"stix","valid_from":"2026-01-01T00:00:00Z"}]}')
    picket, sensor = build + "/picket", build + "/picket-sensor"
    spool = [build + "/tests/hostile/spool_calls", "%s/spool"]
    conf = "sensor: {id: s-1, site: x}\ncapture: {interface: [lo]}\nrules: {files: [%s]}\n" % rules
    with open(os.path.join(here, "sensor.yaml"), "w") as f:
        f.write(conf)
    return [
        Case("rules compile", [picket, "rules", "compile", rules, "-o", "%s/out"], out="out", varies=True,
             after=[picket, "rules", "compile", "-q", "--verify", "%s/out"]),
        Case("rules lint", [picket, "rules", "lint", rules], good=1),
        Case("rules import", [picket, "rules", "import", "--from", "stix", bundle, "-o", "%s/out"], out="out",
             after=[picket, "rules", "compile", "-q", "%s/out", "-o", "%s/again"]),
        Case("rules export", [picket, "rules", "export", "--to", "csv", rules, "-o", "%s/out"], out="out", good=5),
        Case("scan", [picket, "scan", "--json", "--dpi", "off", "--rules", rules, os.path.join(here, "recorded.pcap")]),
        Case("sensor -T", [sensor, "-T", "-c", os.path.join(here, "sensor.yaml")]),
        Case("spool", spool + ["write"], varies=True, after=spool + ["check", "%d"]),
    ]


def execute(command, folder, extra, timeout=60):
    command = [w.replace("%s", folder) for w in command]
    p = subprocess.run(command, capture_output=True, timeout=timeout, env=dict(os.environ, **extra), stdin=subprocess.DEVNULL)
    return p.returncode, p.stdout.replace(folder.encode(), b"@"), p.stderr


def attempt(case, shim, top, call, how, number, at):
    """Runs it once in a new folder; gives (calls, code, output, text, out file, folder)."""
    folder = tempfile.mkdtemp(dir=top)
    if case.out:
        with open(os.path.join(folder, case.out), "wb") as f:
            f.write(b"old\n")
    count = os.path.join(folder, "calls")
    code, output, text = execute(case.command, folder, {
        "LD_PRELOAD": shim, "FAIL_CALL": call, "FAIL_HOW": how, "FAIL_ERRNO": str(number), "FAIL_AT": str(at), "FAIL_COUNT": count})
    calls = int(open(count).read()) if os.path.exists(count) else 0
    out = open(os.path.join(folder, case.out), "rb").read() if case.out else None
    return calls, code, output, text, out, folder


def told(output):
    """Without columns: they are looked up in the file anew, and left out when it cannot be read."""
    return re.sub(rb":\d+:\d+:", b":", re.sub(rb"(\.yaml:\d+):(?!\d)", rb"\1:0:", output))


def judge(case, good, got):
    _, code, output, text, out, folder = got
    wrong = []
    if code not in CODES:
        return ["exit code %d: %s" % (code, text[-400:])]
    if code and not text.strip() and not output.strip():
        wrong.append("exit code %d without a word" % code)
    fine = code == good[1]
    if fine and told(output) != told(good[2]) and b"error: " not in output and case.name != "spool":
        wrong.append("exit code %d, and the output differs: %s" % (code, output[-200:]))
    new = out not in (None, b"old\n")
    if new and out != good[4] and not case.varies and code != 5:
        wrong.append("exit code %d, and %s is neither the old nor the new one (%d bytes)" % (code, case.out, len(out)))
    if case.out and fine and not new:
        wrong.append("exit code %d, and %s is the old one" % (code, case.out))
    rest = set(os.listdir(folder)) - {"calls", case.out, "spool"}
    if b"out of memory" in text:  # ends at once; the next run writes over it
        rest.discard("%s.new" % case.out)
    if rest:
        wrong.append("left behind: %s" % ", ".join(sorted(rest)))
    if case.after and (not case.out or new):
        numbers = [int(l.split()[1]) for l in output.splitlines() if l.startswith(b"committed ")]
        after = [w.replace("%d", str(max(numbers, default=0))) for w in case.after]
        code, _, text = execute(after, folder, {})
        if code != 0:
            wrong.append("what it left behind is refused: exit code %d, %s" % (code, text[-400:]))
    return wrong


def spread(calls, most):
    return range(1, calls + 1) if calls <= most else sorted({1 + i * calls // most for i in range(most)})


def way(case, shim, top, good, call, how, number, most):
    """All runs of one command and one way to fail."""
    calls = attempt(case, shim, top, call, how, number, 0)[0]
    failed = 0
    numbers = spread(calls, most)
    for at in numbers:
        got = attempt(case, shim, top, call, how, number, at)
        for w in judge(case, good, got):
            failed += 1
            if failed < 4:
                print("fail: %s: %s %d of %d (%s): %s" % (case.name, call, at, calls, how, w), flush=True)
        shutil.rmtree(got[5])
    return len(numbers), calls, failed


def main():
    build, most = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    shim = build + "/tests/hostile/fail.so"
    runs = failed = 0
    with tempfile.TemporaryDirectory() as top, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for case in cases(build, top):
            good = attempt(case, shim, top, "none", "once", 0, 0)
            if good[1] != case.good:
                print("fail: %s: exit code %d without any failure: %s" % (case.name, good[1], good[3][-400:]))
                return 1
            jobs = [pool.submit(way, case, shim, top, good, call, how, number, most) for call, how, number in WAYS]
            sums = [j.result() for j in jobs]
            runs += sum(s[0] for s in sums)
            failed += sum(s[2] for s in sums)
            print("fail: %-14s %s" % (case.name, " ".join(
                "%s/%s %d of %d" % (w[0], w[1], s[0], s[1]) for w, s in zip(WAYS, sums) if s[1])), flush=True)
    print("fail: %d runs with a call that failed, %d wrong" % (runs, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
