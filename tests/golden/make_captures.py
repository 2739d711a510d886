#!/usr/bin/env python3
"""Writes the captures of the golden cases: every byte of them is made here.

    python3 tests/golden/make_captures.py         from the tree's root

Addresses and names are those of RFC 2606, RFC 3849 and RFC 5737, but for names in
heuristics: those count only below real top-level domains. The output is
the same each time; the fingerprints that tls12-certificate/rules.yaml names are
computed here, independently of the sensor, and printed.
"""
import base64
import gzip
import hashlib
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))
START_US = 1795230600 * 1000000  # 2026-11-21T03:10:00Z
CLIENT, SERVER = "192.0.2.10", "203.0.113.9"

# A self-signed certificate for login.bank.example, made once with openssl req; its key was thrown away.
CERTIFICATE = base64.b64decode(
    "MIIB5zCCAYygAwIBAgIEEjSrzTAKBggqhkjOPQQDAjA3MRgwFgYDVQQKDA9Hb2xkZW4gUGhpc2hpbmcxGzAZBgNVBAMMEmxvZ2lu"
    "LmJhbmsuZXhhbXBsZTAeFw0yNjExMjEwODI2MTBaFw00NjExMTYwODI2MTBaMDcxGDAWBgNVBAoMD0dvbGRlbiBQaGlzaGluZzEb"
    "MBkGA1UEAwwSbG9naW4uYmFuay5leGFtcGxlMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE2dZl48Rw07JTsjUFtE7c+20G0Fol"
    "fG4gFMaJoYDh5XVXVRefhS6NhEuPAPklYNB5gH7xvEvIOTLbEmfvcExicKOBhTCBgjAdBgNVHQ4EFgQUQWeeuazdLsC4EjTQwY2Y"
    "za8hpJcwHwYDVR0jBBgwFoAUQWeeuazdLsC4EjTQwY2Yza8hpJcwDwYDVR0TAQH/BAUwAwEB/zAvBgNVHREEKDAmghJsb2dpbi5i"
    "YW5rLmV4YW1wbGWCEGFsdC5iYW5rLmV4YW1wbGUwCgYIKoZIzj0EAwIDSQAwRgIhAPvU84ZvEI4p3Ky8OkO8xXHLpHyAEIy4RyjL"
    "UL2NQmsOAiEAltph+RlrsmxPhY0LUUuya27HRM4EzMw8mDMJuE55CBw="
)


def v4(text):
    return bytes(int(x) for x in text.split("."))


def v6(text):
    left, _, right = text.partition("::")
    a = [int(x, 16) for x in left.split(":") if x]
    b = [int(x, 16) for x in right.split(":") if x]
    return struct.pack("!8H", *(a + [0] * (8 - len(a) - len(b)) + b))


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ip4(src, dst, proto, payload, ident=0):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), ident, 0x4000, 64, proto, 0, v4(src), v4(dst))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def pseudo(src, dst, proto, n):
    if ":" in src:
        return v6(src) + v6(dst) + struct.pack("!IHBB", n, 0, 0, proto)
    return v4(src) + v4(dst) + struct.pack("!BBH", 0, proto, n)


def udp(src, sport, dst, dport, data):
    head = struct.pack("!HHHH", sport, dport, 8 + len(data), 0)
    return head[:6] + struct.pack("!H", checksum(pseudo(src, dst, 17, 8 + len(data)) + head + data)) + data


def tcp(src, sport, dst, dport, seq, ack, flags, data=b""):
    head = struct.pack("!HHIIBBHHH", sport, dport, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, 0x50, flags, 64240, 0, 0)
    return head[:16] + struct.pack("!H", checksum(pseudo(src, dst, 6, 20 + len(data)) + head + data)) + head[18:] + data


def ether(payload, kind=0x0800, tags=()):
    head = bytes.fromhex("020000000002" "02000000000f")
    for tpid, vid in tags:
        head += struct.pack("!HH", tpid, vid)
    return head + struct.pack("!H", kind) + payload


