#!/usr/bin/env python3
"""Strangers at the collector's port while a good sensor works.

Every case is a client that must get nothing: its connection ends in time, its
bytes leave no trace in Redis, and the good sensor beside it is acknowledged as
if nobody else were there. At the end the collector's memory, its log and its own
count of what it turned away are looked at.

  hostile.py --build build [--idle N]

All cases run while N sensors (300) are connected over TLS and say nothing.

Exit: 0 all good, 1 a case failed, 4 the test itself could not run.
"""
import argparse
import os
import random
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
from torture import PREFIX, Redis, free_port  # noqa: E402

HELLO, WELCOME, DATA, ACK, REWIND, STATUS, BYE = range(7)
HELLO_S, FRAME_S = 1.0, 1.0  # limits.hello, limits.frame of this collector
ENDS_WITHIN_S = 2.5
SERVED_WITHIN_S = 0.25
MEMORY_MAX = 96 << 20
MEMORY_PER_IDLE_MAX = 64 << 10  # of a connected sensor that says nothing
LOG_LINES_MAX = 60
REFUSED_LEAST, SENT_AWAY_LEAST = 200, 24  # from the cases below
HOSTILE_ADDRESS = "127.0.0.2"  # limits.per_address must not meet the good sensor

CRC_TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    CRC_TABLE.append(byte)


def crc32c(data):
    crc = 0xFFFFFFFF
    for b in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ b) & 0xFF]
    return crc ^ 0xFFFFFFFF


def frame(kind, payload, length=None, crc=None):
    head = b"PK" + struct.pack(">BBI", 1, kind, len(payload) if length is None else length)
    return head + struct.pack(">I", crc32c(head + payload) if crc is None else crc) + payload


def hello(name, epoch=7):
    name = name.encode()
    return frame(HELLO, struct.pack(">QBB", epoch, 0, len(name)) + name + b"\x010")


def record(value, us=None, n=1):
    us = int(time.time() * 1e6) if us is None else us
    out = struct.pack(">BBBBIQQ16s", 1, 0, 2, 0, n, us, us, b"k" * 16)
    fields = {1: "hostile", 3: "I-" + value, 4: "domain", 5: value, 6: "dns.query", 7: "10.0.0.1", 9: "10.0.0.1"}
    for field, text in fields.items():
        out += struct.pack(">BH", field, len(text)) + text.encode()
    return out


def data(first, *records, count=None):
    body = b"".join(struct.pack(">I", len(r)) + r for r in records)
    return frame(DATA, struct.pack(">QI", first, len(records) if count is None else count) + body)


class Client:
    def __init__(self, test, cert=None, source=HOSTILE_ADDRESS):
        self.sock = socket.create_connection(("127.0.0.1", test.port), 5, source_address=(source, 0))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pending = b""
        if cert:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.load_verify_locations(f"{test.certs}/collector-ca.crt")
            context.load_cert_chain(f"{test.certs}/{cert}.crt", f"{test.certs}/{cert}.key")
            self.sock = context.wrap_socket(self.sock)

    def send(self, *frames):
        self.sock.sendall(b"".join(frames))

    def read(self, seconds=3.0):
        """The next frame's type and payload; None when the connection has ended."""
        until = time.monotonic() + seconds
        while True:
            if len(self.pending) >= 12:
                kind, size = self.pending[3], struct.unpack_from(">I", self.pending, 4)[0]
                if len(self.pending) >= 12 + size:
                    payload, self.pending = self.pending[12 : 12 + size], self.pending[12 + size :]
                    return kind, payload
            self.sock.settimeout(max(0.01, until - time.monotonic()))
            try:
                got = self.sock.recv(65536)
            except (ConnectionError, ssl.SSLError) as e:
                if isinstance(e, ssl.SSLWantReadError):
                    continue
                return None
            if not got:
                return None
            self.pending += got

    def number(self, kind):
        """Reads up to a frame of the kind; its number."""
        while True:
            got = self.read()
            if got is None:
                raise AssertionError("the collector has closed the connection")
            if got[0] == kind:
                return struct.unpack_from(">Q", got[1])[0]

    def session(self, name, epoch=7):
        self.send(hello(name, epoch))
        return self.number(WELCOME)

    def ends(self):
        """That the other side closes, in time; what it says before does not count."""
        until = time.monotonic() + ENDS_WITHIN_S
        try:
            while self.read(until - time.monotonic()):
                pass
        except TimeoutError:
            raise AssertionError(f"the connection is still open after {ENDS_WITHIN_S} s") from None
        self.close()

    def close(self):
        self.sock.close()


