#!/usr/bin/env python3
"""Files that are small to write and dear to read, one for each reader.

  bombs.py BUILD FOLDER
      makes them in FOLDER, has each read by the program that would, and says what
      broke a limit: LIMIT_S seconds of processor time, LIMIT_MB of memory, an exit
      code of those named here, one line at least that says what is wrong when the
      code is not 0, and no control character in what it says.
"""
import gzip
import json
import os
import subprocess
import sys
import tempfile
import zlib

LIMIT_S = 2.0
LIMIT_MB = 300
build, folder = sys.argv[1], sys.argv[2]
sanitized = "address" in build
GOOD = "domain: [bad.example]\n"


def path(name):
    return os.path.join(folder, name)


def put(name, data):
    with open(path(name), "wb") as f:
        f.write(data if isinstance(data, bytes) else data.encode())
    return path(name)


def pcap(packets):
    import struct
    out = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)
    for p in packets:
        out += struct.pack("<IIII", 1700000000, 0, len(p), len(p)) + p
    return out


def zeros_gz(mib):
    """A gzip'd file of zeros, 1,000 : 1."""
    c = zlib.compressobj(6, zlib.DEFLATED, 31)
    block = b"\0" * (1 << 20)
    return b"".join(c.compress(block) for _ in range(mib)) + c.flush()


def http_gzip(body):
    """One HTTP answer over TCP whose body is a bomb."""
    import struct
    def ip(src, dst, sport, dport, seq, ack, flags, data):
        tcp = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, 0x50, flags, 65535, 0, 0) + data
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 1, 0, 64, 6, 0, src, dst)
        return b"\2\0\0\0\0\2\2\0\0\0\0\1\x08\0" + head + tcp
    a, b = b"\x0a\0\0\1", b"\xc0\0\2\1"
    request = b"GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    out = [ip(a, b, 40000, 80, 1, 0, 2, b""), ip(b, a, 80, 40000, 1, 2, 18, b""), ip(a, b, 40000, 80, 2, 2, 24, request)]
    for at in range(0, len(answer), 1400):
        out.append(ip(b, a, 80, 40000, 2 + at, 2 + len(request), 24, answer[at:at + 1400]))
    return pcap(out)


def stix(indicators):
    return json.dumps({"type": "bundle", "id": "bundle--00000000-0000-4000-8000-000000000000", "objects": indicators})


def indicator(pattern, **more):
    return dict({"type": "indicator", "spec_version": "2.1", "id": "indicator--00000000-0000-4000-8000-000000000001",
                 "created": "2026-01-01T00:00:00Z", "modified": "2026-01-01T00:00:00Z", "pattern_type": "stix",
                 "valid_from": "2026-01-01T00:00:00Z", "pattern": pattern}, **more)


