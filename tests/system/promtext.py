#!/usr/bin/env python3
"""Reads GET /metrics from an address and parses it as strictly as the text format
0.0.4 is written: promtext.py ADDRESS. Prints "name{labels} value" lines, sorted;
ends with 1 and a sentence when anything is not as it must be."""
import re
import socket
import sys

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?\Z")


def fetch(address):
    if address.startswith("unix:"):
        s = socket.socket(socket.AF_UNIX)
        s.connect(address[5:])
    else:
        host, port = address.rsplit(":", 1)
        s = socket.create_connection((host, int(port)))
    s.settimeout(5)
    s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    data = b""
    while part := s.recv(65536):
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        raise ValueError(head.decode())
    if b"content-type: text/plain; version=0.0.4" not in head.lower():
        raise ValueError("the content type is not that of the text format: " + head.decode())
    return body.decode("utf-8", "strict")


def labels(text):
    """'a="b",c="d"' as a list of pairs."""
    out, at = [], 0
    while at < len(text):
        name, eq, _ = text[at:].partition('="')
        if not eq or not LABEL.match(name) or name.startswith("__"):
            raise ValueError("label " + text[at:])
        at += len(name) + 2
        value = ""
        while text[at] != '"':
            if text[at] == "\\":
                at += 1
                value += {"\\": "\\", '"': '"', "n": "\n"}[text[at]]
            else:
                value += text[at]
            at += 1
        out.append((name, value))
        at += 1
        if at < len(text) and text[at] != ",":
            raise ValueError("after a label: " + text[at:])
        at += 1
    if len({n for n, _ in out}) != len(out):
        raise ValueError("a label twice: " + text)
    return out


def parse(body):
    if not body.endswith("\n"):
        raise ValueError("the last line has no end")
    family, kind, helped, seen, samples = None, None, None, set(), {}
    for line in body.split("\n")[:-1]:
        if line.startswith("# HELP "):
            helped, blank, text = line[7:].partition(" ")
            if not blank or not text or re.search(r"\\[^\\n]", text.replace("\\\\", "")):
                raise ValueError("help: " + line)
            continue
        if line.startswith("# TYPE "):
            family, _, kind = line[7:].partition(" ")
            if family in seen:
                raise ValueError("a family twice: " + family)
            if family != helped or kind not in ("counter", "gauge") or not NAME.match(family):
                raise ValueError("type: " + line)
            if (kind == "counter") != family.endswith("_total"):
                raise ValueError("a counter ends in _total, nothing else does: " + family)
            if not family.startswith("picket_"):
                raise ValueError("prefix: " + family)
            seen.add(family)
            continue
        m = re.match(r"([^{ ]+)(?:\{(.*)\})? ([^ ]+)\Z", line)
        if not m or m[1] != family or not NUMBER.match(m[3]):
            raise ValueError("sample: " + line)
        if kind == "counter" and m[3].startswith("-"):
            raise ValueError("a counter below zero: " + line)
        key = (m[1], tuple(sorted(labels(m[2] or ""))))
        if key in samples:
            raise ValueError("a sample twice: " + line)
        samples[key] = m[3]
    return samples


def main():
    try:
        samples = parse(fetch(sys.argv[1]))
    except (OSError, ValueError, KeyError, IndexError) as e:
        sys.exit("promtext: %s: %s" % (type(e).__name__, e))
    for (name, pairs), value in sorted(samples.items()):
        print("%s{%s} %s" % (name, ",".join("%s=%s" % p for p in pairs), value))


main()