class IdleSensors:
    """N sensors of their own names and addresses, connected and silent."""

    def __init__(self, test, n):
        words = [f"127.0.0.1:{test.port}", str(n)] + [f"{test.certs}/{name}" for name in (
            "good.crt", "good.key", "sensor-ca.crt", "sensor-ca.key", "collector-ca.crt")]  # fmt: skip
        before = test.memory()["VmRSS"]
        self.process = subprocess.Popen([f"{test.build}/tests/bench/bench_collector", "idle", *words],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # fmt: skip
        test.processes.append(self.process)
        took = self.process.stdout.readline().strip()
        self.bytes = (test.memory()["VmRSS"] - before) / n
        print(f"  {n} idle sensors: {self.bytes / 1024:.1f} KiB each, connected in {took} s")

    def disturbed(self):
        """How many the collector has closed, or told something."""
        return int(self.process.communicate()[0])


class GoodSensor(threading.Thread):
    """Sends one alert after the other and measures until each is acknowledged."""

    def __init__(self, test):
        super().__init__(daemon=True)
        self.client = Client(test, "good", source="127.0.0.1")
        self.waits, self.sent, self.stop, self.failure = [], 0, False, None
        self.first = self.client.session("good") + 1

    def run(self):
        try:
            while not self.stop:
                begin = time.monotonic()
                self.client.send(data(self.first + self.sent, record("good.example")))
                self.sent += 1
                while self.client.number(ACK) < self.first + self.sent - 1:
                    pass
                self.waits.append(time.monotonic() - begin)
                time.sleep(0.02)
        except (OSError, AssertionError) as e:
            self.failure = e


# ---- cases ----


def case_random_bytes(test):
    for _ in range(20):
        c = Client(test)
        c.send(test.rng.randbytes(test.rng.randrange(1, 4000)))
        c.ends()


def case_silence(test):
    Client(test).ends()


def case_half_a_handshake(test):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        context.wrap_bio(incoming, outgoing).do_handshake()
    except ssl.SSLWantReadError:
        pass
    first = outgoing.read()
    for cut in (1, 5, len(first) // 2, len(first)):
        c = Client(test)
        c.send(first[:cut])
        c.ends()


def case_tls_and_silence(test):
    Client(test, "evil").ends()


def case_tls_and_random_bytes(test):
    for _ in range(5):
        c = Client(test, "evil")
        c.send(test.rng.randbytes(3000))
        c.ends()


def case_slow_hello(test):
    c = Client(test, "evil")
    try:
        for b in hello("evil"):
            c.send(bytes([b]))
            time.sleep(0.2)
            if time.monotonic() > test.case_began + ENDS_WITHIN_S:
                raise AssertionError("a HELLO may take as long as it likes")
    except OSError:
        pass
    c.close()


def case_slow_frame(test):
    c = Client(test, "evil")
    c.session("evil")
    c.send(frame(DATA, b"x" * 100000)[:50000])
    c.ends()


def case_lengths(test):
    whole = data(1, record("lies.example"))
    lies = {
        "a length of 4 GB": frame(DATA, b"", length=0xFFFFFFFF),
        "one byte over the limit": frame(DATA, b"", length=(1 << 20) + 1),
        "a record beyond its frame": data(1, record("lies.example"))[:12] + b"",
        "more records than there are": data(1, record("lies.example"), count=1000000),
        "no records": data(1),
        "number 0": data(0, record("lies.example")),
        "number 2^64-1": data((1 << 64) - 1, record("lies.example")),
        "bytes after the last record": frame(DATA, whole[12:] + b"more"),
        "a wrong CRC": whole[:8] + b"\0\0\0\0" + whole[12:],
        "an unknown type": frame(99, b""),
        "WELCOME from a client": frame(WELCOME, struct.pack(">Q", 1)),
        "HELLO again": hello("evil"),
    }
    bad = record("lies.example")
    lies["a record beyond its frame"] = frame(DATA, struct.pack(">QII", 1, 1, len(bad) + 1) + bad)
    for label, bytes_ in lies.items():
        c = Client(test, "evil")
        c.session("evil")
        c.send(bytes_)
        try:
            c.ends()
        except AssertionError as e:
            raise AssertionError(f"{label}: {e}") from None


def case_data_before_hello(test):
    c = Client(test, "evil")
    c.send(data(1, record("early.example")))
    c.ends()


def case_certificates(test):
    for cert in ("stranger", "expired", "revoked", "collector-2"):
        try:
            c = Client(test, cert)
            c.send(hello(cert))
            got = c.read()
        except (ConnectionError, ssl.SSLError):
            continue
        if got:
            raise AssertionError(f"{cert}: got a frame of type {got[0]}")


def case_another_name(test):
    c = Client(test, "evil")
    c.send(hello("good"), data(1, record("stolen.example")))
    got = c.read()
    if not got or got[0] != BYE:
        raise AssertionError(f"the name of another sensor is answered by {got}")
    c.ends()


def case_replayed_frames(test):
    """The bytes of a session of its own, once more: nothing counts twice."""
    frames = [data(i, record("replay.example")) for i in range(1, 6)]
    for _ in range(3):
        c = Client(test, "evil")
        c.session("evil", epoch=9)
        c.send(*frames)
        if _ == 0:
            while c.number(ACK) < 5:
                pass
        else:
            time.sleep(0.3)
        c.close()
    if (n := test.count("replay.example")) != 5:
        raise AssertionError(f"5 alerts and their replays count as {n}")


def case_replayed_tls(test):
    """What went over the wire, once more: it opens nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(f"{test.certs}/evil.crt", f"{test.certs}/evil.key")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls, recorded, wire = context.wrap_bio(incoming, outgoing), [], Client(test)

    def step(action):
        while True:
            try:
                result, again = action(), False
            except ssl.SSLWantReadError:
                result, again = None, True
            if outgoing.pending:
                recorded.append(outgoing.read())
                wire.send(recorded[-1])
            if not again:
                return result
            incoming.write(wire.sock.recv(65536))

    step(tls.do_handshake)
    step(lambda: tls.write(hello("evil", epoch=11)))
    step(lambda: tls.read(4096))
    step(lambda: tls.write(data(1, record("wire.example"))))
    step(lambda: tls.read(4096))
    wire.close()
    c = Client(test)
    c.send(*recorded)
    c.ends()
    if (n := test.count("wire.example")) != 1:
        raise AssertionError(f"one alert and its replay count as {n}")


def case_future(test):
    c = Client(test, "evil")
    c.session("evil", epoch=13)
    c.send(data(1, record("future.example", us=int((time.time() + 10 * 365 * 86400) * 1e6))))
    c.number(ACK)
    c.close()
    last = test.group("future.example")["last_seen"].decode()
    if last[:10] > time.strftime("%Y-%m-%d", time.gmtime(time.time() + 2)):
        raise AssertionError(f"an event of the future is seen at {last}")


def case_unreadable_records(test):
    c = Client(test, "evil")
    c.session("evil", epoch=15)
    c.send(data(1, *(test.rng.randbytes(60) for _ in range(50))))
    while c.number(ACK) < 50:
        pass
    c.close()


def case_tls_before_13(test):
    """What was good in 2008: its handshake must not come to an end."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(f"{test.certs}/evil.crt", f"{test.certs}/evil.key")
    c = Client(test)
    try:
        context.wrap_socket(c.sock)
    except (ConnectionError, ssl.SSLError):
        return
    raise AssertionError("TLS 1.2 is spoken")


def case_names_in_certificates(test):
    """Signed by the right CA, and no sensor's: names that could pass for another's."""
    for cert in test.odd_certificates:
        try:
            c = Client(test, cert)
            c.send(hello("good"), data(1, record("stolen.example")))
            got = c.read()
        except (ConnectionError, ssl.SSLError):
            continue
        if got and got[0] != BYE:
            raise AssertionError(f"{cert}: got a frame of type {got[0]}")


def case_slow_handshake(test):
    """A byte of the ClientHello now and then."""
    c = Client(test)
    try:
        for b in b"\x16\x03\x01\x02\x00\x01" + bytes(506):
            c.send(bytes([b]))
            time.sleep(0.2)
            if time.monotonic() > test.case_began + ENDS_WITHIN_S:
                raise AssertionError("a handshake may take as long as it likes")
    except OSError:
        pass
    c.close()


def case_never_reads(test):
    """Sends one alert after the other and takes no acknowledgement: what waits for it is bounded."""
    c = Client(test, "evil")
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    first = c.session("evil", epoch=19) + 1
    c.sock.settimeout(0.5)
    try:
        for i in range(20000):
            c.send(data(first + i, record("deaf.example")))
    except (TimeoutError, OSError, ssl.SSLError):
        pass
    c.close()


def case_web_request(test):
    for request in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"SSH-2.0-x\r\n", b"*1\r\n$8\r\nFLUSHALL\r\n"):
        c = Client(test)
        c.send(request)
        c.ends()


def case_connect_and_leave(test):
    """A thousand connections, each over before it was accepted."""
    for _ in range(1000):
        c = Client(test)
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        c.close()


def case_many_at_once(test):
    """More connections than one address may have, each with a megabyte that does not end."""
    clients = []
    for _ in range(200):
        try:
            clients.append(Client(test))
        except OSError:
            break
    for c in clients:
        try:
            c.sock.settimeout(0.05)
            c.send(b"\x16\x03\x01\x40\x00" + b"\x01" * 60000)
        except OSError:
            pass
    for c in clients:
        c.ends()


def case_many_sessions_of_one(test):
    """One certificate, many sessions, each with a frame that does not end."""
    for _ in range(20):
        try:
            c = Client(test, "evil")
            c.send(hello("evil", epoch=17), frame(DATA, b"x" * 1000000)[:999999])
        except (OSError, ssl.SSLError):
            pass


# ---- the whole ----


class Test:
    def __init__(self, build, idle):
        self.idle_n = idle
        self.build, self.rng = os.path.abspath(build), random.Random(os.environ.get("SEED", "hostile"))
        self.dir = tempfile.mkdtemp(prefix="hostile.")
        self.certs, self.socket = os.path.join(self.dir, "certs"), os.path.join(self.dir, "redis.sock")
        self.port, self.processes, self.case_began = free_port(), [], 0

    def certificates(self):
        tool = os.path.join(HERE, "../../deploy/make-test-ca.sh")

        def make(folder, *words):
            subprocess.run([tool, folder, "hostile", *words], check=True, stdout=subprocess.DEVNULL)

        make(self.certs, "30", "collector", "collector-1", "collector-2")
        make(self.certs, "30", "sensor", "good", "evil", "revoked")
        make(self.certs, "0", "sensor", "expired")
        strangers = os.path.join(self.dir, "strangers")
        make(strangers, "30", "sensor", "stranger")
        for kind in ("crt", "key"):
            shutil.copy(f"{strangers}/stranger.{kind}", self.certs)
        subprocess.run([tool, "--revoke", self.certs, "sensor", "revoked"], check=True)
        self.odd()

    def odd(self):
        """Certificates of the sensors' CA whose names are odd: name -> lines of extensions."""
        good = "URI:picket://hostile/sensor/good"
        self.odd_certificates = {
            "no-name": ("/CN=good", "subjectAltName=DNS:good"),
            "common-name": ("/CN=picket:\\/\\/hostile\\/sensor\\/good", "basicConstraints=critical,CA:FALSE"),
            "collectors-role": ("/CN=good", "subjectAltName=URI:picket://hostile/collector/good"),
            "two-names": ("/CN=good", f"subjectAltName={good},URI:picket://hostile/sensor/evil"),
            "longer-path": ("/CN=good", f"subjectAltName={good}/evil"),
            "upper-scheme": ("/CN=good", "subjectAltName=URI:PICKET://hostile/sensor/good"),
            "escaped": ("/CN=good", "subjectAltName=URI:picket://hostile/sensor/goo%64"),
            "server-only": ("/CN=good", f"subjectAltName={good}\nextendedKeyUsage=serverAuth"),
        }
        for name, (subject, extensions) in self.odd_certificates.items():
            base = f"{self.certs}/{name}"
            with open(f"{base}.ext", "w") as f:
                f.write(extensions + "\n")
            request = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", subject,
                       "-keyout", f"{base}.key", "-out", f"{base}.csr"]  # fmt: skip
            sign = ["openssl", "x509", "-req", "-in", f"{base}.csr", "-CA", f"{self.certs}/sensor-ca.crt", "-CAkey",
                    f"{self.certs}/sensor-ca.key", "-days", "30", "-extfile", f"{base}.ext", "-out", f"{base}.crt"]  # fmt: skip
            for words in (request, sign):
                subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def start(self):
        self.certificates()
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
        redis = ["redis-server", "--port", "0", "--save", "", "--unixsocket", self.socket, "--dir", self.dir]
        self.processes.append(subprocess.Popen(redis, **quiet))
        settings = {
            "listen.address": f"127.0.0.1:{self.port}", "redis.address": f"unix:{self.socket}",
            "tls.cert": f"{self.certs}/collector-1.crt", "tls.key": f"{self.certs}/collector-1.key",
            "tls.ca": f"{self.certs}/sensor-ca.crt", "tls.crl": f"{self.certs}/sensor-ca.crl",
            "limits.connections": self.idle_n + 1000,
            "limits.hello": f"{int(HELLO_S * 1000)}ms", "limits.frame": f"{int(FRAME_S * 1000)}ms",
        }  # fmt: skip
        words = [w for k, v in settings.items() for w in ("--set", f"{k}={v}")]
        self.log = os.path.join(self.dir, "collector.log")
        with open(self.log, "wb") as log:
            collector = subprocess.Popen(
                [os.path.join(self.build, "picket-collector"), *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.processes.append(collector)
        self.collector = collector
        until = time.monotonic() + 15
        while True:
            try:
                self.redis = Redis(self.socket)
                self.good = GoodSensor(self)
                return
            except (OSError, ConnectionError, AssertionError):
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)

    def group(self, value):
        for key in self.redis.keys(PREFIX + "alert:*"):
            if not key.endswith(b":peers") and self.redis("HGET", key, "value") == value.encode():
                return self.redis.hash(key)
        return {}

    def count(self, value):
        return int(self.group(value).get("n", 0))

    def memory(self):
        with open(f"/proc/{self.collector.pid}/status") as f:
            return {w[0]: int(w[1]) * 1024 for line in f if (w := line.replace(":", "").split())[0] in ("VmRSS", "VmHWM")}

    def run(self):
        failed = 0
        idle = IdleSensors(self, self.idle_n)
        self.good.start()
        for name, case in [(k[5:], v) for k, v in globals().items() if k.startswith("case_")]:
            self.case_began, waits = time.monotonic(), len(self.good.waits)
            why = ""
            try:
                case(self)
            except (AssertionError, OSError, KeyError) as e:
                why = f"{type(e).__name__}: {e}"
            took = time.monotonic() - self.case_began
            while len(self.good.waits) < waits + 3 and self.good.is_alive():
                time.sleep(0.01)
            worst = max(self.good.waits[waits:], default=9)
            # A machine that does other things may delay one of many.
            late = sum(w > SERVED_WITHIN_S for w in self.good.waits[waits:])
            if not why and late > 1 + len(self.good.waits[waits:]) // 50:
                why = f"the good sensor waited {late} times for more than {SERVED_WITHIN_S} s"
            if not why and self.collector.poll() is not None:
                why = f"the collector has ended with {self.collector.returncode}"
            failed += bool(why)
            print(f"  {name:24}{'ok' if not why else 'FAILED: ' + why:4} in {took:.1f} s, good sensor at worst {worst * 1000:.0f} ms")
        if disturbed := idle.disturbed():
            print(f"  FAILED: {disturbed} of {self.idle_n} idle sensors were not left alone")
            failed += 1
        if self.judges_memory and idle.bytes > MEMORY_PER_IDLE_MAX:
            print(f"  FAILED: an idle sensor takes {idle.bytes / 1024:.1f} KiB of the collector's memory")
            failed += 1
        return failed + self.ending()

    @property
    def judges_memory(self):
        """Not of a build with a sanitizer, which keeps what was freed."""
        return "address" not in os.path.basename(os.path.normpath(self.build))

    def ending(self):
        self.good.stop = True
        self.good.join(5)
        failures = [f"the good sensor's session ended: {self.good.failure}"] if self.good.failure else []
        memory = self.memory()
        self.collector.send_signal(signal.SIGTERM)
        self.collector.wait(20)
        with open(self.log) as f:
            lines = f.read().splitlines()
        if self.collector.returncode != 0:
            failures.append(f"the collector has ended with {self.collector.returncode}")
        if self.count("good.example") != self.good.sent:
            failures.append(f"the good sensor sent {self.good.sent}, Redis has {self.count('good.example')}")
        for value in ("lies.example", "early.example", "stolen.example"):
            if self.count(value):
                failures.append(f"{value} has come into Redis")
        if self.judges_memory and memory["VmHWM"] > MEMORY_MAX + self.idle_n * MEMORY_PER_IDLE_MAX:
            failures.append(f"the collector has used {memory['VmHWM'] >> 20} MB")
        if len(lines) > LOG_LINES_MAX:
            failures.append(f"the collector's log has {len(lines)} lines")
        last = [x for x in lines if " accepted, " in x]
        counted = re.search(r"(\d+) refused, (\d+) sent away", last[-1]) if last else None
        if not counted or int(counted[1]) < REFUSED_LEAST or int(counted[2]) < SENT_AWAY_LEAST:
            failures.append("the collector has not counted what it turned away")
        for phrase in ("refused a connection", "sent away"):
            if not 1 <= sum(phrase in x and " accepted, " not in x for x in lines) <= 2:
                failures.append(f"\"{phrase}\" should be logged once a minute")
        for text in failures:
            print("  FAILED: " + text)
        print(f"  memory at most {memory['VmHWM'] >> 20} MB, {len(lines)} lines of log; {last[-1].split(': ', 1)[1] if last else 'no count'}")
        return len(failures)

    def close(self, keep):
        for p in self.processes:
            if p.poll() is None:
                p.kill()
        if keep:
            print(f"  everything is kept in {self.dir}")
        else:
            shutil.rmtree(self.dir, ignore_errors=True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--build", default="build")
    p.add_argument("--idle", type=int, default=300)
    words, failed = p.parse_args(), 4
    test = Test(words.build, words.idle)
    try:
        test.start()
        failed = test.run()
        print(f"hostile: {'all refused' if not failed else 'FAILED'}")
    finally:
        test.close(failed)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
