#!/usr/bin/env python3
"""Evasion cases: traffic that is made to be read in two ways. Each says what Picket
decides, which observables must come of it, which must not, and which counter tells.

    tests/hostile/evade.py BUILD            runs them
    tests/hostile/evade.py --list           prints the decisions
    tests/hostile/evade.py --write FOLDER   the captures, to look at with other tools

A case's alerts are compared as a whole: what is not listed must not be there.
"""
import base64
import gzip
import itertools
import json
import os
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden"))
from make_captures import (  # noqa: E402
    CLIENT, OK, SERVER, Tcp, checksum, client_hello, dns, dns_name, ether, extension, get, handshake, ip4, pcap, pseudo,
    record, tcp, udp, v4, v6)

RULES = """type,value,where
domain,bad.example,
domain,login.bank.example,
url,http://www.bad.example/x,
user_agent,Evil/1.0,
payload_hex,6e6565646c652d3432,
file_md5,900150983cd24fb0d6963f7d28e17f72,
ip,203.0.113.66,
ip,203.0.113.67,icmp.quoted
hostname,www.bad.example,icmp.quoted
url,http://tv.bad.example/d.xml,ssdp
username,evil-user,
filename,evil.exe,
"""
HOST = ("http.host", "www.bad.example")
URL = ("http.url", "http://www.bad.example/x")
SNI = ("tls.sni", "login.bank.example")
QUERY = ("dns.query", "www.bad.example")
FILE = ("file.md5", "900150983cd24fb0d6963f7d28e17f72")
NEEDLE = ("payload", "")
LOGIN = ("ntlm.user", "evil-user")
NFS_FILE = ("nfs.file", "evil.exe")
REQUEST = get("www.bad.example", "/x")
DECOY = get("www.fine.example", "/x")
FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
DNS_SERVER = "198.51.100.53"

cases = []


def case(decision, want, counters=(), packets=None):
    """A test of the name of the function below it, which gives its frames."""

    def keep(make):
        cases.append((make.__name__.replace("_", "-"), decision, want, dict(counters), make))
        return make

    return keep


def packet(t, side, flags, data=b"", seq=None, ttl=64, bad=False, urgent=0):
    (src, sp), (dst, dp) = t.ends[side], t.ends[1 - side]
    seq = t.seq[side] if seq is None else seq
    segment = bytearray(tcp(src, sp, dst, dp, seq, t.seq[1 - side] if flags & ACK else 0, flags, data))
    if urgent:
        segment[18:20] = struct.pack("!H", urgent)
        segment[16:18] = b"\0\0"
        segment[16:18] = struct.pack("!H", checksum(pseudo(src, dst, 6, len(segment)) + bytes(segment)))
    if bad:
        segment[16] ^= 0x55
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(segment), 0, 0x4000, ttl, 6, 0, v4(src), v4(dst))
    return ether(head[:10] + struct.pack("!H", checksum(head)) + head[12:] + bytes(segment))


def pieces(t, side, data, size):
    return [t.send(side, data[i : i + size]) for i in range(0, len(data), size)]


def talk(t, frames):
    """Around the client's frames: a handshake, an answer, an end."""
    return frames + [t.send(1, OK)] + t.close()


# ---- TCP ----


@case("The first copy of a byte that waits counts.", [HOST, URL], {"stream.conflict": 1})
def tcp_overlap_first_copy():
    t = Tcp()
    f = t.open()
    base = t.seq[0]
    f += [packet(t, 0, ACK, REQUEST[1:], base + 1), packet(t, 0, ACK, DECOY, base)]
    t.seq[0] += len(REQUEST)
    return talk(t, f)


@case("The same the other way round: a decoy that came first is what is read.", [], {"stream.conflict": 1})
def tcp_overlap_decoy_first():
    t = Tcp()
    f = t.open()
    base = t.seq[0]
    f += [packet(t, 0, ACK, DECOY[1:], base + 1), packet(t, 0, ACK, REQUEST, base)]
    t.seq[0] += len(DECOY)
    return talk(t, f)


@case("What was handed on is not taken back: a retransmission with other bytes is ignored.", [HOST, URL])
def tcp_retransmission_differs():
    t = Tcp()
    f = t.open() + [t.send(0, REQUEST)]
    f.append(packet(t, 0, ACK, DECOY[: len(REQUEST)], t.seq[0] - len(REQUEST)))
    return talk(t, f)


@case("A segment that is partly old: its new bytes count.", [HOST, URL], {"stream.overlap": 1})
def tcp_overlap_partly():
    t = Tcp()
    f = t.open() + [t.send(0, REQUEST[:30])]
    f.append(packet(t, 0, ACK, b"#" * 10 + REQUEST[30:], t.seq[0] - 10))
    t.seq[0] += len(REQUEST) - 30
    return talk(t, f)


@case("One byte a segment.", [HOST, URL])
def tcp_tiny():
    t = Tcp()
    return talk(t, t.open() + pieces(t, 0, REQUEST, 1))


@case("Segments in reverse order wait for the first.", [HOST, URL], {"stream.reordered": 1})
def tcp_reverse():
    t = Tcp()
    return talk(t, t.open() + pieces(t, 0, REQUEST, 7)[::-1])