class Tcp:
    """One connection: each call gives a frame; sequence numbers follow what was sent."""

    SYN, ACK, PSH, FIN = 2, 16, 8, 1

    def __init__(self, client=CLIENT, cport=40000, server=SERVER, sport=80):
        self.ends = [(client, cport), (server, sport)]
        self.seq = [1000, 90000]

    def raw(self, side, flags, data=b"", seq=None):
        (src, sp), (dst, dp) = self.ends[side], self.ends[1 - side]
        seq = self.seq[side] if seq is None else seq
        ack = self.seq[1 - side] if flags & self.ACK else 0
        return ether(ip4(src, dst, 6, tcp(src, sp, dst, dp, seq, ack, flags, data)))

    def open(self):
        frames = [self.raw(0, self.SYN)]
        self.seq[0] += 1
        frames.append(self.raw(1, self.SYN | self.ACK))
        self.seq[1] += 1
        return frames + [self.raw(0, self.ACK)]

    def send(self, side, data):
        frame = self.raw(side, self.PSH | self.ACK, data)
        self.seq[side] += len(data)
        return frame

    def close(self):
        return [self.raw(0, self.FIN | self.ACK), self.raw(1, self.FIN | self.ACK)]


def dns_name(name):
    return b"".join(bytes([len(x)]) + x.encode() for x in name.split(".")) + b"\0"


def dns(ident, name, answers=(), kind=1):
    flags = 0x8180 if answers else 0x0100
    out = struct.pack("!HHHHHH", ident, flags, 1, len(answers), 0, 0) + dns_name(name) + struct.pack("!HH", kind, 1)
    for address in answers:
        out += struct.pack("!HHHIH", 0xC00C, 1, 1, 60, 4) + v4(address)
    return out


def dns_frame(name, ident=7, sport=50000):
    return ether(ip4(CLIENT, "198.51.100.53", 17, udp(CLIENT, sport, "198.51.100.53", 53, dns(ident, name))))


def get(host, path, agent="golden/1.0"):
    return ("GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\n\r\n" % (path, host, agent)).encode()


OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n"


# ---- files ----


def pcap(frames):
    out = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    for i, frame in enumerate(frames):
        us = START_US + i * 1000
        out += struct.pack("<IIII", us // 1000000, us % 1000000, len(frame), len(frame)) + frame
    return out


def block(kind, body):
    body += b"\0" * (-len(body) % 4)
    n = 12 + len(body)
    return struct.pack("<II", kind, n) + body + struct.pack("<I", n)


def pcapng(frames):
    """Two sections, the second in nanoseconds: if_tsresol is option 9."""
    section = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    out = section + block(1, struct.pack("<HHI", 1, 0, 65535))
    for i, frame in enumerate(frames):
        if i == 1:
            out += section + block(1, struct.pack("<HHIHHB3xHH", 1, 0, 65535, 9, 1, 9, 0, 0))
        ticks = (START_US + i * 1000) * (1 if i < 1 else 1000)
        out += block(6, struct.pack("<IIIII", 0, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame)) + frame)
    return out


def write(name, data, file="case.pcap"):
    folder = os.path.join(HERE, name)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, file), "wb") as f:
        f.write(data)


# ---- the cases ----


def dns_tcp():
    t = Tcp(sport=53, server="198.51.100.53")
    two = b"".join(struct.pack("!H", len(m)) + m for m in (dns(1, "first.example"), dns(2, "www.bad.example")))
    answers = [dns(1, "first.example", ["203.0.113.66"]), dns(2, "www.bad.example", ["203.0.113.1", "203.0.113.67"])]
    frames = t.open() + [t.send(0, two[:1]), t.send(0, two[1:20]), t.send(0, two[20:])]
    for m in answers:
        frames.append(t.send(1, struct.pack("!H", len(m)) + m))
    return pcap(frames + t.close())


def http_pipelined():
    t = Tcp()
    first = get("www.example", "/")
    burst = get("www.example", "/a") + get("files.bad.example", "/payload.bin?x=1") + get("www.example", "/b", "Evil/1.0")
    frames = t.open() + [t.send(0, first), t.send(1, OK), t.send(0, burst), t.send(1, OK * 3)]
    return pcap(frames + [t.send(0, get("late.bad.example", "/")), t.send(1, OK)] + t.close())


