"""Asks for a name as a resolver's client would: lookup.py NAME PORT. One datagram to loopback; nobody needs to answer."""
import socket
import sys

name = b"".join(bytes([len(part)]) + part.encode() for part in sys.argv[1].split(".")) + b"\0"
query = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0" + name + b"\0\x01\0\x01"
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(query, ("127.0.0.1", int(sys.argv[2])))
