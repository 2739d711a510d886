#!/usr/bin/env python3
"""FTP sessions, each with one transfer on a connection of its own, as a capture.

ftp_sessions.py COUNT FILE: the file that is moved is "abc", in two segments.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "golden"))
from make_captures import SERVER, Tcp, pcap  # noqa: E402


def session(i):
    port = 20000 + i
    control = Tcp(cport=30000 + i, sport=21)
    data = Tcp(cport=40000 + i, sport=port)
    address = b"%s,%d,%d" % (SERVER.replace(".", ",").encode(), port >> 8, port & 255)
    frames = control.open()
    for side, line in ((1, b"220 ready"), (0, b"USER a"), (1, b"230 in"), (0, b"PASV"), (1, b"227 Entering (%s)" % address),
                       (0, b"RETR f%d.bin" % i), (1, b"150 here")):
        frames.append(control.send(side, line + b"\r\n"))
    return frames + data.open() + [data.send(1, b"a"), data.send(1, b"bc")] + data.close() + control.close()


def main():
    frames = [f for i in range(int(sys.argv[1])) for f in session(i)]
    with open(sys.argv[2], "wb") as f:
        f.write(pcap(frames))


main()