def answer(name, body):
    return b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\nContent-Disposition: attachment; filename="%s"\r\n\r\n%s' % (len(body), name, body)


def stix_patterns():
    """Two downloads whose names and contents are crossed, then the one that is looked for."""
    t, other = Tcp(), Tcp(cport=40001, sport=8080)
    frames = t.open()
    for path, name, body in (("/1", b"tool.exe", b"harmless\n"), ("/2", b"notes.txt", b"evil\n"), ("/3", b"tool.exe", b"evil\n")):
        frames += [t.send(0, get("files.bad.example", path, "Evil/1.0" if path == "/2" else "golden/1.0")), t.send(1, answer(name, body))]
    frames += t.close() + other.open() + [other.send(0, get("files.bad.example", "/3")), other.send(1, answer(b"tool.exe", b"harmless\n"))]
    return pcap(frames + other.close() + [dns_frame("files.bad.example"), dns_frame("www.example", 8, 50008)])


CIPHERS = [0xC02B, 0xC02F, 0x009C]
GROUPS = [23, 24]
SIGNATURES = [0x0403, 0x0804]


def extension(kind, body):
    return struct.pack("!HH", kind, len(body)) + body


def vector(form, values):
    body = struct.pack("!%d%s" % (len(values), "H"), *values)
    return struct.pack(form, len(body)) + body


def client_hello():
    host = b"login.bank.example"
    extensions = [
        (0, struct.pack("!HBH", len(host) + 3, 0, len(host)) + host),
        (10, vector("!H", GROUPS)),
        (11, b"\x01\x00"),
        (13, vector("!H", SIGNATURES)),
        (16, b"\x00\x0c\x02h2\x08http/1.1"),
    ]
    body = struct.pack("!H", 0x0303) + bytes(range(32)) + b"\0" + vector("!H", CIPHERS) + b"\x01\x00"
    ext = b"".join(extension(k, b) for k, b in extensions)
    return body + struct.pack("!H", len(ext)) + ext, [k for k, _ in extensions]


def handshake(kind, body):
    return struct.pack("!I", kind << 24 | len(body)) + body


def record(body):
    return struct.pack("!BHH", 22, 0x0303, len(body)) + body


def tls_certificate():
    hello, kinds = client_hello()
    server = handshake(2, struct.pack("!H", 0x0303) + bytes(range(32, 64)) + b"\0" + struct.pack("!HB", 0xC02B, 0))
    chain = struct.pack("!I", len(CERTIFICATE))[1:] + CERTIFICATE
    server += handshake(11, struct.pack("!I", len(chain))[1:] + chain) + handshake(14, b"")
    # Handshake messages run across records, records across segments.
    records = record(server[:100]) + record(server[100:])
    t = Tcp(sport=8443)
    frames = t.open() + [t.send(0, record(handshake(1, hello)))]
    frames += [t.send(1, records[i : i + 200]) for i in range(0, len(records), 200)]
    ja3 = "771,%s,%s,%s,0" % tuple("-".join(map(str, x)) for x in (CIPHERS, kinds, GROUPS))
    part = lambda text: hashlib.sha256(text.encode()).hexdigest()[:12]
    ja4 = "t12d%02d%02dh2_%s_%s" % (
        len(CIPHERS),
        len(kinds),
        part(",".join("%04x" % c for c in sorted(CIPHERS))),
        part(",".join("%04x" % k for k in sorted(kinds) if k not in (0, 16)) + "_" + ",".join("%04x" % s for s in SIGNATURES)),
    )
    print("tls12-certificate: ja3", hashlib.md5(ja3.encode()).hexdigest())
    print("tls12-certificate: ja4", ja4)
    print("tls12-certificate: cert_sha1", hashlib.sha1(CERTIFICATE).hexdigest())
    print("tls12-certificate: cert_sha256", hashlib.sha256(CERTIFICATE).hexdigest())
    return pcap(frames + t.close())