@case("A copy with a bad checksum waits; one with a good checksum goes first.", [HOST, URL], {"stream.bad_checksum": 1})
def tcp_checksum_decoy():
    t = Tcp()
    f = t.open() + [t.send(0, REQUEST[:1]), packet(t, 0, ACK, DECOY[1 : len(REQUEST)], bad=True), t.send(0, REQUEST[1:])]
    return talk(t, f)


@case("A copy with a TTL that may not reach the receiver waits for a better one.", [HOST, URL], {"stream.low_ttl": 1})
def tcp_ttl_decoy():
    t = Tcp()
    f = t.open() + [packet(t, 0, ACK, DECOY[: len(REQUEST)], ttl=2), t.send(0, REQUEST)]
    return talk(t, f)


def stamped(t, data, tsval, usual=True):
    """A segment of the client's with a time stamp, in the usual place or behind other options."""
    (src, sp), (dst, dp) = t.ends
    stamp = b"\x08\x0a" + struct.pack("!II", tsval, 1)
    options = b"\1\1" + stamp if usual else b"\xfd\x04ab" + stamp + b"\1\0"
    s = bytearray(tcp(src, sp, dst, dp, t.seq[0], t.seq[1], PSH | ACK, options + data))
    s[12], s[16:18] = (20 + len(options)) << 2, b"\0\0"
    s[16:18] = struct.pack("!H", checksum(pseudo(src, dst, 6, len(s)) + bytes(s)))
    return ether(ip4(src, dst, 6, bytes(s)))


def old_stamp(usual):
    t = Tcp()
    f = t.open() + [stamped(t, b"G", 1000, usual)]
    t.seq[0] += 1
    f += [stamped(t, DECOY[1 : len(REQUEST)], 1, usual), stamped(t, REQUEST[1:], 1001, usual)]
    t.seq[0] += len(REQUEST) - 1
    return talk(t, f)


@case("A copy with an old time stamp waits; one with a new stamp goes first.", [HOST, URL], {"stream.old_stamp": 1})
def tcp_old_timestamp():
    return old_stamp(True)


@case("The same with the stamp behind other options.", [HOST, URL], {"stream.old_stamp": 1})
def tcp_old_timestamp_hidden():
    return old_stamp(False)


@case("A clock that goes back (the data is acknowledged) is believed, and so is what follows.", [HOST, URL],
      {"stream.old_stamp": 1})
def tcp_clock_back():
    t = Tcp()
    f = t.open() + [stamped(t, REQUEST[:1], 1000)]
    t.seq[0] += 1
    f += [stamped(t, REQUEST[1:20], 10)]
    t.seq[0] += 19
    f += [packet(t, 1, ACK), stamped(t, REQUEST[20:], 11)]
    t.seq[0] += len(REQUEST) - 20
    return talk(t, f)


@case("A late segment has an older stamp than those behind it: nothing is set aside.", [HOST, URL],
      {"stream.old_stamp": 0, "stream.reordered": 1})
def tcp_stamp_reordered():
    t = Tcp()
    f = t.open()
    parts = [REQUEST[:10], REQUEST[10:20], REQUEST[20:]]
    made = []
    for i, part in enumerate(parts):
        made.append(stamped(t, part, 1000 + i))
        t.seq[0] += len(part)
    return talk(t, f + [made[0], made[2], made[1]])


@case("What is in doubt at the end of the capture, and nothing else stands for, is read.", [HOST, URL],
      {"stream.bad_checksum": 1})
def tcp_doubtful_at_the_end():
    t = Tcp()
    return t.open() + [t.send(0, REQUEST[:1]), packet(t, 0, ACK, REQUEST[1:], bad=True)]


@case("A longer path (the TTL drops, the data is acknowledged) is believed.", [HOST, URL], {"stream.low_ttl": 1})
def tcp_ttl_path_change():
    t = Tcp()
    f = t.open() + [packet(t, 0, PSH | ACK, REQUEST, ttl=40)]
    t.seq[0] += len(REQUEST)
    return talk(t, f)


@case("A RST counts only with exactly the number expected; others are ignored.", [HOST, URL], {"stream.out_of_window": 1})
def tcp_rst_decoy():
    t = Tcp()
    f = t.open() + [t.send(0, REQUEST[:9]), packet(t, 0, RST, seq=t.seq[0] + 5), t.send(0, REQUEST[9:])]
    return talk(t, f)


@case("A RST with the right number ends the flow soon, not at once: it may not have arrived.", [HOST, URL])
def tcp_rst_right_number():
    t = Tcp()
    f = t.open() + [t.send(0, REQUEST[:9]), packet(t, 0, RST), t.send(0, REQUEST[9:])]
    return talk(t, f)


@case("A RST with a bad checksum is none.", [HOST, URL], {"stream.bad_checksum": 1})
def tcp_rst_bad_checksum():
    t = Tcp()
    f = t.open() + [t.send(0, REQUEST[:9]), packet(t, 0, RST, bad=True), t.send(0, REQUEST[9:])]
    return talk(t, f)


@case("Data behind a FIN proves it a decoy.", [HOST, URL])
def tcp_fin_decoy():
    t = Tcp()
    f = t.open() + [t.send(0, REQUEST[:9]), packet(t, 0, FIN | ACK), t.send(0, REQUEST[9:])]
    return talk(t, f)


