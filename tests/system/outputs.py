#!/usr/bin/env python3
"""Hostile text through the commands' doors: packets, rule files, names of files and Redis
hold it, and nothing that comes out may act on a terminal, break a line or a format, or
read back as something else. Parsers that are not ours judge: Python's json, csv and XML.

    tests/system/outputs.py BUILD FOLDER REDIS_SOCKET
"""
import csv
import itertools
import json
import os
import pty
import re
import socket
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "golden"))
from make_captures import Tcp, dns, ether, ip4, pcap, udp  # noqa: E402

TEXTS = [
    b"\x1b[2J\x1b[1;31mred", b"\x1b]0;title\x07", b"\xc2\x9b2J", b"\x9b31m", b"line\nforged: line", b"over\rwritten",
    b"tab\tbell\a\b\x7f", "\u202egpj.exe\u2066".encode(), "\u061c\u200e\u200f".encode(), "\u2028\u2029".encode(),
    b"\xff\xfe\xc0\x80", b"\xe0\x80\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbf\xbe", b"cut \xe6\x97",
    "日本語 🦊".encode(), b"%s%n%x%5$s", b"\"quotes\" 'and' `ticks`", b"back\\slash \\u0041 \\x41 \\", b"]]>--><x>&amp;&#27;</x>",
    b"=1+1", b"+1", b"-1", b"@SUM(A1)", b"'=1", b"#comment", b"a #TODO b", b"-", b"~", b"null", b"{a: [b]}, ]}", b"a,b;c|d\"",
    b"*1\r\n$3\r\nDEL\r\n", b"../../x", b"$(id)`id`", b"long " * 300,
]
# What our own commands colour a terminal with, and how they clear a line of progress.
OWN = re.compile(r"\x1b\[(?:0|2|31|33|1;31)m|\r(?=[^\r\n]*\x1b\[K)|\x1b\[K")
CONTROL = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufffe\uffff]")
bad = 0
runs = 0


def wrong(*words):
    global bad
    bad += 1
    print("outputs.py:", *words, file=sys.stderr)


def clean(label, data, terminal=False):
    """The text; says what is wrong with it."""
    try:
        text = data.decode("utf-8", "strict")
    except UnicodeDecodeError as e:
        wrong(label, "not UTF-8:", e, data[max(0, e.start - 60):e.end + 20])
        text = data.decode("utf-8", "replace")
    if terminal:
        text = OWN.sub("", text.replace("\r\n", "\n"))
    found = CONTROL.search(text)
    if found:
        wrong(label, "a control character leaves:", repr(text[max(0, found.start() - 80):found.end() + 20]))
    return text


def json_lines(label, text):
    out = []
    for line in text.splitlines():
        try:
            out.append(json.loads(line, strict=True))
        except ValueError as e:
            wrong(label, "no JSON:", e, repr(line[:200]))
    return out


