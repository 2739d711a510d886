"""A gateway that says nothing of a window, as the first version did: old_partner.py PORT CERT KEY CA NAME COUNT

Takes COUNT objects over a link and answers none of them until nothing more comes. Exits 1
when more than four OBJECTS of a lane were on their way, as that version closed the link then."""
import os
import socket
import ssl
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "torture"))
from hostile import frame  # noqa: E402

HELLO, WELCOME, OBJECTS, TAKEN = 0, 1, 16, 17
port, cert, key, ca, name, want = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False
context.load_cert_chain(cert, key)
context.load_verify_locations(ca)
link = context.wrap_socket(socket.create_connection(("127.0.0.1", int(port))))
short = lambda text: bytes([len(text)]) + text.encode()
link.sendall(frame(HELLO, struct.pack(">QB", 1, 2) + short(name) + short("0.1")))
buffer, objects, most, until = b"", 0, 0, time.monotonic() + 60
while objects < int(want) and time.monotonic() < until:
    waiting, last = 0, None
    link.settimeout(0.7)
    try:
        while True:
            got = link.recv(1 << 16)
            if not got:
                sys.exit("the link was closed")
            buffer += got
            while len(buffer) >= 12 and len(buffer) >= 12 + struct.unpack(">I", buffer[4:8])[0]:
                size = struct.unpack(">I", buffer[4:8])[0]
                kind, payload, buffer = buffer[3], buffer[12:12 + size], buffer[12 + size:]
                if kind == HELLO:
                    link.sendall(frame(WELCOME, struct.pack(">QQ", 0, 0)))
                if kind == OBJECTS and payload[0] == 0:
                    waiting += 1
                    last = payload[1:9]
                    objects += struct.unpack(">H", payload[9:11])[0]
    except TimeoutError:
        pass
    most = max(most, waiting)
    if last:
        link.sendall(frame(TAKEN, b"\0" + last))
print(f"{objects} objects, at most {most} OBJECTS without an answer")
sys.exit(objects < int(want) or most > 4)