@case("A SYN on a running connection is ignored.", [HOST, URL], {"stream.out_of_window": 0})
def tcp_syn_amid():
    t = Tcp()
    f = t.open() + [t.send(0, REQUEST[:9]), packet(t, 0, SYN, seq=77), t.send(0, REQUEST[9:])]
    return talk(t, f)


@case("Of several SYNs the one counts that the SYN-ACK answers.", [HOST, URL])
def tcp_two_syns():
    t = Tcp()
    decoy = packet(t, 0, SYN, seq=5)
    return talk(t, [decoy] + t.open()[:1] + [packet(t, 0, SYN, seq=9)] + [packet(t, 1, SYN | ACK, seq=t.seq[1] - 1)] + [t.send(0, REQUEST)])


@case("Data in a SYN that the SYN-ACK did not take is sent again, and read then.", [HOST, URL])
def tcp_syn_data_decoy():
    t = Tcp()
    f = [packet(t, 0, SYN, DECOY[: len(REQUEST)])]
    t.seq[0] += 1
    f.append(packet(t, 1, SYN | ACK))
    t.seq[1] += 1
    return talk(t, f + [t.send(0, REQUEST)])


@case("Data far beyond any window is ignored.", [HOST, URL], {"stream.out_of_window": 1})
def tcp_out_of_window():
    t = Tcp()
    f = t.open() + [t.send(0, REQUEST[:9]), t.send(1, b"")]
    f += [packet(t, 0, ACK, DECOY, t.seq[0] + (1 << 30)), t.send(0, REQUEST[9:])]
    return talk(t, f)


@case("Urgent data is read in line.", [HOST, URL], {"stream.urgent": 1})
def tcp_urgent():
    t = Tcp()
    f = t.open() + [packet(t, 0, URG | PSH | ACK, REQUEST, urgent=5)]
    t.seq[0] += len(REQUEST)
    return talk(t, f)


@case("A hole that the other side acknowledges was lost to us: what follows is read.", [HOST, URL], {"stream.gap": 1})
def tcp_acknowledged_hole():
    t = Tcp()
    f = t.open() + [t.send(0, get("lost.example", "/"))]
    t.send(0, get("lost.example", "/lost"))
    return talk(t, f + [t.send(0, REQUEST), t.send(1, OK)])


@case("Both ends without a handshake.", [HOST, URL])
def tcp_mid_stream():
    t = Tcp()
    t.open()
    return talk(t, [t.send(0, REQUEST)])


@case("A pattern is found across segments, also when they come in any order.", [NEEDLE])
def payload_across_segments():
    t = Tcp(sport=7777)
    f = t.open()
    parts = pieces(t, 0, b"some text with a needle-42 in it", 3)
    return f + parts[::2] + parts[1::2] + [t.send(1, b"")] + t.close()


# ---- IP fragments ----


def fragments4(datagram, cuts, ident=99, proto=17, src=CLIENT, dst=DNS_SERVER):
    out = []
    for i, (at, end) in enumerate(zip([0] + cuts, cuts + [len(datagram)])):
        more = 0x2000 if end < len(datagram) else 0
        out.append(fragment4(datagram[at:end], at, more, ident, proto, src, dst))
    return out


def fragment4(data, at, more, ident=99, proto=17, src=CLIENT, dst=DNS_SERVER):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(data), ident, more | at // 8, 64, proto, 0, v4(src), v4(dst))
    return ether(head[:10] + struct.pack("!H", checksum(head)) + head[12:] + data)


LOOKUP = udp(CLIENT, 50000, DNS_SERVER, 53, dns(7, "www.bad.example"))
LOOKUP_FINE = udp(CLIENT, 50000, DNS_SERVER, 53, dns(7, "www.fin.example"))


@case("Fragments are put together in any order.", [QUERY] * 24, {"defrag.completed": 24})
def frag_all_orders():
    out = []
    for i, order in enumerate(itertools.permutations(range(4))):
        whole = udp(CLIENT, 50000 + i, DNS_SERVER, 53, dns(i, "www.bad.example"))
        parts = fragments4(whole, [8, 16, 24], 100 + i)
        out += [parts[k] for k in order]
    return out


@case("Of overlapping fragments the first copy counts.", [QUERY], {"defrag.overlap": 1, "defrag.completed": 1})
def frag_overlap_first_copy():
    return [fragment4(LOOKUP[16:], 16, 0), fragment4(LOOKUP_FINE[:24], 0, 0x2000)]


@case("A decoy that came first is what is read.", [], {"defrag.overlap": 1, "defrag.completed": 1})
def frag_overlap_decoy_first():
    return [fragment4(LOOKUP_FINE[16:], 16, 0), fragment4(LOOKUP[:40], 0, 0x2000)]


@case("A fragment that repeats one byte for byte is no conflict.", [QUERY], {"defrag.overlap": 0, "defrag.completed": 1})
def frag_duplicate():
    a, b = fragments4(LOOKUP, [16])
    return [a, a, b]


@case("A datagram with a hole is never looked at; its fragments are counted.", [], {"end.fragment": 2})
def frag_hole():
    a, _, b = fragments4(LOOKUP, [16, 24])
    return [a, b]


@case("TCP headers cut by fragments.", [HOST, URL], {"defrag.completed": 1})
def frag_tcp_header():
    t = Tcp()
    f = t.open()
    segment = t.send(0, REQUEST)[14 + 20 :]
    return talk(t, f + fragments4(segment, [8, 16, 24], 5, 6, CLIENT, SERVER))