def run(args, number=0, **more):
    """Standard output and error, each looked at; once into a pipe, once on a terminal (of
    commands that are run for each text, for every fifth)."""
    global runs
    runs += 1
    label = " ".join(os.fsdecode(a) for a in args[1:5]).encode("unicode_escape").decode()[:90]
    p = subprocess.run(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, **more)
    if p.returncode < 0 or p.returncode > 5:
        wrong(label, "exit code", p.returncode)
    text = clean(label, p.stdout)
    clean(label + " (errors)", p.stderr)
    if number % 5:
        return text, p
    leader, follower = pty.openpty()
    child = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=follower, stderr=follower, **more)
    os.close(follower)
    shown = b""
    while True:
        try:
            piece = os.read(leader, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    os.close(leader)
    child.wait(60)
    clean(label + " (terminal)", shown, terminal=True)
    return text, p


# ---- packets ----

def label_of(text):
    return bytes([min(len(text), 63)]) + text[:63]


def packets():
    frames = []
    for number, text in enumerate(TEXTS):
        line = text.replace(b"\r", b"\\r").replace(b"\n", b"\\n")[:900]
        name = label_of(text) + b"\x03bad\x07example\0"
        query = dns(number, "x")[:12] + name + b"\0\1\0\1"
        frames.append(ether(ip4("192.0.2.10", "198.51.100.53", 17, udp("192.0.2.10", 5000 + number, "198.51.100.53", 53, query))))
        for port, talk in ((80, [(0, b"GET /" + line.replace(b" ", b"%20") + b" HTTP/1.1\r\nHost: h.bad.example\r\nUser-Agent: " + line +
                                 b"\r\nReferer: " + line + b"\r\nCookie: " + line + b"\r\n\r\n"),
                                 (1, b"HTTP/1.1 200 OK\r\nContent-Disposition: attachment; filename=\"" + line.replace(b'"', b"'") +
                                  b"\"\r\nServer: " + line + b"\r\nContent-Length: 3\r\n\r\nabc")]),
                           (25, [(1, b"220 x\r\n"), (0, b"EHLO " + line + b"\r\n"), (1, b"250 x\r\n"), (0, b"MAIL FROM:<a@bad.example>\r\n"),
                                 (1, b"250 ok\r\n"), (0, b"RCPT TO:<" + line + b"@x.example>\r\n"), (1, b"250 ok\r\n"), (0, b"DATA\r\n"),
                                 (1, b"354 go\r\n"), (0, b"Subject: " + line + b"\r\nFrom: " + line + b" <a@bad.example>\r\n\r\nx\r\n.\r\n"),
                                 (1, b"250 ok\r\n")]),
                           (22, [(1, b"SSH-2.0-" + line + b"\r\n"), (0, b"SSH-2.0-" + line + b"\r\n")]),
                           (21, [(1, b"220 " + line + b"\r\n"), (0, b"USER " + line + b"\r\n"), (1, b"331 x\r\n")])):
            t = Tcp(cport=20000 + number, sport=port)
            frames += t.open() + [t.send(side, data) for side, data in talk] + t.close()
    return frames


def quoted(text):
    """In YAML's double quotes, which know no surrogates."""
    return '"%s"' % "".join(c if c.isascii() and c.isalnum() else "\\U%08x" % ord(c) for c in text.decode("utf-8", "replace"))


def rules_yaml(name):
    out = ['set: {id: hostile, version: 1, tlp: amber, title: %s, producer: p, releasable_to: "a], tlp: clear, title: [b"}' % quoted(TEXTS[0]),
           "domain: [bad.example]", "ip: [203.0.113.9]", "email: [a@bad.example]", "file_md5: [900150983cd24fb0d6963f7d28e17f72]", "indicators:"]
    for number, text in enumerate(TEXTS):
        out.append("  - {ssh_banner: %s}" % quoted(b"SSH-2.0-" + text))
        for kind in ("user_agent", "filename", "email_subject", "username"):
            out.append("  - {%s: %s, note: %s, labels: %s, ref: %s}" % (kind, quoted(text), quoted(text), quoted(text[:100]), quoted(text)))
        out.append("  - {domain: d%d.example, severity: %s}" % (number, quoted(text)))
    out.append("allow:")
    out += ["  - {user_agent: %s, reason: %s}" % (quoted(b"fine " + t), quoted(t)) for t in TEXTS]
    with open(name, "w") as f:
        f.write("\n".join(out) + "\n")


def same(a, b):
    return a == b.decode("utf-8", "replace")


def test_scan(picket, folder, rules, capture):
    text, p = run([picket, "scan", "--json", "--dpi", "off", "--heuristics", "all", "--rules", rules, capture])
    alerts = json_lines("scan --json", text)
    seen = {a["observable"]["where"] for a in alerts}
    for where in ("dns.query", "http.user_agent", "smtp.subject", "ssh.banner"):
        if not any(w.startswith(where.split(".")[0]) for w in seen):
            wrong("scan finds nothing of", where, "only", sorted(seen))
    agents = {a["observable"]["value"] for a in alerts if a["indicator"]["type"] == "user_agent"}
    for t in (TEXTS[0], TEXTS[2], TEXTS[7], TEXTS[16], TEXTS[17], TEXTS[18], TEXTS[19]):
        if t.decode() not in agents:
            wrong("the user agent", t, "is not in the alerts as it was on the wire")
    run([picket, "scan", "--dpi", "off", "--rules", rules, capture])
    # The sensor's own file of alerts, and its log.
    out = os.path.join(folder, "eve.json")
    p = subprocess.run([os.path.join(os.path.dirname(picket), "picket-sensor"), "-R", rules, "-r", capture, "-o", out],
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    clean("sensor (log)", p.stderr)
    with open(out, "rb") as f:
        if len(json_lines("sensor", clean("sensor", f.read()))) < 50:
            wrong("the sensor wrote few alerts")
    return alerts


# ---- rule files ----

def test_rules(picket, folder, rules, capture):
    for name in (rules, os.path.join(folder, "rules.csv")):
        run([picket, "rules", "lint", name])
        json_lines("lint --json", run([picket, "rules", "lint", "--json", name])[0])
        for kind in ("expiry", "overlap", "cost"):
            run([picket, "rules", "report", kind, name, os.path.join(folder, "old.yaml")])
        run([picket, "rules", "fmt", "--check", name])
        run([picket, "rules", "compile", name, "-o", os.path.join(folder, "out.rules")])
    for verb in ("diff", "changelog"):
        run([picket, "rules", verb, os.path.join(folder, "old.yaml"), rules])
    json_lines("diff --json", run([picket, "rules", "diff", "--json", os.path.join(folder, "old.yaml"), rules])[0])
    for number, text in enumerate(TEXTS):
        run([picket, "rules", "why", text, "--rules", rules], number)


def test_exports(picket, folder, rules):
    text, _ = run([picket, "rules", "export", "--to", "csv", rules])
    rows = list(csv.reader(text.splitlines(keepends=True), strict=True))
    width = len(rows[0])
    for row in rows:
        if len(row) != width:
            wrong("export csv: a row of", len(row), "cells:", row)
        for cell in row:
            if cell[:1] in "=+-@\t\r" and cell:
                wrong("export csv: a formula:", repr(cell))
    stix = json.loads(run([picket, "rules", "export", "--to", "stix", rules])[0], strict=True)
    if len(stix["objects"]) < 50:
        wrong("export stix: only", len(stix["objects"]), "objects")
    text, _ = run([picket, "rules", "export", "--to", "zeek", rules])
    for line in text.splitlines():
        if line.count("\t") != (5 if line[0] == "#" else 4):
            wrong("export zeek: not five cells:", repr(line))
        if line[0] == "#" and not line.startswith("#fields\t"):
            wrong("export zeek: a value became a comment:", repr(line))
    run([picket, "rules", "export", "--to", "suricata", "--type", "user_agent", rules])
    text, _ = run([picket, "rules", "export", "--to", "yaml", rules])
    again = os.path.join(folder, "again.yaml")
    with open(again, "w") as f:
        f.write(text)
    # Through YAML and back, nothing has changed: above all not the marking.
    text, p = run([picket, "rules", "diff", "--json", "--exit-code", rules, again])
    if "amber" not in run([picket, "rules", "why", "bad.example", "--rules", again])[0]:
        wrong("export yaml: the set's marking is another one")
    if p.returncode == 1:
        wrong("export yaml: it comes back different:", text[:400])


def test_imports(picket, folder):
    strings = [t.decode("utf-8", "replace") for t in TEXTS]
    def stix(t):
        return {"type": "indicator", "spec_version": "2.1", "id": "indicator--" + t[:40], "created": "2026-01-01T00:00:00Z",
                "modified": t[:60], "name": t, "description": t, "pattern_type": t[:30] if len(t) % 2 else "stix",
                "pattern": "[network-traffic:extensions.'http-request-ext'.request_header.'User-Agent' = '%s']"
                % t.replace("\\", "\\\\").replace("'", "\\'"), "valid_from": "2026-01-01T00:00:00Z"}
    def write(name, data):
        with open(os.path.join(folder, name), "wb") as f:
            f.write(data)
        return os.path.join(folder, name)
    files = {
        "stix": write("in.json", json.dumps({"type": "bundle", "id": "bundle--x", "objects": [stix(t) for t in strings]}).encode()),
        "misp": write("misp.json", json.dumps({"Event": {"info": strings[0], "Orgc": {"name": strings[3]}, "Attribute": [
            {"type": k, "to_ids": True, "value": t, "comment": t, "category": t} for t in strings
            for k in ("user-agent", "filename", "domain", t[:20])]}}).encode()),
        "zeek": write("in.intel", b"#fields\tindicator\tindicator_type\tmeta.source\tmeta.desc\n" + b"".join(
            b"\t".join([t.replace(b"\n", b" "), b"Intel::SOFTWARE", t[:30].replace(b"\n", b" "), t.replace(b"\n", b" ")]) + b"\n" for t in TEXTS)),
        "suricata": write("in.lst", b"\n".join(TEXTS)),
        "maltrail": write("in.txt", b"\n".join(t + b" # " + t for t in TEXTS)),
        "csv": write("in.csv", b"\n".join(TEXTS)),
        "plain": write("plain.txt", b"\n".join(TEXTS)),
    }
    for kind, name in files.items():
        out = os.path.join(folder, "imported-%s.yaml" % kind)
        run([picket, "rules", "import", "--from", kind, name, "-o", "-", "--type", "user_agent"])
        run([picket, "rules", "import", "--from", kind, name, "-o", out, "--type", "user_agent"])
        if os.path.exists(out):
            with open(out, "rb") as f:
                clean("import --from " + kind, f.read())
            _, p = run([picket, "rules", "compile", out, "-o", os.path.join(folder, "x.rules")])
            if p.returncode not in (0, 5):
                wrong("import --from", kind, "gives a file that does not load:", p.stderr[:300])


def test_tests(picket, folder, capture):
    """TAP and JUnit of tests that fail, with hostile values and names of files."""
    name = os.path.join(folder, "tests-#TODO-\"q\".yaml")
    with open(name, "w") as f:
        f.write("set: {id: t, version: 1}\nindicators:\n")
        for t in TEXTS:
            f.write("  - {user_agent: %s, test: {miss: [%s], hit: [%s]}}\n" % (quoted(t), os.path.basename(capture), os.path.basename(capture)))
    junit = os.path.join(folder, "junit.xml")
    text, p = run([picket, "rules", "test", name])
    if p.returncode != 1:
        wrong("rules test: exit code", p.returncode, p.stderr[:500])
    directive = re.compile(r"^(?:not )?ok \d+ - (?:[^\\#]|\\.)*#")
    for line in text.splitlines():
        if directive.match(line):
            wrong("TAP: a value became a directive:", line)
        if line.startswith(("  message: ", "  at: ")):
            json.loads(line.split(": ", 1)[1], strict=True)
    if text.count("\nnot ok ") < 20:
        wrong("TAP: failures are missing")
    run([picket, "rules", "test", "--junit", junit, name])
    with open(junit, "rb") as f:
        data = f.read()
    clean("junit", data)
    suite = ElementTree.fromstring(data)
    if int(suite.get("tests")) != len(suite) or int(suite.get("failures")) != len(suite.findall(".//failure")):
        wrong("junit: the numbers are not those of its cases")


def test_names(picket, folder, rules, capture):
    """Files whose names are hostile: each with two of the commands, in turn."""
    for number, text in enumerate(TEXTS):
        name = os.path.join(os.fsencode(folder), text.replace(b"/", b"_")[:200])
        with open(name, "wb") as f:
            f.write(b"domain,bad..example\nnonsense,x\n")
        verbs = (["rules", "lint", name], ["rules", "compile", name, "-o", "/dev/null"], ["scan", "-q", "--rules", rules, name],
                 ["rules", "fmt", "--check", name], ["rules", "verify", name])
        for k in range(2):
            run([picket, *verbs[(2 * number + k) % len(verbs)]], number)
        os.unlink(name)


# ---- Redis ----

class Redis:
    def __init__(self, path):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.connect(path)
        self.f = self.s.makefile("rb")

    def __call__(self, *words):
        words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        self.s.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
        return self.reply()

    def reply(self):
        line = self.f.readline()
        if line[:1] == b"$":
            return None if line[1:3] == b"-1" else self.f.read(int(line[1:]) + 2)[:-2]
        if line[:1] == b"*":
            return [self.reply() for _ in range(int(line[1:]))]
        if line[:1] == b"-":
            raise RuntimeError(line)
        return line[1:-2]


def plant(r, text, number):
    """The text wherever a key, a field or a value is shown."""
    ident = ("%032x" % (number + 1)).encode()
    event = json.dumps({"a": {"b": text.decode("utf-8", "replace")}, text.decode("utf-8", "replace"): [1]}).encode()
    entry = r("XADD", "picket:{p0}:alerts", "*", "op", text, "id", ident, "reason", text, "severity", text, "n", text, "sensor", text,
              "last_seen", text, "value", text, "endpoint", text, "json", event)
    fields = {"state": "new", "severity": "high", "n": 3, "value": text, "indicator": text, "set": text, "type": text, "src": text, "dest": text,
              "last_seen": text, "first_seen": text, "endpoint": text, "tlp": text, "exercise": text, "producer": text, "note": text, "event": entry,
              b"sensor:" + text: 1, text: text, "app": text}
    r("HSET", b"picket:{p0}:alert:" + ident, *itertools.chain(*fields.items()))
    odd = b"abcd" + (text + b"0" * 28)[:28]  # an id that somebody made up
    for one in (ident, odd, text):
        r("ZADD", "picket:{p0}:open", number, one)
    for key in (odd, text):
        r("HSET", b"picket:{p0}:alert:" + key, *itertools.chain(*fields.items()))
    r("ZADD", "picket:sensors", number, text)
    r("HSET", b"picket:sensor:" + text, *itertools.chain(*{"connected": "true", "seen": text, "version": text, "capture": text, "set_state": text,
      "set_digest": text, "collector": text, "site": text, "takes_sets": "true", text: text, b"end." + text: 1}.items()))
    r("SADD", "picket:{x}:exercises", text)
    r("HSET", b"picket:{x}:exercise:e%d" % number, "state", text, "title", text, "by", text, "started", text, "until", text, "injects", 1, "inject:1", text)
    r("SADD", "picket:{x}:exercises", "e%d" % number)
    r("HSET", "picket:{x}:sets", text, 1, b"s/" + text, 1, "s%d" % number, 1)
    r("HSET", b"picket:{x}:set:s%d:receipts:1" % number, text, b"refused x y " + text, "s", text)
    r("HSET", b"picket:{x}:set:s%d" % number, "1:manifest", text, "1:endorsement", text, "versions", text)
    r("HSET", "picket:{x}:partners", text, text, "p%d" % number, text)
    for one in (text, b"p%d" % number):
        r("HSET", b"picket:{x}:partner:" + one, "link", text, "version", text, "mode", text, "paused", text, "withdrawn", text, text, text)
    r("XADD", "picket:{x}:audit", "*", "n", text, "prev", text, "h", text, "time", text, "partner", text, "way", text, "items", text + b"\n" + text)
    r("HSET", "picket:{x}:audit:head", "h", text, "n", 1)
    stix = json.dumps({"type": "indicator", "id": "indicator--%08x-0000-4000-8000-000000000000" % number, "name": text.decode("utf-8", "replace"),
                       "pattern": text.decode("utf-8", "replace"), "modified": text.decode("utf-8", "replace")})
    for collection in ("own", "partner-p%d" % number):
        r("HSET", "picket:{x}:rows", number + 1, stix)
        r("ZADD", b"picket:{x}:%s:last" % collection.encode(), number + 1, b"%d 2.1 %d %d 1 %s" % (number + 1, number + 1, len(stix), text[:80]))
    r("HSET", "picket:{x}:handling", number + 1, text)


def test_redis(picket, path, folder):
    r = Redis(path)
    for number, text in enumerate(TEXTS):
        plant(r, text, number)
    at = ["--redis", "unix:" + path]
    json_verbs = [["alerts", "list", "--state", "all", "--limit", "1000"], ["alerts", "list", "--limit", "1000"], ["sensors", "list"], ["exercise", "list"], ["rules", "status"],
                  ["partner", "list"], ["sighting"], ["status"]]
    for verb in json_verbs:
        run([picket, *verb, *at])
        json_lines(" ".join(verb), run([picket, *verb, "--json", *at])[0])
    for number, text in enumerate(TEXTS):  # each with a third of the commands
        ident = "%032x" % (number + 1)
        verbs = (["alerts", "show", ident], ["alerts", "why", ident], ["why", ident], ["partner", "show", "p%d" % number],
                 ["exercise", "report", "e%d" % number], ["partner", "review", "p%d" % number], ["rules", "status", "s%d" % number],
                 ["sensors", "show", text], ["partner", "show", text], ["alerts", "show", text], ["exercise", "report", text],
                 ["partner", "why", "p1", text], ["alerts", "ack", ident, "--note", text])
        for verb in verbs[number % 3::3]:
            run([picket, *verb, *at], number)
        json_lines("alerts show", run([picket, "alerts", "show", "--json", ident, *at], number)[0])
    run([picket, "alerts", "show", "abcd", *at])
    run([picket, "alerts", "why", "abcd", *at])
    for verb in (["partner", "audit"], ["partner", "audit", "--verify"], ["partner", "audit", "--head"], ["allow", "list"], ["suppress", "list"],
                 ["disable", "list"], ["doctor"]):
        run([picket, *verb, *at])
    text, _ = run([picket, "alerts", "list", "--state", "all", "--json", *at])
    name = os.path.join(folder, "groups.json")
    with open(name, "w") as f:
        f.write(text)
    run([picket, "rules", "report", "hits", "--alerts", name, os.path.join(folder, "rules.yaml")])
    # Errors that Redis itself words.
    r("SET", "picket:{p0}:open", "x")
    run([picket, "alerts", "list", *at])
    tail = subprocess.Popen([picket, "alerts", "tail", "-n", "100", *at], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        shown = tail.communicate(timeout=2)[0]
    except subprocess.TimeoutExpired:
        tail.terminate()
        shown = tail.communicate()[0]
    clean("alerts tail", shown)


def main():
    build, folder, path = sys.argv[1:4]
    picket = os.path.join(build, "picket")
    rules, capture = os.path.join(folder, "rules.yaml"), os.path.join(folder, "case.pcap")
    rules_yaml(rules)
    with open(os.path.join(folder, "old.yaml"), "w") as f:
        f.write('set: {id: hostile, version: 1, title: %s}\ndomain: [gone.example]\nuser_agent: [%s]\n' % (quoted(TEXTS[1]), quoted(TEXTS[0])))
    with open(os.path.join(folder, "rules.csv"), "wb") as f:
        f.write(b"type,value,note\n" + b"".join(b'user_agent,"%s","%s"\n' % ((t.replace(b'"', b'""'),) * 2) for t in TEXTS))
    with open(capture, "wb") as f:
        f.write(pcap(packets()))
    test_scan(picket, folder, rules, capture)
    test_rules(picket, folder, rules, capture)
    test_exports(picket, folder, rules)
    test_imports(picket, folder)
    test_tests(picket, folder, capture)
    test_names(picket, folder, rules, capture)
    test_redis(picket, path, folder)
    print("outputs.py: %d commands, %d findings" % (runs, bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