def vlan_qinq():
    inner = ip4(CLIENT, "198.51.100.53", 17, udp(CLIENT, 50000, "198.51.100.53", 53, dns(7, "www.bad.example")))
    return pcap([ether(inner, tags=[(0x88A8, 100), (0x8100, 200)])])


def gre_inner():
    inner = ip4("10.1.2.7", "198.51.100.53", 17, udp("10.1.2.7", 50000, "198.51.100.53", 53, dns(7, "www.bad.example")))
    return pcap([ether(ip4("192.0.2.1", "203.0.113.66", 47, struct.pack("!HH", 0, 0x0800) + inner))])


def ipv6_fragments():
    src, dst = "2001:db8::10", "2001:db8::53"
    whole = udp(src, 50000, dst, 53, dns(7, "a-name-that-is-cut-in-two.bad.example"))
    cut = 24  # within the question's name; a multiple of 8
    frames = []
    for offset, more, data in ((cut, 0, whole[cut:]), (0, 1, whole[:cut])):  # the last comes first
        fragment = struct.pack("!BBHI", 17, 0, offset | more, 0x01020304) + data
        frames.append(ether(struct.pack("!IHBB", 0x60000000, len(fragment), 44, 64) + v6(src) + v6(dst) + fragment, 0x86DD))
    return pcap(frames)


def first_fragments():
    """Beginnings of datagrams that never complete: one whose rest is lost, one that the capture cut as well."""
    server = "198.51.100.53"
    frames = []
    for ident, name in ((1, "lost-rest.bad.example"), (2, "cut-too.bad.example")):
        whole = udp(server, 53, CLIENT, 50000 + ident, dns(ident, name, ["203.0.113.1"]) + bytes(1200))
        first = ip4(server, CLIENT, 17, whole[:256], ident)
        frame = ether(first[:6] + struct.pack("!H", 0x2000) + first[8:])
        frames.append(frame if ident == 1 else frame[:-128])
    return pcap(frames)


def tcp_overlap():
    t = Tcp()
    frames = t.open()
    base = t.seq[0]
    head = b"GET /x HTTP/1.1\r\nHost: "
    frames.append(t.send(0, head))
    # A gap, behind it what the first copy says; then a retransmission that says something else and fills the gap.
    at = base + len(head)
    first, other = b"first.bad.example\r\n\r\n", b"false.bad.example\r\n\r\n"
    frames.append(t.raw(0, t.PSH | t.ACK, first[1:], at + 1))
    frames.append(t.raw(0, t.PSH | t.ACK, other, at))
    t.seq[0] = at + len(first)
    return pcap(frames + [t.send(1, OK)] + t.close())


def tcp_reordered():
    t = Tcp()
    frames = t.open()
    request = get("www.bad.example", "/a/long/path/in/three/segments")
    parts = [t.send(0, request[i : i + 30]) for i in range(0, len(request), 30)]
    return pcap(frames + [parts[0]] + parts[:0:-1] + [t.send(1, OK)] + t.close())


def ntp():
    data = bytes([0x23]) + bytes(47)
    answer = bytes([0x24, 2, 3, 0xEC]) + bytes(44)
    there = ether(ip4(CLIENT, "203.0.113.123", 17, udp(CLIENT, 50123, "203.0.113.123", 123, data)))
    back = ether(ip4("203.0.113.123", CLIENT, 17, udp("203.0.113.123", 123, CLIENT, 50123, answer)))
    return pcap([there, back])