def ip6(next_header, payload, src="2001:db8::10", dst="2001:db8::53"):
    return ether(struct.pack("!IHBB", 0x60000000, len(payload), next_header, 64) + v6(src) + v6(dst) + payload, 0x86DD)


def options6(next_header, octets=8):
    return struct.pack("!BB", next_header, octets // 8 - 1) + b"\1" + bytes([octets - 4]) + bytes(octets - 4)


LOOKUP6 = udp("2001:db8::10", 50000, "2001:db8::53", 53, dns(7, "www.bad.example"))
FINE6 = udp("2001:db8::10", 50000, "2001:db8::53", 53, dns(7, "www.fin.example"))


def fragment6(data, at, more, next_header=17):
    return ip6(44, struct.pack("!BBHI", next_header, 0, at | more, 0x01020304) + data)


@case("Extension headers are walked.", [QUERY])
def ip6_extension_headers():
    routing = struct.pack("!BBBB4x", 60, 0, 4, 0)
    return [ip6(0, options6(43) + routing + options6(17, 16) + LOOKUP6)]


@case("Eight extension headers more than anybody sends.", [QUERY])
def ip6_many_headers():
    return [ip6(60, b"".join(options6(60) for _ in range(7)) + options6(17) + LOOKUP6)]


@case("An atomic fragment (RFC 6946) is a whole datagram.", [QUERY])
def ip6_atomic_fragment():
    return [fragment6(LOOKUP6, 0, 0)]


@case("IPv6 datagrams with overlaps are kept (RFC 5722 throws them away): the first copy counts.", [QUERY], {"defrag.overlap": 1})
def ip6_overlap():
    return [fragment6(LOOKUP6[16:], 16, 0), fragment6(FINE6[:40], 0, 1)]


@case("Extension headers within the fragmented part.", [QUERY], {"defrag.completed": 1})
def ip6_headers_in_fragments():
    whole = options6(17, 32) + LOOKUP6
    return [fragment6(whole[24:], 24, 0, 60), fragment6(whole[:24], 0, 1, 60)]


# ---- wrapping ----

INNER = ip4(CLIENT, DNS_SERVER, 17, LOOKUP)


@case("Four VLAN tags.", [QUERY], {"decode.vlan": 1})
def vlan_four():
    return [ether(INNER, tags=[(0x88A8, 1), (0x88A8, 2), (0x8100, 3), (0x8100, 4)])]


@case("A priority tag (VLAN 0) and an old tag type.", [QUERY], {"decode.vlan": 1})
def vlan_zero():
    return [ether(INNER, tags=[(0x9100, 0), (0x8100, 0)])]


@case("Five MPLS labels.", [QUERY])
def mpls_five():
    stack = b"".join(struct.pack("!I", (16 + i) << 12 | (i == 4) << 8 | 64) for i in range(5))
    return [ether(stack + INNER, 0x8847)]


def gre(inner, kind=0x0800):
    return ip4("192.0.2.1", "198.51.100.9", 47, struct.pack("!HH", 0, kind) + inner)


@case("GRE over UDP (RFC 8086).", [QUERY], {"decode.tunnel": 1})
def gre_over_udp():
    data = struct.pack("!HH", 0, 0x0800) + INNER
    return [ether(ip4("192.0.2.1", "198.51.100.9", 17, udp("192.0.2.1", 50000, "198.51.100.9", 4754, data)))]


@case("IEEE 802.11 within GRE, as access points of Aruba send it.", [QUERY], {"decode.tunnel": 1})
def gre_wlan():
    frame = b"\x88\1\0\0" + b"\2" * 18 + b"\0\0\0\0" + b"\xaa\xaa\3\0\0\0\x08\0" + INNER
    return [ether(gre(frame, 0x8200))]


@case("What an ICMP error quotes is told as that, not as sent: address and question.",
      [("icmp.quoted.dest", "203.0.113.67"), ("icmp.quoted.name", "www.bad.example")], {"inspect.quoted": 1})
def icmp_quoted():
    data = ip4(CLIENT, "203.0.113.67", 17, LOOKUP)
    message = b"\3\1\0\0\0\0\0\0" + data
    message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
    return [ether(ip4("192.0.2.1", CLIENT, 1, message))]


@case("Tunnels in tunnels, to a depth.", [QUERY], {"decode.tunnel": 1})
def tunnels_nested():
    vxlan = udp("192.0.2.1", 5555, "198.51.100.9", 4789, struct.pack("!BxxxI", 8, 7 << 8) + ether(gre(INNER)))
    return [ether(ip4("192.0.2.1", "198.51.100.9", 4, ip4("192.0.2.1", "198.51.100.9", 17, vxlan)))]


@case("Deeper than that the packet ends in a counter.", [], {"end.too_deep": 1})
def tunnels_too_deep():
    p = INNER
    for _ in range(12):
        p = gre(p)
    return [ether(p)]


@case("Fragments of a tunnel's packets, and inside of it.", [QUERY], {"defrag.completed": 2})
def tunnel_fragments():
    parts = [f[14:] for f in fragments4(LOOKUP, [16])]
    out = []
    for i, p in enumerate(parts):
        outer = struct.pack("!HH", 0, 0x0800) + p
        out += fragments4(outer, [24], 50 + i, 47, "192.0.2.1", "198.51.100.9") if i == 0 else [ether(gre(p))]
    return out


@case("IPv4 options are stepped over.", [QUERY])
def ip4_options():
    head = bytearray(struct.pack("!BBHHHBBH4s4s", 0x4F, 0, 60 + len(LOOKUP), 0, 0, 64, 17, 0, v4(CLIENT), v4(DNS_SERVER)) + b"\1" * 40)
    head[10:12] = struct.pack("!H", checksum(bytes(head)))
    return [ether(bytes(head) + LOOKUP)]


@case("Padding behind the datagram does not count: the IP length decides.", [])
def ethernet_padding():
    return [ether(ip4(CLIENT, "203.0.113.9", 17, udp(CLIENT, 4000, "203.0.113.9", 4000, b"x")) + b"needle-42")]


@case("An address that an ICMP error quotes is not counted where nobody asks for it.", [], {"inspect.quoted": 1})
def icmp_quoted_unasked():
    data = ip4(CLIENT, "203.0.113.66", 6, b"\0\x50\0\x50\0\0\0\0")
    message = b"\3\1\0\0\0\0\0\0" + data
    message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
    return [ether(ip4("192.0.2.1", CLIENT, 1, message))]


@case("A device that SSDP announces from elsewhere.", [("ssdp.location", "http://tv.bad.example/d.xml")])
def ssdp_announces():
    data = b"NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nLOCATION: http://tv.bad.example/d.xml\r\n\r\n"
    return [ether(ip4(CLIENT, "239.255.255.250", 17, udp(CLIENT, 1900, "239.255.255.250", 1900, data)))]


# ---- TLS ----

HELLO = handshake(1, client_hello()[0])


def padded_hello(n):
    body, _ = client_hello()
    at = 2 + 32 + 1 + 2 + 6 + 2
    ext = body[at + 2 :] + extension(21, bytes(n))
    return handshake(1, body[:at] + struct.pack("!H", len(ext)) + ext)


def tls(stream, size=1400, reverse=False):
    t = Tcp(sport=443)
    f = t.open()
    parts = pieces(t, 0, stream, size)
    return f + (parts[::-1] if reverse else parts) + [t.send(1, b"")] + t.close()


@case("A hello in records of one byte.", [SNI])
def tls_records_of_one():
    return tls(b"".join(record(HELLO[i : i + 1]) for i in range(len(HELLO))))


@case("A hello in records of 16 bytes.", [SNI])
def tls_records_of_16():
    return tls(b"".join(record(HELLO[i : i + 16]) for i in range(0, len(HELLO), 16)))


@case("A hello in segments of one byte.", [SNI])
def tls_segments_of_one():
    return tls(record(HELLO), 1)


@case("A hello of 12 kB, its segments in reverse order.", [SNI], {"stream.reordered": 1})
def tls_large_reversed():
    return tls(record(padded_hello(12000)), 1400, True)


@case("A server name in other case and with a last dot is the same name.", [("tls.sni", "LOGIN.Bank.example.")])
def tls_name_case():
    return tls(record(renamed(b"LOGIN.Bank.example.")))


def renamed(host):
    body, _ = client_hello()
    old = struct.pack("!HBH", 21, 0, 18) + b"login.bank.example"
    new = struct.pack("!HBH", len(host) + 3, 0, len(host)) + host
    at = 2 + 32 + 1 + 2 + 6 + 2
    ext = body[at + 2 :].replace(struct.pack("!HH", 0, len(old)) + old, struct.pack("!HH", 0, len(new)) + new)
    return handshake(1, body[:at] + struct.pack("!H", len(ext)) + ext)


# ---- DNS ----


def ask(message, n=0, port=53):
    return ether(ip4(CLIENT, DNS_SERVER, 17, udp(CLIENT, 50000 + n, DNS_SERVER, port, message)))


def question(raw, ident=7, count=1):
    return struct.pack("!HHHHHH", ident, 0x0100, count, 0, 0, 0) + raw


TAIL = struct.pack("!HH", 1, 1)


@case("Names are compared without case.", [("dns.query", "wWw.BaD.eXaMpLe")])
def dns_mixed_case():
    return [ask(dns(1, "wWw.BaD.eXaMpLe"))]


@case("A dot within a label is none between labels: escaped, no hit.", [])
def dns_dot_in_label():
    return [ask(question(b"\x0fwww.bad.example\0" + TAIL)), ask(question(b"\7www.bad\7example\0" + TAIL), 1)]


@case("NUL within a label is escaped, no hit.", [])
def dns_nul_in_label():
    return [ask(question(b"\4bad\0\7example\0" + TAIL))]


@case("Pointers are followed, also one to another.", [QUERY])
def dns_pointers():
    first = dns_name("www.bad.example") + TAIL
    return [ask(question(first + b"\xc0\x10" + TAIL, 7, 2))]


@case("A pointer to itself, or around in a circle, breaks the message; what came before counts.", [QUERY], {"inspect.protocol_error": 1})
def dns_pointer_loop():
    first = dns_name("www.bad.example") + TAIL
    at = 12 + len(first)
    return [ask(question(first + struct.pack("!H", 0xC000 | at) + TAIL, 7, 2))]


@case("On any port.", [QUERY])
def dns_other_port():
    return [ask(dns(7, "www.bad.example"), 0, 5301)]


@case("Over TCP, the length cut from its message, two messages in one segment.", [QUERY])
def dns_over_tcp():
    t = Tcp(sport=53, server=DNS_SERVER)
    stream = b"".join(struct.pack("!H", len(m)) + m for m in (dns(1, "www.bad.example"), dns(2, "mail.bad.example")))
    return t.open() + [t.send(0, stream[:1]), t.send(0, stream[1:]), t.send(1, b"")] + t.close()


# ---- HTTP ----


def http(request, want_answer=OK, size=1400):
    t = Tcp()
    return t.open() + pieces(t, 0, request, size) + [t.send(1, want_answer)] + t.close()


@case("Field names are compared without case.", [HOST, URL, ("http.user_agent", "Evil/1.0")])
def http_header_case():
    return http(b"GET /x HTTP/1.1\r\nhOsT:www.bad.example\r\nUSER-agent:\tEvil/1.0 \r\n\r\n")


@case("A folded line (RFC 9112, 5.2) continues the field.", [("http.user_agent", "Evil/1.0"), HOST, URL])
def http_folding():
    return http(b"GET /x HTTP/1.1\r\nHost:\r\n www.bad.example\r\nUser-Agent:\r\n\tEvil/1.0\r\n\r\n")


@case("Lines may end with LF alone.", [HOST, URL])
def http_bare_lf():
    return http(b"GET /x HTTP/1.1\nHost: www.bad.example\n\n")


@case("Blanks before the colon do not hide a field.", [HOST, URL])
def http_blank_before_colon():
    return http(b"GET /x HTTP/1.1\r\nHost : www.bad.example\r\n\r\n")


@case("Of two Host fields both are tried.", [HOST, URL], {"inspect.ambiguous": 1})
def http_two_hosts():
    return http(b"GET /x HTTP/1.1\r\nHost: fine.example\r\nHost: www.bad.example\r\n\r\n")


@case("A name in the request line and another in Host: both are tried.", [HOST, URL])
def http_absolute():
    return http(b"GET http://www.bad.example/x HTTP/1.1\r\nHost: fine.example\r\n\r\n")


@case("A port and a last dot do not hide a host.", [("http.host", "www.bad.example."), ("http.url", "http://www.bad.example.:80/x")])
def http_host_dot():
    return http(b"GET /x HTTP/1.1\r\nHost: www.bad.example.:80\r\n\r\n")


@case("Empty lines before a request are skipped.", [HOST, URL])
def http_leading_lines():
    return http(b"\r\n\r\nGET /x HTTP/1.1\r\nHost: www.bad.example\r\n\r\n")


@case("Behind a malformed first request the next message is found.", [HOST, URL], {"inspect.resync": 1})
def http_malformed_first():
    t = Tcp()
    f = t.open() + [t.send(0, b"\1\2\3 what?\r\n\r\n"), t.send(1, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")]
    return talk(t, f + [t.send(0, REQUEST)])


@case("A request behind a SOCKS handshake is read.", [HOST, URL], {"inspect.resync": 1})
def http_behind_socks():
    t = Tcp()
    f = t.open() + [t.send(0, b"\5\1\0"), t.send(1, b"\5\0"), t.send(0, b"\5\1\0\1\xc6\x33\x64\7\0\x50")]
    return talk(t, f + [t.send(1, b"\5\0\0\1\0\0\0\0\0\0"), t.send(0, REQUEST)])


@case("A request line in two segments is one request, whatever its second half looks like.", [HOST, URL])
def http_split_like_a_request():
    return http(b"GET /x HTTP/1.1\r\nHost: www.bad.example\r\n\r\n", size=3)


@case("A file fetched in ranges, one after the other, is joined.", [HOST, FILE])
def http_ranges():
    t = Tcp()
    f = t.open()
    for at, part in ((0, b"a"), (1, b"bc")) * 2:
        f += [t.send(0, get("www.bad.example", "/f"))]
        head = b"HTTP/1.1 206 P\r\nContent-Range: bytes %d-%d/3\r\nContent-Length: %d\r\n\r\n"
        f += [t.send(1, head % (at, at + len(part) - 1, len(part)) + part)]
    return f + t.close()


@case("A TFTP request announces its transfer and nothing else: the file is hashed, DNS from the same port is DNS.",
      [FILE, QUERY])
def tftp_request_hides_nothing():
    def over(src, sport, dst, dport, data):
        return ether(ip4(src, dst, 17, udp(src, sport, dst, dport, data)))

    ask = over(CLIENT, 40000, SERVER, 69, b"\0\1a.bin\0octet\0")
    return [ask, over(CLIENT, 40000, DNS_SERVER, 53, dns(7, "www.bad.example")),
            ask, over(SERVER, 51234, CLIENT, 40000, b"\0\3\0\1abc"), over(CLIENT, 40000, SERVER, 51234, b"\0\4\0\1")]


def ftp_announces(path):
    """A session that announces a transfer from SERVER:8080."""
    c = Tcp(sport=21)
    talk = [(1, b"220 ready\r\n"), (0, b"USER a\r\n"), (1, b"230 in\r\n"), (0, b"PASV\r\n"),
            (1, b"227 Entering (%s,31,144)\r\n" % SERVER.replace(".", ",").encode()), (0, b"RETR %s\r\n" % path),
            (1, b"150 here\r\n")]
    return c.open() + [c.send(side, data) for side, data in talk]


@case("An FTP announcement hides nothing: HTTP on the announced connection is HTTP, also in pieces of a byte.", [HOST, URL])
def ftp_announcement_hides_nothing():
    t = Tcp(cport=40001, sport=8080)
    frames = ftp_announces(b"a.bin") + t.open() + [t.send(0, REQUEST[i:i + 1]) for i in range(8)]
    return frames + [t.send(0, REQUEST[8:])] + t.close()


@case("What is announced and looks like nothing else is the file, however short.", [FILE])
def ftp_short_file():
    t = Tcp(cport=40001, sport=8080)
    return ftp_announces(b"a.bin") + t.open() + [t.send(1, b"a"), t.send(1, b"bc")] + t.close()


@case("A body in chunks of one byte with extensions, compressed.", [FILE])
def http_chunks():
    body = b"".join(b"1;ext=%d\r\n%c\r\n" % (i, c) for i, c in enumerate(gzip.compress(b"abc", mtime=0))) + b"0\r\nTrailer: x\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n" + body
    return http(get("fine.example", "/"), answer)


@case("Chunked beats a Content-Length that says otherwise.", [FILE], {"inspect.ambiguous": 1})
def http_length_and_chunked():
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    return http(get("fine.example", "/"), answer)


# ---- DCE/RPC, SMB, NFS ----


def stream(data):
    """A connection on which the client says this."""
    t = Tcp()
    return t.open() + pieces(t, 0, data, 1000) + t.close()


def ntlm(user, before=b""):
    return (b"NTLMSSP\0" + struct.pack("<I", 3) + bytes(24) + struct.pack("<HHI", len(user), len(user), 64 + len(before))
            + bytes(20) + before + user)


def pdu(flags, token, kind=16):
    """A PDU of DCE/RPC that logs in."""
    return (struct.pack("<BBBB4sHHI", 5, 0, kind, flags, b"\x10\0\0\0", 28 + len(token), len(token), 1) + bytes(4)
            + b"\x0a\5\0\0\0\0\0\0" + token)


def smb2(command, flags, body):
    message = b"\xfeSMB" + struct.pack("<HHIHHII", 64, 0, 0, command, 1, flags, 0) + bytes(40) + body
    return struct.pack("!I", len(message)) + message


def pipe_write(fid, data):
    return smb2(9, 0, struct.pack("<HHIq", 49, 112, len(data), 0) + bytes([fid]) * 16 + bytes(16) + data)


@case("A login's token is joined over fragments; one that begins anew is another.", [LOGIN])
def dcerpc_fragments():
    token, decoy = ntlm(b"evil-user"), ntlm(b"fine-user")
    return stream(pdu(1, decoy[:40]) + pdu(1, token[:40]) + pdu(0, token[40:60]) + pdu(2, token[60:]))


@case("A token that is whole is read, whatever its fragment's flags say.", [LOGIN])
def dcerpc_flags_lie():
    return stream(pdu(0, ntlm(b"evil-user")))


@case("A call over several writes to a pipe, with another pipe's in between.", [LOGIN])
def smb_pipe_writes():
    evil, fine = pdu(3, ntlm(b"evil-user")), pdu(3, ntlm(b"fine-user"))
    return stream(b"".join(pipe_write(7, evil[i : i + 9]) + pipe_write(8, fine[i : i + 9]) for i in range(0, len(evil), 9)))


@case("A CLOSE that may have been refused takes nothing away that a pipe waits for.", [LOGIN])
def smb_pipe_close_refused():
    evil = pdu(3, ntlm(b"evil-user"))
    return stream(pipe_write(7, evil[:50]) + smb2(6, 0, struct.pack("<HHI", 24, 0, 0) + b"\7" * 16) + pipe_write(7, evil[50:]))


@case("What looks like a call's beginning within a call is a part of it.", [LOGIN])
def smb_pipe_call_within():
    decoy = pdu(3, b"")[:16]
    evil = pdu(3, ntlm(b"evil-user", decoy))
    at = evil.index(decoy, 16)
    return stream(pipe_write(7, evil[:at]) + pipe_write(7, evil[at:]))


def opaque(data):
    return struct.pack("!I", len(data)) + data + bytes(-len(data) % 4)


def nfs_lookup(name):
    call = struct.pack("!10I", 7, 0, 2, 100003, 3, 3, 0, 0, 0, 0)
    return call + opaque(b"handle") + opaque(name)


def fragments(data, size):
    return b"".join(struct.pack("!I", (i + size >= len(data)) << 31 | len(data[i : i + size])) + data[i : i + size]
                    for i in range(0, len(data), size))


@case("A call of NFS is read over its fragments, the first of one byte, too.", [NFS_FILE])
def nfs_fragments():
    return stream(fragments(nfs_lookup(b"evil.exe"), 1))


@case("A fragment that looks like a call is a part of the one before it.", [])
def nfs_call_within():
    call = nfs_lookup(b"fine.exe")
    return stream(fragments(call + nfs_lookup(b"evil.exe"), len(call)))


# ---- DNS ----


def to_dns(message, port=50000):
    return ether(ip4(CLIENT, DNS_SERVER, 17, udp(CLIENT, port, DNS_SERVER, 53, message)))


def operation(code, message):
    return message[:2] + bytes([code << 3]) + b"\0" + message[4:]


@case("The names of a notification and an update are matched.", [QUERY] * 2, {"inspect.dns_opcode": 0})
def dns_operations():
    return [to_dns(operation(code, dns(code, "www.bad.example", kind=6)), code) for code in (4, 5)]


@case("An operation that is not known hides no question.", [QUERY], {"inspect.dns_opcode": 1})
def dns_operation_unknown():
    return [to_dns(operation(11, dns(7, "www.bad.example")) + b"what nobody knows")]


@case("An operation that is not known, and no question either: nothing is matched.", [], {"inspect.dns_opcode": 1})
def dns_operation_rubbish():
    return [to_dns(dns(6, "fine.example")), to_dns(operation(11, dns(7, "www.bad.example"))[:20])]


# ---- mail ----


@case("A login that was refused, unseen, hides no mail.", [("login.user", "evil-user"), FILE])
def smtp_login_refused():
    token = base64.b64encode(b"\0evil-user\0pw")
    mail = b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\nYWJj\r\n.\r\n"
    return stream(b"EHLO a\r\nAUTH PLAIN " + token + b"\r\nAUTH LOGIN\r\nDATA\r\n" + mail + b"QUIT\r\n")


# ---- SCTP ----


def sctp(tsn, flags, data, stream=1, port=5000):
    chunk = struct.pack("!BBHIHHI", 0, flags, 16 + len(data), tsn, stream, 0, 0) + data + bytes(-len(data) % 4)
    return ether(ip4(CLIENT, SERVER, 132, struct.pack("!HHII", 40000, port, 1, 0) + chunk))


def i_data(tsn, flags, number, data):
    chunk = struct.pack("!BBHIHHII", 64, flags, 20 + len(data), tsn, 1, 0, 1, number) + data + bytes(-len(data) % 4)
    return ether(ip4(CLIENT, SERVER, 132, struct.pack("!HHII", 40000, 5000, 1, 0) + chunk))


@case("A message of SCTP is put together in any order of its fragments, those of other streams in between.", [NEEDLE])
def sctp_reverse():
    parts = [sctp(9, 1, b"42"), sctp(5, 2, b"nee", 2), sctp(8, 0, b"dle-"), sctp(7, 2, b"nee"), sctp(6, 1, b"dle-43", 2)]
    return parts


@case("A byte at a time, as I-DATA, with transmission numbers that say nothing.", [NEEDLE])
def sctp_i_data_tiny():
    data = b"needle-42"
    return [i_data(50 - i, 2 * (i == 0) + (i == len(data) - 1), i, data[i : i + 1]) for i in range(len(data))]


@case("A fragment that comes again with other bytes does not count.", [NEEDLE])
def sctp_first_copy():
    return [sctp(7, 2, b"needle"), sctp(7, 2, b"noodle"), sctp(8, 1, b"-42")]


@case("Two messages are not one.", [])
def sctp_two_messages():
    return [sctp(7, 3, b"needle"), sctp(8, 3, b"-42")]


@case("A question over SCTP, in fragments.", [QUERY])
def sctp_dns():
    message = dns(7, "www.bad.example")
    return [sctp(7, 2, message[:15], port=53), sctp(8, 1, message[15:], port=53)]


# ---- running ----


def ledger(text):
    out = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) > 1 and "." in words[0] and words[1].isdigit():
            out[words[0]] = int(words[1])
    return out


def run(build, folder, name, want, counters, make):
    path = os.path.join(folder, name + ".pcap")
    with open(path, "wb") as f:
        f.write(pcap(make()))
    p = subprocess.run([build + "/picket", "scan", "--json", "--dpi", "off", "--rules", os.path.join(folder, "rules.csv"), path],
                       capture_output=True, text=True, timeout=120)
    got = sorted((a["observable"]["where"], a["observable"]["value"]) for a in map(json.loads, p.stdout.splitlines()))
    count = ledger(p.stderr)
    wrong = []
    if p.returncode != 0:
        wrong.append("exit code %d: %s" % (p.returncode, p.stderr[-400:]))
    if "does not balance" in p.stderr:
        wrong.append("the ledger does not balance")
    if got != sorted(want):
        wrong.append("alerts %s, expected %s" % (got, sorted(want)))
    for key, least in counters.items():
        have = count.get(key, 0)
        if have < least or (least == 0 and have):
            wrong.append("%s is %d, expected %s" % (key, have, "none" if least == 0 else "at least %d" % least))
    for w in wrong:
        print("evade: %s: %s" % (name, w))
    return not wrong


def main():
    if sys.argv[1:2] == ["--list"]:
        for name, decision, _, counters, _ in cases:
            print("%-28s %s%s" % (name, decision, "".join("  [%s]" % k for k, n in counters.items() if n)))
        return 0
    if sys.argv[1:2] == ["--write"]:
        for name, _, _, _, make in cases:
            with open(os.path.join(sys.argv[2], name + ".pcap"), "wb") as f:
                f.write(pcap(make()))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "rules.csv"), "w") as f:
            f.write(RULES)
        good = sum(run(sys.argv[1], folder, name, want, counters, make) for name, _, want, counters, make in cases)
    print("evade: %d of %d cases as decided" % (good, len(cases)))
    return 0 if good == len(cases) else 1


if __name__ == "__main__":
    sys.exit(main())
