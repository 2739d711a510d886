#!/usr/bin/env python3
"""Floods (tests/hostile/flood.c) through picket scan: memory stays bounded, every
needle of three kinds is found, the ledger balances, hashes cannot be made to collide.

    tests/hostile/flood.py BUILD [FLOWS [KIND...]]

FLOWS is for the plain SYN flood (default 10 million); the others have a tenth.
"""
import os
import re
import subprocess
import sys
import tempfile

KINDS = ["syn", "udp", "est", "gap", "http", "sni", "dns", "frag", "frag6", "ext", "alert", "alertsame", "hsum", "hxor", "hlow", "fragsum", "fraglow",
         "dnssum", "dnslow"]
# What they are compared with. Both run with all heuristics, whose tables then see them, too.
COLLIDES = {"hsum": "syn", "hxor": "syn", "hlow": "syn", "fragsum": "frag", "fraglow": "frag", "dnssum": "dns", "dnslow": "dns"}
RSS_MAX_MB = 512
COLLIDE_MAX = 1.5  # times the CPU of the plain flood of the same size, and
NOISE_S = 0.2  # what a busy machine adds to a short run
FINDING = re.compile(rb'"indicator":\{"id":"[^"]*","type":"([^"]*)","value":"([^"]*)"')


def flood(build, rules, kind, flows, needles, heuristics=False):
    errors = tempfile.TemporaryFile()
    maker = subprocess.Popen([build + "/tests/hostile/flood", kind, str(flows), str(needles)], stdout=subprocess.PIPE)
    scan = subprocess.Popen([build + "/picket", "scan", "--json", "--dpi", "off", *(["--heuristics", "all"] if heuristics else []), "--rules", rules, "-"], stdin=maker.stdout,
                            stdout=subprocess.PIPE, stderr=errors)
    maker.stdout.close()
    found = {b"ip": set(), b"n": set(), b"w": set()}
    for line in scan.stdout:
        finding = FINDING.search(line)
        if not finding:
            continue  # of a heuristic
        kind_of, value = finding.groups()
        which = value[:1] if kind_of == b"hostname" else kind_of
        if which in found:
            found[which].add(value)
    _, status, used = os.wait4(scan.pid, 0)
    scan.returncode = os.waitstatus_to_exitcode(status)
    made = maker.wait()
    errors.seek(0)
    text = errors.read().decode()
    ledger = {w[0]: int(w[1]) for w in (l.split() for l in text.splitlines()) if len(w) > 1 and "." in w[0] and w[1].isdigit()}
    return {"code": scan.returncode or made, "text": text, "ledger": ledger, "rss": used.ru_maxrss / 1024,
            "cpu": used.ru_utime + used.ru_stime, "found": [len(found[k]) for k in (b"ip", b"n", b"w")]}


def judge(kind, flows, needles, r, plain):
    wrong = []
    if r["code"] or "does not balance" in r["text"]:
        wrong.append("exit code %d: %s" % (r["code"], r["text"][-300:]))
    if r["found"] != [needles] * 3:
        wrong.append("%d addresses, %d DNS names and %d HTTP hosts found, %d of each are there" % (*r["found"], needles))
    if r["rss"] > RSS_MAX_MB:
        wrong.append("%.0f MB resident, at most %d are expected" % (r["rss"], RSS_MAX_MB))
    if kind.startswith("alert"):
        hits = r["ledger"].get("alerts.raised", 0) + r["ledger"].get("alerts.repeats", 0)
        if hits != flows + 3 * needles:
            wrong.append("%d hits counted, expected %d" % (hits, flows + 3 * needles))
    if plain and r["cpu"] > COLLIDE_MAX * plain + NOISE_S:
        wrong.append("%.2f s of CPU, a plain flood of the same size (%s) takes %.2f" % (r["cpu"], COLLIDES[kind], plain))
    return wrong


def main():
    build, total = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 10_000_000
    kinds = sys.argv[3:] or KINDS
    needles = min(1000, total // 100)
    failed = 0
    with tempfile.NamedTemporaryFile(suffix=".csv") as rules:
        subprocess.run([build + "/tests/hostile/flood", "rules", str(needles)], stdout=rules, check=True)
        few = max(total // 10, 10 * needles)
        plain = {}
        for kind in sorted({COLLIDES[k] for k in kinds if k in COLLIDES}):
            plain[kind] = flood(build, rules.name, kind, few, needles, True)["cpu"]
        print("flood: %-9s %9s %7s %7s %14s  %s" % ("kind", "flows", "cpu s", "MB", "ip dns http", "counters of what was let go"))
        for kind in kinds:
            flows = total if kind == "syn" else few
            r = flood(build, rules.name, kind, flows, needles, kind in COLLIDES)
            let_go = " ".join("%s %d" % (k, v) for k, v in r["ledger"].items()
                              if re.search(r"limit|memory|evicted|timeout|end\.shed|repeats|too_deep", k))
            ratio = " %.2f times %s" % (r["cpu"] / plain[COLLIDES[kind]], COLLIDES[kind]) if kind in COLLIDES else ""
            print("flood: %-9s %9d %7.2f %7.0f %4d %4d %4d  %s%s" % (kind, flows, r["cpu"], r["rss"], *r["found"], let_go, ratio), flush=True)
            wrong = judge(kind, flows, needles, r, plain.get(COLLIDES.get(kind), 0))
            failed += bool(wrong)
            for w in wrong:
                print("flood: %s: %s" % (kind, w))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