def make():
    """Every bomb as a file; (label, command, exit codes) of each."""
    case = "tests/golden/pcapng-two-sections/case.pcapng"
    good = put("good.yaml", GOOD)
    rules = lambda f: [build + "/picket", "rules", "lint", f]
    loaded = lambda f: [build + "/picket", "scan", "-q", "--rules", f, case]
    imported = lambda f, kind="stix": [build + "/picket", "rules", "import", "--from", kind, f, "-o", path("imported.yaml")]
    scanned = lambda f: [build + "/picket", "scan", "-q", "--rules", good, f]
    sensor = lambda f: [build + "/picket-sensor", "-T", "-c", f]
    collector = lambda f: [build + "/picket-collector", "-T", "-c", f]
    gateway = lambda f: [build + "/picket-gateway", "-T", "-c", f]

    n = 40000
    laughs = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        "a%d: &a%d [%s]\n" % (i, i, ",".join(["*a%d" % (i - 1)] * 10)) for i in range(1, 10)) + "domain: *a9\n"
    deep_yaml = {"flow lists": "domain: " + "[" * n + "]" * n, "flow maps": "domain: " + "{a: " * n + "}" * n,
                 "block lists": "domain:\n" + "- " * n + "x\n", "open lists": "domain: " + "[" * (2 * n),
                 "anchors": laughs, "one long scalar": 'domain: ["' + "a" * (8 << 20) + '"]\n',
                 "one long plain scalar": "domain: [" + "a" * (8 << 20) + "]\n", "many documents": "--- {}\n" * 200000,
                 "many keys": "".join("k%d: 1\n" % i for i in range(200000)), "tags": "domain: [" + "!!str a.example, " * 100000 + "]\n",
                 "bad escapes": 'domain: ["' + "\\q" * 100000 + '"]\n', "bad everywhere": "domain: [" + '"a..b", ' * 200000 + "]\n",
                 "comments": "#" + "x" * (8 << 20) + "\n" + GOOD, "control characters": "domain: [\"\\e[31mred\\u202e.example\"]\n",
                 "not UTF-8": b"domain: [\"\xff\xfe\x80.example\"]\n", "NUL": b"domain: [a.example]\n\0\0\0\n",
                 "indented ever more": "".join(" " * i + "a%d:\n" % i for i in range(2500)), "tabs": "domain:\n\t- a\n" * 10000,
                 "a billion digits": "set: {id: x, version: " + "9" * 1000000 + "}\n" + GOOD}
    deep_json = {"lists": "[" * 1000000 + "]" * 1000000, "maps": '{"a":' * 500000 + "1" + "}" * 500000,
                 "wide": '{"type":"bundle","objects":[' + "1," * 2000000 + "1]}", "keys": "{" + ",".join('"k%d":1' % i for i in range(300000)) + "}",
                 "same key": "{" + '"k":1,' * 300000 + '"k":1}', "number": "[" + "9" * 5000000 + "]", "exponent": "[1e999999999]",
                 "string": '["' + "a" * (16 << 20) + '"]', "escapes": '["' + "\\u0000" * 1000000 + '"]',
                 "half a surrogate": '["' + "\\ud800" * 1000000 + '"]', "cut": '{"type":"bundle","objects":[{"type":"indi'}
    patterns = {"parentheses": "(" * 200000 + "[domain-name:value = 'a.example']" + ")" * 200000,
                "ors": "[" + " OR ".join("domain-name:value = 'a%d.example'" % i for i in range(100000)) + "]",
                "brackets": "[" * 500000, "long string": "[domain-name:value = '" + "a" * (4 << 20) + "']",
                "quotes": "[domain-name:value = '" + "\\'" * 1000000, "path": "[a:" + "b." * 500000 + "c = 1]",
                "qualifiers": "[domain-name:value = 'a.example'] " + "REPEATS 5 TIMES " * 100000,
                "sets": "[domain-name:value IN (" + ",".join("'a%d.example'" % i for i in range(100000)) + ")]"}
    csv = {"one line": b"domain," + b"a" * (32 << 20), "no end of a quote": b'type,value\ndomain,"' + b"a" * (16 << 20),
           "cells": b"type,value" + b",x" * 1000000 + b"\n", "empty lines": b"\n" * (8 << 20), "commas": b"," * (8 << 20),
           "NULs": b"\0" * (8 << 20), "bad lines": b"domain,a..b\n" * 300000, "escapes": b"domain,\x1b[2J\x1b]0;owned\x07.example\n",
           "carriage returns": b"domain,a.example\r" * 300000}
    cases = []
    for name, data in deep_yaml.items():
        f = put("y%d.yaml" % len(cases), data)
        cases.append(("rules, YAML, " + name, loaded(f), (0, 3, 5)))
        if name in ("flow lists", "block lists", "anchors", "one long scalar", "many keys", "open lists", "control characters"):
            for who, run in (("sensor", sensor), ("collector", collector), ("gateway", gateway)):
                cases.append(("configuration of the %s, %s" % (who, name), run(f), (3,)))
    for name, data in deep_json.items():
        f = put("j%d.json" % len(cases), data)
        cases.append(("STIX bundle, " + name, imported(f), (0, 3, 4, 5)))
        cases.append(("MISP event, " + name, imported(f, "misp"), (0, 3, 4, 5)))
        cases.append(("warninglist, " + name, rules(good)[:3] + ["--warninglist", f, good], (0, 1, 4)))
    for name, data in patterns.items():
        f = put("s%d.json" % len(cases), stix([indicator(data)]))
        cases.append(("STIX pattern, " + name, imported(f), (0, 3, 5)))
    for name, data in csv.items():
        f = put("c%d.csv" % len(cases), data)
        cases.append(("CSV, " + name, loaded(f), (0, 3, 5)))
    cases.append(("capture, gzip of 256 MiB of zeros", scanned(put("zeros.pcap.gz", zeros_gz(256))), (4, 5)))
    cases.append(("capture, gzip of a header and zeros",
                  scanned(put("pad.pcap.gz", gzip.compress(pcap([])) + zeros_gz(128))), (0, 4, 5)))
    cases.append(("HTTP body, gzip of 64 MiB", scanned(put("http.pcap", http_gzip(zeros_gz(64)))), (0,)))
    cases.append(("HTTP body, gzip in gzip", scanned(put("http2.pcap", http_gzip(gzip.compress(zeros_gz(64))))), (0,)))
    compiled = path("good.pset")
    subprocess.run([build + "/picket", "rules", "compile", "-o", compiled, good], capture_output=True)
    if os.path.exists(compiled):
        data = bytearray(open(compiled, "rb").read())
        for name, change in (("counts", lambda d: d.__setitem__(slice(16, 64), b"\xff" * 48)), ("zeros", lambda d: d.__setitem__(slice(64, 512), b"\0" * 448)),
                             ("half", lambda d: d.__delitem__(slice(len(d) // 2, len(d)))), ("last bit", lambda d: d.__setitem__(-1, d[-1] ^ 1))):
            d = bytearray(data)
            change(d)
            cases.append(("compiled set, " + name, loaded(put("p%d.pset" % len(cases), bytes(d))), (3, 4)))
    return cases


def make_apart():
    """In a process of its own: ours must stay small, because a child's peak begins with its parent's."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with os.fdopen(writer, "w") as f:
            json.dump(make(), f)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as f:
        cases = json.load(f)
    os.waitpid(child, 0)
    return cases


cases = make_apart()
bad, worst_s, worst_mb = 0, (0, ""), (0, "")
for label, command, codes in cases:
    with tempfile.TemporaryFile() as out:
        p = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        _, status, use = os.wait4(p.pid, 0)
        p.returncode = 0
        out.seek(0)
        said = out.read(1 << 20)
    code = os.waitstatus_to_exitcode(status)
    cpu, mb = use.ru_utime + use.ru_stime, use.ru_maxrss / 1024
    worst_s, worst_mb = max(worst_s, (cpu, label)), max(worst_mb, (mb, label))
    faults = []
    if code not in codes:
        faults.append("exit code %d, expected one of %s" % (code, codes))
    if code not in (0, 1) and not said.strip():
        faults.append("says nothing")
    if any(c < 32 and c not in (9, 10) for c in said) or 127 in said:
        faults.append("control characters in what it says")
    if not sanitized and cpu > LIMIT_S:
        faults.append("%.1f s" % cpu)
    if not sanitized and mb > LIMIT_MB:
        faults.append("%.0f MB" % mb)
    if faults or os.environ.get("V"):
        print("bombs: %s: %s; %.2f s, %.0f MB; it said: %s" % (label, "; ".join(faults) or "fine", cpu, mb, said[:160].decode("utf-8", "replace")))
    bad += bool(faults)
print("test_bombs: %d bombs, at most %.2f s (%s) and %.0f MB (%s)" % ((len(cases),) + worst_s + worst_mb))
sys.exit(bad != 0)
