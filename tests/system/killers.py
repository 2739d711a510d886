#!/usr/bin/env python3
"""A flood with packets in it that kill nDPI, and what is planted between them.

  killers.py make FLOOD.pcap RULES.csv PACKETS [KILLER.pcap...]
      every 1,000th packet is one of the killers in turn (those given and two of
      the same kind made here), each time from another source: a flow of its own, so
      that to have skipped one helps nothing against the next; between them SYNs to ever new addresses, and planted:
      an address indicator (IP header alone), a name (DNS), and a handshake that
      only nDPI names. Each killer's own destination is an indicator, too.
  killers.py send FLOOD.pcap INTERFACE PACKETS_PER_SECOND
      puts it on the wire
  killers.py judge ALERTS.jsonl FLOOD.pcap
      prints what was found, and the longest time without a verdict of nDPI
"""
import json
import socket
import struct
import sys
import time

EVERY = 1000


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    s = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while s >> 16:
        s = (s & 0xFFFF) + (s >> 16)
    return ~s & 0xFFFF


def ipv4(proto, src, dst, payload):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, 64, proto, 0, src, dst)
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return b"\2\0\0\0\0\2\2\0\0\0\0\1\x08\0" + head + payload


def udp(src, sport, dst, dport, data):
    return ipv4(17, src, dst, struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data)


def tcp(src, sport, dst, dport, flags, seq, data=b""):
    head = struct.pack("!HHIIBBHHH", sport, dport, seq, 0, 0x50, flags, 8192, 0, 0)
    pseudo = src + dst + struct.pack("!BBH", 0, 6, len(head) + len(data))
    sum_ = checksum(pseudo + head + data)
    return ipv4(6, src, dst, head[:16] + struct.pack("!H", sum_) + head[18:] + data)


def dns(number, name):
    labels = b"".join(bytes([len(p)]) + p for p in name.encode().split(b"."))
    return struct.pack("!HHHHHH", number & 0xFFFF, 0x0100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1"


def kin():
    """Of the kind of the three: a DTLS certificate over UDP, a DNS query as large as UDP is."""
    record = b"\x16\xfe\xfd" + struct.pack("!HHIH", 0, 0, 0, 1400) + b"\x0b\0\5\x6c" + b"\0" * 8
    dtls = record + b"\0\5\x69\0\5\x66\x30\x82\5\x62" + b"www.example.com" * 90
    many = struct.pack("!HHHHHH", 7, 0, 0xFFFF, 0, 0, 0) + (b"\x3f" + b"a" * 63) * 1023
    return [udp(b"\x0a\0\0\1", 45001, b"\xcb\0\x71\x0b", 443, dtls[:1444]),
            udp(b"\x0a\0\0\1", 45002, b"\xcb\0\x71\x0c", 53, many[:65499])]


def packets_of(path):
    data = open(path, "rb").read()
    order = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    at = 24
    while at + 16 <= len(data):
        n = struct.unpack(order + "I", data[at + 8:at + 12])[0]
        yield data[at + 16:at + 16 + n]
        at += 16 + n


def syn(i):
    v = (i * 2654435761) & 0xFFFFFFFF
    return tcp(struct.pack("!BBH", 10, v >> 24, v >> 8 & 0xFFFF), 1024 + (v & 0x7FFF),
               struct.pack("!BBH", 172, 16 + (v >> 28), v & 0xFFFF), 80, 2, v)


def from_source(p, k):
    """An IPv4 packet over UDP or TCP again, from the k-th source."""
    ihl = 4 * (p[14] & 15)
    head = p[14:24] + b"\0\0" + struct.pack("!BBH", 10, 32 + (k >> 16), k & 0xFFFF) + p[30:14 + ihl]
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return p[:14] + head + struct.pack("!H", 1024 + k % 60000) + p[16 + ihl:]


def flood(count, killers):
    """Yields (what, packet)."""
    for i in range(count):
        where = i % EVERY
        k = i // EVERY
        if where == 0:
            yield "killer", from_source(killers[k % len(killers)], k // len(killers))
        elif where == 300:
            yield "address", syn(i)[:30] + b"\xc6\x33\x64\x07" + syn(i)[34:]
        elif where == 500:
            yield "name", udp(struct.pack("!BBH", 10, 9, k & 0xFFFF), 2000 + k % 60000, b"\xc0\0\2\x35", 53,
                              dns(k, "k%d.bad.example" % k))
        elif where in (250, 750):
            # SYN, then the handshake: nDPI alone knows it
            yield "plain", tcp(struct.pack("!BBH", 10, 8, k & 0xFFFF), 1024 + where + k % 50000, b"\xc0\0\2\x09", 6999, 2, 1)
        elif where in (251, 751):
            yield "ndpi", tcp(struct.pack("!BBH", 10, 8, k & 0xFFFF), 1023 + where + k % 50000, b"\xc0\0\2\x09", 6999, 0x18,
                              2, b"\x13BitTorrent protocol" + b"\0" * 8 + b"-TR3000-" + b"x" * 40)
        else:
            yield "plain", syn(i)


def make(path, rules, count, killer_files):
    killers = [p for f in killer_files for p in packets_of(f)] + kin()
    planted, flows = {}, set()
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for i, (what, p) in enumerate(flood(count, killers)):
            us = 1700000000000000 + i * 5
            out.write(struct.pack("<IIII", us // 1000000, us % 1000000, len(p), len(p)) + p)
            if what == "killer":
                what = None if p[26:38] in flows else socket.inet_ntoa(p[30:34])  # an alert for each flow
                flows.add(p[26:38])
            planted[what] = planted.get(what, 0) + 1
    planted.pop(None, None)
    with open(rules, "w") as out:
        out.write("ip,198.51.100.7\ndomain,bad.example\nprotocol,BitTorrent\n")
        for address in sorted({socket.inet_ntoa(p[30:34]) for p in killers}):
            out.write("ip,%s\n" % address)
    print(" ".join("%s=%d" % x for x in sorted(planted.items())))


def send(path, interface, rate):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 << 20)
    s.bind((interface, 0))
    begin = time.monotonic()
    for i, p in enumerate(packets_of(path)):
        if i % 64 == 0:
            ahead = begin + i / rate - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
        s.send(p)
    print("sent in %.2f s" % (time.monotonic() - begin))


def seconds(stamp):
    date, rest = stamp.split("T")
    h, m, s = rest.rstrip("Z").split(":")
    return int(h) * 3600 + int(m) * 60 + float(s)


def judge(path):
    kinds, verdicts, killers = {}, [], set()
    for line in open(path):
        a = json.loads(line)
        value = a["indicator"]["value"]
        kinds[value] = kinds.get(value, 0) + 1
        if value == "BitTorrent":
            verdicts.append(seconds(a["timestamp"]))
    verdicts.sort()
    gap = max((b - a for a, b in zip(verdicts, verdicts[1:])), default=99.0)
    print("gap=%.3f" % gap, " ".join("%s=%d" % x for x in sorted(kinds.items())))


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5:])
    elif sys.argv[1] == "send":
        send(sys.argv[2], sys.argv[3], float(sys.argv[4]))
    else:
        judge(sys.argv[2])