def stamped(frames):
    """Frames with their times in microseconds."""
    out = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    for us, frame in sorted(frames, key=lambda x: x[0]):
        us += START_US
        out += struct.pack("<IIII", us // 1000000, us % 1000000, len(frame), len(frame)) + frame
    return out


def visit(at, client, cport, server, sport, sent, got):
    """A connection from SYN to FIN, a tenth of a second long."""
    t = Tcp(client, cport, server, sport)
    frames = t.open() + [t.send(0, b"q" * sent), t.send(1, b"r" * got)] + t.close()
    return [(at + i * 10000, frame) for i, frame in enumerate(frames)]


def refused(at, client, cport, server, sport):
    t = Tcp(client, cport, server, sport)
    syn = t.raw(0, t.SYN)
    t.seq[0] += 1
    return [(at, syn), (at + 500, t.raw(1, 4 | t.ACK))]


def looked_up(at, name, rcode, ident):
    server, port = "198.51.100.53", 20000 + ident
    query = dns(ident, name)
    answer = query[:2] + struct.pack("!H", 0x8180 | rcode) + query[4:]
    there = ether(ip4("10.1.2.7", server, 17, udp("10.1.2.7", port, server, 53, query)))
    back = ether(ip4(server, "10.1.2.7", 17, udp(server, 53, "10.1.2.7", port, answer)))
    return [(at, there), (at + 3000, back)]


def word(i, n):
    return hashlib.sha256(str(i).encode()).hexdigest()[:n]


def heuristics():
    """Each heuristic once, from a source of its own."""
    s = 1000000
    frames = []
    for i in range(40):
        frames += refused(i * 20000, "10.1.2.5", 30000 + i, SERVER, 1 + i)
        frames += refused(i * 30000, "10.1.2.6", 30000 + i, "198.51.100.%d" % (1 + i), 445)
        frames += visit(i * 60 * s + i % 3 * 100000, "10.1.2.8", 30000 + i, SERVER, 443, 200, 90)
    for i in range(120):
        frames += looked_up(i * s, word(i, 48) + ".t.example.com", 0, i)
    for i in range(60):
        frames += looked_up(900 * s + i * s, word(i, 12) + ".net", 3, 200 + i)
    return stamped(frames)


def benign_twins():
    """What looks like it and is none: a page of many connections, a port that is closed, passive data
    channels, a page that reloads itself, polling with answers of all sizes, a search list, reverse names."""
    s = 1000000
    frames = []
    for i in range(60):
        frames += visit(i * 5000, "10.1.2.5", 30000 + i, SERVER, 443, 100, 900)
        frames += refused(i * 20000, "10.1.2.5", 31000 + i, SERVER, 8080)
        frames += visit(i * 50000, "10.1.2.6", 30000 + i, "203.0.113.21", 40000 + i, 10, 500)
        for k in range(3):
            frames += visit(i * 60 * s + k * 50000, "10.1.2.8", 30000 + 3 * i + k, SERVER, 443, 200, 90)
        frames += visit(i * 60 * s, "10.1.2.9", 30000 + i, SERVER, 993, 200, int(word(i, 3), 16) % 1400)
    for i in range(150):
        name = "www%d.a-partner-with-a-long-name-%d.com" % (i, i // 5)
        frames += looked_up(i * s, name + ".branch.corp.example.com", 3, 3 * i)
        frames += looked_up(i * s + 5000, name, 0, 3 * i + 1)
        frames += looked_up(i * s + 9000, "%d.2.0.192.in-addr.arpa" % i, 3, 3 * i + 2)
    return stamped(frames)


def main():
    write("heuristics", heuristics())
    write("heuristics-benign", benign_twins())
    three = [dns_frame("first.bad.example", 1, 50001), dns_frame("second.bad.example", 2, 50002), dns_frame("third.bad.example", 3, 50003)]
    write("dns-tcp", dns_tcp())
    write("http-keepalive-pipelined", http_pipelined())
    write("stix-patterns", stix_patterns())
    write("tls12-certificate", tls_certificate())
    write("vlan-qinq", vlan_qinq())
    write("gre-inner", gre_inner())
    write("ipv6-fragments", ipv6_fragments())
    write("first-fragments", first_fragments())
    write("tcp-overlap-first-copy-wins", tcp_overlap())
    write("tcp-reordered", tcp_reordered())
    write("protocol-ntp", ntp())
    write("allow-list", pcap([dns_frame("www.update.example"), dns_frame("c2.update.example", 8, 50008)]))
    write("truncated-file", pcap(three)[:-10])
    write("pcapng-two-sections", pcapng(three), "case.pcapng")
    write("pcap-gz", gzip.compress(pcap(three), mtime=0), "case.pcap.gz")


if __name__ == "__main__":
    main()
