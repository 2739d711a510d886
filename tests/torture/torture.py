#!/usr/bin/env python3
"""Faults against the whole way of an alert, and then the count.

Real parts: sensors (driver.c: the product's queue, coalescer, spool and uplink,
fed by a generator), picket-collector twice, redis-server, mutual TLS. Between
sensors and collectors stand proxies that cut and freeze. While alerts flow, one
fault after the other is done to a part chosen by the seed; at the end every
group's count in Redis, per sensor, must be what the sensors promised, exactly.

What a sensor has promised is read from its spool, not asked of it: the alerts
of the records that stand there, and of those that a spool cut took away but
Redis already had. The reader below is written from the drawing in
sensor/spool_segment.c and shares no code with it. A sensor that ends in order must
moreover have promised every alert that its generator raised.

Redis is one server, or a master and a replica behind three sentinels (failovers:
the master killed, frozen, asked to go, or gone while its replica lags), or a
cluster of three masters (slots move under load, nodes are killed and frozen).

A cut of Redis' append-only file plays a power loss; no cut reaches back before a
spool was cut or was refused by its disk, since two losses at once may lose.

  torture.py --build build --faults 1000 [--seed N] [--minutes M] [--only KIND,…]
             [--redis standalone,sentinel,cluster]      the faults are shared out, 3 : 1 : 1
  torture.py … --patience 5             on a machine that has little time for it
  torture.py … --control cas | writes-first     the script is spoilt: must fail

Exit: 0 exact, 1 not exact, 4 the campaign itself could not run.
"""
import argparse
import collections
import hashlib
import os
import random
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
FREE_PORT = os.path.join(HERE, "..", "..", "deploy", "free-port.sh")
PREFIX = "picket:{p0}:"
KEYS = 1500
RATE = 4000
LANES, RUN = 128, 4  # of collector/marks.h; every other run is for exercises
CUT_MAX = 400000  # bytes of the append-only file
RUNNING, ENDED = 1, 2  # driver.c
EXIT_ENVIRONMENT = 4  # common/exits.h
PATIENCE = 1.0  # with a busy machine: what the limits of waiting are multiplied by
NO_LIMIT = resource.RLIM_INFINITY


class Broken(Exception):
    """The campaign cannot go on; says nothing about the product."""


# ---- Redis, as little as is needed ----


class Redis:
    def __init__(self, where, timeout=20):
        """A path, or a port on loopback."""
        if isinstance(where, int):
            self.sock = socket.create_connection(("127.0.0.1", where), timeout)
        else:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.connect(where)
        self.sock.settimeout(timeout)
        self.file = self.sock.makefile("rb")

    def __call__(self, *words):
        out = [b"*%d\r\n" % len(words)]
        for w in words:
            w = w if isinstance(w, bytes) else str(w).encode()
            out.append(b"$%d\r\n%s\r\n" % (len(w), w))
        self.sock.sendall(b"".join(out))
        return self.reply()

    def reply(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("Redis closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return None if rest == b"-1" else [self.reply() for _ in range(int(rest))]
        if kind == b":":
            return int(rest)
        if kind == b"-":
            raise RuntimeError(rest.decode())
        return rest

    def hash(self, key):
        flat = self("HGETALL", key)
        return {flat[i].decode(): flat[i + 1] for i in range(0, len(flat), 2)}

    def keys(self, pattern):
        cursor, found = b"0", set()
        while True:
            cursor, page = self("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
            found.update(page)
            if cursor == b"0":
                return sorted(found)


# ---- spools, as sensor/spool_segment.c draws them ----


def record_key_n(payload, names={}):
    """(group number, alerts) of an alert's record; the number from its indicator."""
    n, key = struct.unpack_from(">I", payload, 4)[0], bytes(payload[24:40])
    if payload[1] != 0:
        return "LOSS", n
    if key not in names:
        at = 40
        while at < len(payload):
            field, size = struct.unpack_from(">BH", payload, at)
            if field == 3:  # the indicator: T-number
                names[key] = int(payload[at + 3 + 2 : at + 3 + size])
            at += 3 + size
    return names[key], n


def lane_of(payload):
    """Of a record that is no exercise's: by the last byte of its key."""
    k = payload[39] % (LANES // 2)
    return k // RUN * 2 * RUN + k % RUN


class Spool:
    def __init__(self, path):
        self.path = path

    def epoch(self):
        try:
            with open(os.path.join(self.path, "epoch")) as f:
                return int(f.read())
        except FileNotFoundError:
            return 0

    def segments(self):
        """(first number, file) of the epoch in force, ascending."""
        epoch, found = self.epoch(), []
        for name in sorted(os.listdir(self.path)):
            if not name.endswith(".seg"):
                continue
            path = os.path.join(self.path, name)
            with open(path, "rb") as f:
                head = f.read(52)
            if len(head) == 52 and head[:4] == b"PKSP" and struct.unpack_from(">Q", head, 8)[0] == epoch:
                if head[5] != 0:
                    raise Broken(f"{path}: a hole, although nothing was ever dropped")
                found.append((struct.unpack_from(">Q", head, 16)[0], path))
        return found

    def records(self, above=0):
        """Yields (number, payload), each number once: a later segment wins."""
        segments = self.segments()
        for i, (first, path) in enumerate(segments):
            end = segments[i + 1][0] if i + 1 < len(segments) else 1 << 63
            if end <= above:
                continue
            with open(path, "rb") as f:
                data = memoryview(f.read())
            at, number = 52, first
            while at + 8 <= len(data) and number < end:
                size = struct.unpack_from(">I", data, at)[0]
                if size == 0 or at + 8 + size > len(data):
                    break  # a torn tail
                if number > above:
                    yield number, data[at + 8 : at + 8 + size]
                at += 8 + size
                number += 1

    def counts(self, above=0, upto=1 << 63):
        """Alerts per group of the numbers above < number <= upto, and the last number."""
        sums, last = collections.Counter(), above
        for number, payload in self.records(above):
            if number > upto:
                break
            key, n = record_key_n(payload)
            sums[key] += n
            last = number
        return sums, last


# ---- between the parts ----


def pump(source, sink, link):
    try:
        while True:
            data = source.recv(65536)
            if not data:
                break
            while link.proxy.frozen:
                time.sleep(0.01)
            sink.sendall(data)
    except OSError:
        pass
    link.ended(source)


class Link:
    def __init__(self, proxy, client, server):
        self.proxy, self.client, self.server, self.zombie = proxy, client, server, False
        for pair in ((client, server), (server, client)):
            threading.Thread(target=pump, args=(*pair, self), daemon=True).start()

    def ended(self, side):
        if self.zombie and side is self.client:
            return  # the collector must not learn of it yet
        self.drop()

    def drop(self, reset=False):
        for s in (self.client, self.server):
            try:
                if reset:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def leave_server_alone(self):
        self.zombie = True
        try:
            self.client.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


class Proxy:
    """One TCP port in front of a collector."""

    def __init__(self, target):
        self.target, self.frozen, self.refusing, self.links = target, False, False, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            try:
                if self.refusing:
                    raise OSError
                server = socket.create_connection(("127.0.0.1", self.target), 2)
                server.settimeout(None)
                self.links = [k for k in self.links if k.client.fileno() >= 0] + [Link(self, client, server)]
            except OSError:
                client.close()

    def cut(self, reset=False):
        for link in self.links:
            link.drop(reset)
        self.links = []


SCRIPT_CAS = b"if (part or mark or '0') ~= prev then return {0, mark or '0'} end"
MARKS_FIRST = b" call('HSET', KEYS[1], mark_field, low) if marks ~= low then call('HSET', KEYS[1], part_field, marks) end"
SPOILT = {"cas": b"", "writes-first": SCRIPT_CAS + MARKS_FIRST}


class ScriptProxy:
    """Stands before Redis and gives it a spoilt flush script in place of the collector's."""

    def __init__(self, path, target, spoil):
        self.path, self.target, self.spoil, self.sha = path, target, SPOILT[spoil], {}
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(16)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(self.target)
            except OSError:
                client.close()
                continue
            threading.Thread(target=self.requests, args=(client, server), daemon=True).start()
            threading.Thread(target=self.replies, args=(client, server), daemon=True).start()

    @staticmethod
    def hang_up(*sockets):
        for s in sockets:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def replies(self, client, server):
        try:
            while data := server.recv(65536):
                client.sendall(data)
        except OSError:
            pass
        self.hang_up(client, server)

    def requests(self, client, server):
        source = client.makefile("rb")
        try:
            while line := source.readline():
                words = []
                for _ in range(int(line[1:])):
                    size = int(source.readline()[1:])
                    words.append(source.read(size + 2)[:-2])
                self.rewrite(words)
                server.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
        except (OSError, ValueError):
            pass
        self.hang_up(client, server)

    def rewrite(self, words):
        if words[0] == b"SCRIPT" and len(words) == 3 and SCRIPT_CAS in words[2]:
            spoilt = words[2].replace(SCRIPT_CAS, self.spoil)
            sha = [hashlib.sha1(w).hexdigest().encode() for w in (words[2], spoilt)]
            self.sha[sha[0]], words[2] = sha[1], spoilt
        elif words[0] == b"EVALSHA":
            words[1] = self.sha.get(words[1], words[1])


# ---- the parts ----


def free_port(given=set()):  # noqa: B006 (the ports that were given before)
    port = 0
    while not port or port in given:
        port = int(subprocess.check_output([FREE_PORT]))
    given.add(port)
    return port


class Part:
    def __init__(self, camp, name):
        self.camp, self.name, self.process = camp, name, None

    def spawn(self, *argv):
        with open(os.path.join(self.camp.dir, self.name + ".log"), "ab") as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.process.wait()

    def alive(self):
        return self.process and self.process.poll() is None

    def must_live(self):
        if not self.alive():
            raise Fallen(f"{self.name} has ended with {self.process.returncode}, nobody had killed it")


class Fallen(Exception):
    """A part of the product ended by itself."""


class Standalone(Part):
    """One redis-server on a unix socket. The others below give the same: ask() sends
    a command to where its key is, owner() the connection that has a partition."""

    partitions = 1
    weight = {
        "sensor_kill": 5, "spool_cut": 3, "sensor_end": 2, "collector_kill": 6, "collector_end": 2, "zombie": 7,
        "redis_kill": 3, "power_loss": 4, "redis_freeze": 3, "net_cut": 5, "net_freeze": 3, "redis_full": 3,
        "disk_full": 2, "wrong_type": 3, "script_flush": 2, "clock_jump": 2, "all_killed": 1,
        "site_loss": 2,
    }  # fmt: skip

    def __init__(self, camp):
        super().__init__(camp, "redis")
        self.path = os.path.join(camp.dir, "redis.sock")
        self.floor = (None, 0)
        self.cut_bytes = 0
        self.start()

    def start(self):
        self.spawn(
            "redis-server", "--port", "0", "--unixsocket", self.path, "--dir", self.camp.dir, "--save", "",
            "--appendonly", "yes", "--appendfsync", "everysec", "--hash-max-listpack-value", "1024",
        )  # fmt: skip
        for _ in range(int(400 * PATIENCE)):
            try:
                ask = Redis(self.path)
                if ask("PING") == b"PONG":
                    self.ask = ask
                    return
            except (OSError, RuntimeError, ConnectionError):
                pass
            time.sleep(0.025)
        raise Broken("redis-server does not come up, see redis.log")

    def newest_aof(self):
        folder = os.path.join(self.camp.dir, "appendonlydir")
        parts = [n for n in os.listdir(folder) if ".incr." in n]
        return os.path.join(folder, max(parts, key=lambda n: int(n.split(".")[-3])))

    def set_floor(self):
        """Nothing that Redis has now is lost by a later cut."""
        path = self.newest_aof()
        self.floor = (path, os.path.getsize(path))

    def kill_and_cut(self, cut):
        self.kill()
        path = self.newest_aof()
        size = os.path.getsize(path)
        least = self.floor[1] if self.floor[0] == path else 0
        if cut and size > least:
            new = max(least, size - self.camp.rng.randrange(1, CUT_MAX))
            os.truncate(path, new)
            self.cut_bytes += size - new
        manifest = os.path.join(self.camp.dir, "appendonlydir", "appendonly.aof.manifest")
        subprocess.run(
            ["redis-check-aof", "--fix", manifest], input=b"y\ny\n", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )


    def settings(self):
        spoilt = self.camp.script_proxy
        return {"redis.address": "unix:" + (spoilt.path if spoilt else self.path)}

    def owner(self, partition):
        return self.ask

    def owners(self):
        return [self.ask]

    def freeze(self, pause):
        self.signal(signal.SIGSTOP)
        pause()
        self.signal(signal.SIGCONT)

    def kill_all(self):
        self.kill_and_cut(cut=False)
        self.start()

    def parts(self):
        return [self]

    def words(self):
        return f"{self.cut_bytes} bytes cut from the append-only file"


def redis_server(part, port, *more):
    folder = os.path.join(part.camp.dir, part.name)
    os.makedirs(folder, exist_ok=True)
    part.spawn(
        "redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "",
        "--hash-max-listpack-value", "1024", *more,
    )  # fmt: skip


def wait_until(seconds, what, condition):
    until = time.monotonic() + seconds * PATIENCE
    while True:
        try:
            if condition():
                return
        except (OSError, ConnectionError, RuntimeError, ValueError, AttributeError, TypeError):
            pass
        if time.monotonic() > until:
            raise Broken(f"waited {seconds} s in vain for {what}")
        time.sleep(0.02)


class Node(Part):
    """A redis-server on a port of its own."""

    def __init__(self, camp, name, *options):
        super().__init__(camp, name)
        self.port, self.options, self.connection = free_port(), options, None

    def start(self, *more):
        self.connection = None
        redis_server(self, self.port, *self.options, *more)
        wait_until(60, self.name, lambda: self("PING") == b"PONG")

    def __call__(self, *words):
        try:
            self.connection = self.connection or Redis(self.port, 5)
            return self.connection(*words)
        except (OSError, ConnectionError, ValueError):
            self.connection = None
            raise

    def master(self):
        return self("ROLE")[0] == b"master"

    def keys(self, pattern):
        return Redis.keys(self, pattern)

    def hash(self, key):
        return Redis.hash(self, key)


class Sentinel:
    """A master, a replica, three sentinels."""

    partitions = 1
    weight = {
        "failover_kill": 4, "failover_freeze": 3, "failover_asked": 3, "failover_lag": 4, "sensor_kill": 3,
        "spool_cut": 2, "sensor_end": 1, "collector_kill": 4, "collector_end": 1, "zombie": 4, "redis_freeze": 1,
        "net_cut": 3, "net_freeze": 2, "redis_full": 2, "disk_full": 1, "wrong_type": 2, "script_flush": 1,
        "clock_jump": 1, "site_loss": 1,
    }  # fmt: skip

    def __init__(self, camp):
        self.camp, self.back = camp, []
        self.nodes = [Node(camp, f"redis-{i}", "--repl-diskless-sync-delay", "0") for i in (1, 2)]
        self.sentinels = []
        self.nodes[0].start()
        self.nodes[1].start("--replicaof", "127.0.0.1", str(self.nodes[0].port))
        for i in (1, 2, 3):
            sentinel = Node(camp, f"sentinel-{i}")
            conf = os.path.join(camp.dir, sentinel.name + ".conf")
            with open(conf, "w") as f:
                f.write(f"port {sentinel.port}\nbind 127.0.0.1\ndir {camp.dir}\n"
                        f"sentinel monitor picket 127.0.0.1 {self.nodes[0].port} 2\n"
                        "sentinel down-after-milliseconds picket 700\n"
                        "sentinel failover-timeout picket 3000\n")  # fmt: skip
            sentinel.spawn("redis-server", conf, "--sentinel")
            self.sentinels.append(sentinel)
        self.wait_linked()
        wait_until(15, "the sentinels to know each other", lambda: all(self.knows(s) for s in self.sentinels))

    @staticmethod
    def knows(sentinel):
        flat = sentinel("SENTINEL", "master", "picket")
        state = dict(zip(flat[::2], flat[1::2]))
        return state[b"num-slaves"] == b"1" and state[b"num-other-sentinels"] == b"2"

    def master(self):
        for node in self.nodes:
            try:
                if node.alive() and node.master() and self.named() == node.port:
                    return node
            except (OSError, ConnectionError, RuntimeError):
                pass
        raise ConnectionError("no master now")

    def sure_master(self):
        got = []
        wait_until(30, "a master", lambda: got.append(self.master()) or True)
        return got[-1]

    def named(self):
        """The port that most sentinels give out: one may be left behind by an election."""
        ports = []
        for sentinel in self.sentinels:
            try:
                ports.append(int(sentinel("SENTINEL", "get-master-addr-by-name", "picket")[1]))
            except (OSError, ConnectionError, RuntimeError, TypeError):
                pass
        port, n = collections.Counter(ports).most_common(1)[0] if ports else (0, 0)
        return port if n >= 2 else 0

    def other(self, node):
        return self.nodes[1 - self.nodes.index(node)]

    def wait_linked(self):
        def linked():
            master = self.master()
            role = self.other(master)("ROLE")
            return role[0] == b"slave" and role[3] == b"connected" and len(master("ROLE")[2]) == 1

        wait_until(40, "the replica to be in step", linked)

    def ask(self, *words):
        got = []
        wait_until(30, "a master", lambda: got.append(self.master()(*words)) or True)
        return got[-1]

    def owner(self, partition):
        return self.sure_master()

    def owners(self):
        return [self.sure_master()]

    def settings(self):
        nodes = ",".join(f"127.0.0.1:{s.port}" for s in self.sentinels)
        return {"redis.mode": "sentinel", "redis.nodes": nodes, "redis.timeout": "1s"}

    def set_floor(self):
        self.wait_linked()
        if self.ask("WAIT", "1", "10000") != 1:
            raise Broken("the replica does not follow within 10 s")

    def freeze(self, pause):
        node = self.sure_master()
        node.signal(signal.SIGSTOP)
        pause()
        node.signal(signal.SIGCONT)
        self.settle(node)

    def settle(self, node):
        """The node is the master still, or becomes the other one's replica."""
        time.sleep(1.5)
        if self.other(node).alive():
            wait_until(40, "one master", lambda: [n.master() for n in self.nodes].count(True) == 1)
        self.wait_linked()

    def failover(self, node):
        """Until the other one is master, and alerts flow again: how long the second took."""
        new = self.other(node)
        wait_until(30, "the failover", lambda: new.master() and self.named() == new.port)
        since, marks = time.monotonic(), [self.mark_of(s, new) for s in self.camp.sensors]
        wait_until(30, "service", lambda: any(self.mark_of(s, new) > m for s, m in zip(self.camp.sensors, marks)))
        self.back.append(time.monotonic() - since)

    @staticmethod
    def mark_of(sensor, node):
        return int(node("HGET", PREFIX + "hwm", f"{sensor.name}:{sensor.spool.epoch()}") or 0)

    def replace(self, dead):
        dead.start("--replicaof", "127.0.0.1", str(self.other(dead).port))
        self.wait_linked()

    def parts(self):
        return [*self.nodes, *self.sentinels]

    def words(self):
        back = sorted(self.back) or [0]
        return (f"{len(self.back)} failovers, alerts flow {back[len(back) // 2]:.2f} s after the promotion (median), "
                f"{back[-1]:.2f} s at worst")  # fmt: skip


class Cluster:
    """Three masters. Slots go round while alerts flow."""

    partitions = 16
    weight = {
        "slot_move": 12, "node_kill": 4, "node_freeze": 3, "sensor_kill": 3, "spool_cut": 2, "sensor_end": 1,
        "collector_kill": 5, "collector_end": 1, "zombie": 5, "net_cut": 3, "net_freeze": 2, "redis_full": 2,
        "disk_full": 1, "wrong_type": 2, "script_flush": 1, "clock_jump": 1, "site_loss": 1,
    }  # fmt: skip

    def __init__(self, camp):
        self.camp, self.moves = camp, 0
        self.nodes = []
        for i in (1, 2, 3):
            node = Node(camp, f"redis-{i}", "--cluster-enabled", "yes", "--cluster-node-timeout", "2000",
                        "--appendonly", "yes", "--appendfsync", "everysec")  # fmt: skip
            node.options += ("--cluster-port", str(free_port()))
            node.start()
            self.nodes.append(node)
        addresses = [f"127.0.0.1:{n.port}" for n in self.nodes]
        done = subprocess.run(["redis-cli", "--cluster", "create", *addresses, "--cluster-yes"], capture_output=True)
        if done.returncode:
            raise Broken("the cluster does not form: " + done.stdout.decode()[-500:])
        self.wait_formed()

    def wait_formed(self):
        wait_until(30, "the cluster", lambda: all(b"cluster_state:ok" in n("CLUSTER", "INFO") for n in self.nodes))

    def owner(self, partition):
        slot, got = self.nodes[0]("CLUSTER", "KEYSLOT", f"{{p{partition}}}"), []

        def find():
            for first, last, master, *_ in self.nodes[0]("CLUSTER", "SLOTS"):
                if first <= slot <= last:
                    got.extend(n for n in self.nodes if n.port == master[1])
            return bool(got)

        wait_until(30, "the map of slots", find)
        return got[0]

    def owners(self):
        return self.nodes

    def ask(self, *words):
        partition, got = int(words[1].split("{p")[1].split("}")[0]), []
        wait_until(30, "a node", lambda: got.append(self.owner(partition)(*words)) or True)
        return got[-1]

    def settings(self):
        return {"redis.mode": "cluster", "redis.nodes": f"127.0.0.1:{self.nodes[1].port}", "redis.timeout": "1s"}

    def set_floor(self):
        """Nothing is ever cut from these files."""

    @staticmethod
    def sure(node, *words):
        """Again while the cluster is down for a moment."""
        got = []
        wait_until(30, " ".join(str(w) for w in words[:3]), lambda: got.append(node(*words)) or True)
        return got[-1]

    def move(self, partition):
        source = self.owner(partition)
        target = self.camp.rng.choice([n for n in self.nodes if n is not source])
        slot = source("CLUSTER", "KEYSLOT", f"{{p{partition}}}")
        ids = {n: self.sure(n, "CLUSTER", "MYID") for n in (source, target)}
        self.sure(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
        self.sure(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
        while keys := self.sure(source, "CLUSTER", "GETKEYSINSLOT", slot, 20):
            self.sure(source, "MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "REPLACE", "KEYS", *keys)
        for node in (target, source, *self.nodes):
            self.sure(node, "CLUSTER", "SETSLOT", slot, "NODE", ids[target])
        self.moves += 1

    def parts(self):
        return self.nodes

    def words(self):
        return f"{self.moves} slots moved"


DEPLOYMENTS = {"standalone": Standalone, "sentinel": Sentinel, "cluster": Cluster}


class Collector(Part):
    def __init__(self, camp, name):
        super().__init__(camp, name)
        self.port = free_port()
        self.stopped = False
        self.start()
        self.proxy = Proxy(self.port)

    def start(self):
        certs = self.camp.certs
        settings = {
            "collector.name": self.name, "listen.address": f"127.0.0.1:{self.port}",
            "tls.cert": f"{certs}/{self.name}.crt", "tls.key": f"{certs}/{self.name}.key",
            "tls.ca": f"{certs}/sensor-ca.crt", "tls.crl": f"{certs}/sensor-ca.crl",
            **self.camp.redis.settings(),
        }  # fmt: skip
        words = [w for k, v in settings.items() for w in ("--set", f"{k}={v}")]
        self.spawn(os.path.join(self.camp.build, "picket-collector"), *words)


class Sensor(Part):
    """The truth about it: `sum` counts the numbers up to `known` of epoch `epoch`
    and all of earlier epochs; what stands in the spool above `known` comes to it."""

    def __init__(self, camp, name, order):
        super().__init__(camp, name)
        self.spool = Spool(os.path.join(camp.dir, name + ".spool"))
        self.counters = os.path.join(camp.dir, name + ".counters")
        self.addresses = ",".join(f"127.0.0.1:{c.proxy.port}" for c in order)
        self.runs, self.epoch, self.known, self.sum = 0, 0, 0, collections.Counter()
        self.cut = False  # since the last epoch began: it may end
        self.start()

    def start(self, rate=RATE):
        self.runs += 1
        if os.path.exists(self.counters):
            os.remove(self.counters)
        self.spawn(
            os.path.join(self.camp.build, "tests/torture/driver"), self.name, self.spool.path, self.camp.certs,
            self.addresses, self.counters, str(KEYS), str(rate), str(self.camp.seed * 1000 + self.runs),
        )  # fmt: skip

    def settle_epoch(self):
        """Notices that the epoch has changed, which only a cut may cause."""
        now = self.spool.epoch()
        if now == self.epoch:
            return
        if self.epoch and not self.cut:
            raise Fallen(f"{self.name} took a new epoch although its spool was whole")
        self.epoch, self.known, self.cut = now, 0, False

    def promised(self, upto=1 << 63):
        """Alerts per group, of the numbers up to upto."""
        self.settle_epoch()
        if upto < self.known:
            above, _ = self.spool.counts(upto, self.known)
            return self.sum - above, upto
        more, last = self.spool.counts(self.known, upto)
        return self.sum + more, last

    def learn(self, upto=1 << 63):
        """What stands in the spool now was promised, whatever becomes of it."""
        self.sum, self.known = self.promised(upto)

    def marks(self, field=""):
        """Of each partition, what stands in its hwm."""
        name = f"{self.name}:{self.spool.epoch()}{field}"
        return [self.camp.redis.ask("HGET", prefix(p) + "hwm", name) for p in range(self.camp.redis.partitions)]

    def mark(self):
        return min(int(m or 0) for m in self.marks())

    def raised(self):
        with open(self.counters, "rb") as f:
            data = f.read()
        words = struct.unpack(f"={len(data) // 8}Q", data)
        return collections.Counter({k: n for k, n in enumerate(words[:KEYS]) if n}), words[KEYS]

    def wait_phase(self, phase):
        until = time.monotonic() + 20 * PATIENCE
        while not os.path.exists(self.counters) or os.path.getsize(self.counters) < 8 or self.raised()[1] < phase:
            self.must_live()
            if time.monotonic() > until:
                raise Fallen(f"{self.name} does not start within 20 s")
            time.sleep(0.01)

    def end(self):
        """As an operator does. Everything raised in this run stands in the spool or in Redis."""
        self.wait_phase(RUNNING)
        self.signal(signal.SIGTERM)
        try:
            self.process.wait(40 * PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Fallen(f"{self.name} does not leave on SIGTERM") from None
        if self.process.returncode != 0 or self.raised()[1] != ENDED:
            raise Fallen(f"{self.name} did not end in order")

    def lane_marks(self):
        """Of the lanes (collector/marks.h); uneven after a collector died in the middle of a flush."""
        lanes, each = [], LANES // self.camp.redis.partitions
        for mark, part in zip(self.marks(), self.marks(":part")):
            runs = [run.split("x") for run in part.decode().split(",")] if part else [(int(mark or 0), each)]
            lanes += [int(mark) for mark, *n in runs for _ in range(int(n[0]) if n else each)]
        if len(lanes) != LANES:
            raise Broken(f"{len(lanes)} lanes in {self.marks(':part')}")
        return lanes

    def uneven(self):
        return any(self.marks(":part")) or len(set(self.marks())) > 1

    def cut_spool(self, least, most):
        """Takes bytes off the end. What of it Redis has stays promised."""
        marks = self.lane_marks()
        self.learn(min(marks))
        above = [(number, lane_of(payload), *record_key_n(payload)) for number, payload in self.spool.records(self.known)]
        path = self.spool.segments()[-1][1]
        os.truncate(path, max(52, os.path.getsize(path) - self.camp.rng.randrange(least, most)))
        last = max((number for number, _ in self.spool.records()), default=0)
        self.cut = max(marks) > last
        if self.cut:
            self.sum = self.sum + collections.Counter()
            for number, lane, key, n in above:
                if number <= last or number <= marks[lane]:
                    self.sum[key] += n
        return len(set(marks)) > 1

    def wait_mark_rests(self):
        """Until nothing of this (dead) sensor is under way to Redis any more."""
        last, since = None, time.monotonic()
        while time.monotonic() - since < 0.4:
            time.sleep(0.05)
            now = self.mark()
            if now != last:
                last, since = now, time.monotonic()
        return last


# ---- faults ----


class Faults:
    """Each method is one kind; how often it comes stands with the deployment."""

    def __init__(self, camp):
        self.c, self.rng, self.halves = camp, camp.rng, 0

    def pause(self, least, most):
        time.sleep(self.rng.uniform(least, most))

    def sensor_kill(self):
        s = self.rng.choice(self.c.sensors)
        s.kill()
        if self.rng.random() < 0.5:  # a write that the power loss cut short
            segments = s.spool.segments()
            if segments:
                with open(segments[-1][1], "ab") as f:
                    f.write(struct.pack(">I", 300) + bytes(self.rng.randrange(256) for _ in range(self.rng.randrange(250))))
        self.pause(0, 0.3)
        s.start()

    def spool_cut(self):
        """The disk has lost what it had said was safe."""
        self.cut_one(self.rng.choice(self.c.sensors), 60000)

    def cut_one(self, s, most, also=()):
        for part in (*also, s):
            part.kill()
        s.wait_mark_rests()
        self.halves += s.cut_spool(1, most)
        self.c.redis.set_floor()
        for part in (*also, s):
            part.start()
        if self.rng.random() < 0.3:
            self.pause(0, 0.1)
            s.kill()
            s.start()
        self.c.wait_connected(s)
        self.c.redis.set_floor()

    def site_loss(self):
        """Sensor and collectors lose power in the middle of a large flush, the sensor its spool's end."""
        for k in self.c.collectors:
            k.proxy.refusing = True
            k.proxy.cut()
        self.pause(0.3, 0.8)
        for k in self.c.collectors:
            k.proxy.refusing = False
        s, mark = self.c.sensors[0], self.c.sensors[0].mark()
        until = time.monotonic() + 8
        while s.mark() == mark and not s.uneven() and time.monotonic() < until:
            pass
        self.cut_one(s, 600000, self.c.collectors)

    def sensor_end(self):
        """A run between two orderly ends: all that was raised is promised."""
        s = self.rng.choice(self.c.sensors)
        s.end()
        s.learn()
        before = s.sum.copy()
        s.start()
        self.pause(0.2, 0.6)
        s.end()
        s.learn()
        raised, _ = s.raised()
        if s.sum != before + raised:
            self.c.find(f"{s.name} has raised {sum(raised.values())} alerts in a run, "
                        f"its spool holds {sum((s.sum - before).values())}")  # fmt: skip
        s.start()

    def collector_kill(self):
        k = self.rng.choice(self.c.collectors)
        k.kill()
        self.pause(0, 0.5)
        k.start()

    def collector_end(self):
        k = self.rng.choice(self.c.collectors)
        k.signal(signal.SIGTERM)
        k.process.wait(20 * PATIENCE)
        k.start()

    def zombie(self):
        """A collector stands still with frames in hand while its sensors go to another one."""
        k = self.busiest()
        k.signal(signal.SIGSTOP)
        self.pause(0.02, 0.2)
        k.proxy.refusing = True
        links, k.proxy.links = k.proxy.links, []
        for link in links:
            link.leave_server_alone()
        self.pause(0.2, 0.9)
        k.signal(signal.SIGCONT)
        self.pause(0.05, 0.3)
        for link in links:
            link.drop()
        k.proxy.refusing = False

    def busiest(self):
        return max(self.c.collectors, key=lambda k: (sum(x.client.fileno() >= 0 for x in k.proxy.links), self.rng.random()))

    def redis_kill(self):
        self.c.redis.kill_and_cut(cut=False)
        self.pause(0, 0.3)
        self.c.redis.start()

    def power_loss(self):
        self.c.redis.kill_and_cut(cut=True)
        self.pause(0, 0.3)
        self.c.redis.start()

    def redis_freeze(self):
        self.c.redis.freeze(lambda: self.pause(0.1, 0.8))

    def failover_kill(self):
        self.c.redis.wait_linked()
        self.failover_of(self.c.redis.sure_master())

    def failover_lag(self):
        """The replica that is promoted lacks alerts that sensors were told to be stored."""
        self.c.redis.wait_linked()
        master = self.c.redis.sure_master()
        self.c.redis.other(master)("REPLICAOF", "127.0.0.1", "1")
        self.pause(0.2, 0.8)
        self.failover_of(master)

    def failover_of(self, master):
        master.kill()
        self.c.redis.failover(master)
        self.c.redis.replace(master)

    def failover_freeze(self):
        """The old master wakes up after the promotion and believes that it is one."""
        self.c.redis.wait_linked()
        master = self.c.redis.sure_master()
        master.signal(signal.SIGSTOP)
        self.c.redis.failover(master)
        self.pause(0, 0.3)
        master.signal(signal.SIGCONT)
        self.c.redis.settle(master)

    def failover_asked(self):
        self.c.redis.wait_linked()
        master = self.c.redis.sure_master()
        wait_until(15, "a sentinel that agrees", lambda: self.c.redis.sentinels[0]("SENTINEL", "FAILOVER", "picket"))
        self.c.redis.failover(master)
        self.c.redis.settle(master)

    def slot_move(self):
        self.c.redis.move(self.rng.randrange(16))

    def node_kill(self):
        node = self.rng.choice(self.c.redis.nodes)
        node.kill()
        self.pause(0, 1.5)
        node.start()
        self.c.redis.wait_formed()

    def node_freeze(self):
        node = self.rng.choice(self.c.redis.nodes)
        node.signal(signal.SIGSTOP)
        self.pause(0.1, 1.5)
        node.signal(signal.SIGCONT)
        self.c.redis.wait_formed()

    def net_cut(self):
        for k in self.rng.sample(self.c.collectors, self.rng.choice((1, 2))):
            k.proxy.cut(reset=self.rng.random() < 0.5)

    def net_freeze(self):
        k = self.rng.choice(self.c.collectors)
        k.proxy.frozen = True
        self.pause(0.1, 0.8)
        if self.rng.random() < 0.5:
            k.proxy.cut()
        k.proxy.frozen = False

    def redis_full(self):
        ask = self.rng.choice(self.c.redis.owners())
        ask("CONFIG", "SET", "maxmemory", "1mb")
        self.pause(0.2, 0.8)
        ask("CONFIG", "SET", "maxmemory", "0")

    def disk_full(self):
        """A run of its own: what goes to the collector from memory never stands on
        the disk, so the generator's own count is the truth of this run."""
        s = self.rng.choice(self.c.sensors)
        s.end()
        s.learn()
        before = s.sum
        s.start()
        s.wait_phase(RUNNING)
        self.pause(0.2, 0.4)
        resource.prlimit(s.process.pid, resource.RLIMIT_FSIZE, (100, NO_LIMIT))
        self.pause(0.3, 0.8)
        if self.rng.random() < 0.5:
            self.net_cut()
        self.pause(0.1, 0.3)
        resource.prlimit(s.process.pid, resource.RLIMIT_FSIZE, (NO_LIMIT, NO_LIMIT))
        self.pause(1.0, 1.5)
        s.end()
        raised, _ = s.raised()
        s.settle_epoch()
        _, last = s.spool.counts(s.known)
        s.sum, s.known = before + raised, max(last, s.wait_mark_rests())
        self.c.redis.set_floor()
        s.start()

    def wrong_type(self):
        partition = self.rng.randrange(self.c.redis.partitions)
        ask, key = self.c.redis.owner(partition), prefix(partition) + self.rng.choice(("open", "severity:high", "alerts"))
        aside = f"aside:{{p{partition}}}"
        wait_until(30, "the partition", lambda: ask("EXISTS", key) in (0, 1))
        if not ask("EXISTS", key):
            return
        self.at_once(ask, ("RENAME", key, aside), ("SET", key, "somebody else's"))
        self.pause(0.1, 0.6)
        self.at_once(ask, ("RENAME", aside, key))
        for k in self.c.collectors:
            if k.process.poll() == EXIT_ENVIRONMENT:  # it was just starting, and does not start on such a Redis
                k.start()

    @staticmethod
    def at_once(ask, *commands):
        """A transaction, again while a cluster is down for a moment."""

        def attempt():
            try:
                for words in (("MULTI",), *commands, ("EXEC",)):
                    ask(*words)
                return True
            except RuntimeError:
                try:
                    ask("DISCARD")
                except RuntimeError:
                    pass
                return False

        wait_until(30, "a transaction", attempt)

    def script_flush(self):
        self.rng.choice(self.c.redis.owners())("SCRIPT", "FLUSH")

    def clock_jump(self):
        s = self.rng.choice(self.c.sensors)
        s.wait_phase(RUNNING)  # before that the signal would end it
        s.signal(signal.SIGUSR1)

    def all_killed(self):
        for part in self.c.sensors + self.c.collectors:
            part.kill()
        self.c.redis.kill_all()
        for part in self.c.collectors + self.c.sensors:
            part.start()


# ---- the campaign ----


class Campaign:
    def __init__(self, options, deployment, faults):
        self.options, self.seed, self.build = options, options.seed, os.path.abspath(options.build)
        self.deployment, self.wanted = deployment, faults
        self.rng = random.Random(f"{self.seed} {deployment}")
        self.dir = tempfile.mkdtemp(prefix="torture.")
        self.certs = os.path.join(self.dir, "certs")
        self.sensors, self.collectors, self.redis = [], [], None
        self.done, self.script_proxy = collections.Counter(), None
        self.findings = []

    def make_certificates(self):
        tool = os.path.join(HERE, "../../deploy/make-test-ca.sh")
        for role, names in (("collector", ("col-a", "col-b")), ("sensor", ("sen-1", "sen-2"))):
            subprocess.run([tool, self.certs, "torture", "3", role, *names], check=True, stdout=subprocess.DEVNULL)

    def start(self):
        os.makedirs(self.certs, exist_ok=True)
        self.make_certificates()
        self.redis = DEPLOYMENTS[self.deployment](self)
        if self.options.control:
            path = os.path.join(self.dir, "spoilt.sock")
            self.script_proxy = ScriptProxy(path, self.redis.path, self.options.control)
        self.collectors = [Collector(self, name) for name in ("col-a", "col-b")]
        a, b = self.collectors
        self.sensors = [Sensor(self, "sen-1", (a, b)), Sensor(self, "sen-2", (b, a))]
        for s in self.sensors:
            self.wait_connected(s)

    def wait_connected(self, sensor, seconds=45):
        """Until its mark has moved, or has been set under a new epoch."""
        until = time.monotonic() + seconds * PATIENCE
        epoch, first = sensor.spool.epoch(), sensor.mark()
        while time.monotonic() < until:
            sensor.must_live()
            if sensor.mark() > (first if sensor.spool.epoch() == epoch else 0):
                return
            time.sleep(0.03)
        raise Fallen(f"{sensor.name} does not reach Redis within {seconds} s")

    def run(self):
        self.faults = faults = Faults(self)
        kinds = self.options.only.split(",") if self.options.only else list(self.redis.weight)
        weights = [self.redis.weight[k] for k in kinds]
        until = time.monotonic() + self.options.minutes * 60
        # Every kind once, then by weight.
        queue = self.rng.sample(kinds, len(kinds)) if self.wanted >= len(kinds) else []
        while sum(self.done.values()) < self.wanted and time.monotonic() < until:
            kind = queue.pop() if queue else self.rng.choices(kinds, weights)[0]
            if self.options.verbose:
                print(f"{time.strftime('%H:%M:%S')} {sum(self.done.values())} {kind}", flush=True)
            getattr(faults, kind)()
            self.done[kind] += 1
            for part in (*self.redis.parts(), *self.collectors, *self.sensors):
                part.must_live()
            time.sleep(self.rng.uniform(0.02, self.options.rest))

    def finish(self):
        """Everything works again; waits until all that is promised is acknowledged."""
        for s in self.sensors:
            s.end()
        for s in self.sensors:
            until = time.monotonic() + 120 * PATIENCE
            s.learn()
            s.start(rate=0)
            while s.mark() < s.known:
                if time.monotonic() > until:
                    self.find(f"{s.name}: Redis has {s.mark()} of {s.known} records after 120 s")
                    break
                time.sleep(0.1)
            s.end()
        for k in self.collectors:
            k.signal(signal.SIGTERM)
            k.process.wait(20 * PATIENCE)

    def find(self, text):
        if len(self.findings) < 20:
            self.findings.append(text)

    def compare(self):
        found, total = {s.name: collections.Counter() for s in self.sensors}, collections.Counter()
        for group in self.groups_in_redis():
            number = int(group["value"].decode().split(".")[0][1:])
            total[number] = int(group["n"])
            for s in self.sensors:
                found[s.name][number] = int(group.get("sensor:" + s.name, 0))
        truth, differences = collections.Counter(), 0
        for s in self.sensors:
            promised, _ = s.promised()
            truth += promised
            if promised["LOSS"]:
                self.find(f"{s.name} announces {promised['LOSS']} alerts as lost")
            for number in set(promised) | set(found[s.name]):
                if promised[number] != found[s.name][number]:
                    differences += found[s.name][number] - promised[number]
                    self.find(f"{s.name} group {number}: promised {promised[number]}, Redis {found[s.name][number]}")
        for number in set(truth) | set(total):
            if truth[number] != total[number]:
                self.find(f"group {number}: promised {truth[number]}, Redis n {total[number]}")
        self.compare_rollups(sum(truth.values()))
        self.alerts, self.groups, self.differences = sum(truth.values()), len(total), differences

    def hashes(self, partition, pattern):
        ask = self.redis.owner(partition)
        return [ask.hash(k) for k in ask.keys(prefix(partition) + pattern) if not k.endswith(b":peers")]

    def groups_in_redis(self):
        return [h for p in range(self.redis.partitions) for h in self.hashes(p, "alert:*")]

    def compare_rollups(self, alerts):
        days = [h for p in range(self.redis.partitions) for h in self.hashes(p, "day:*")]
        if sum(int(d.get("total", 0)) for d in days) != alerts:
            self.find(f"the days' totals are {sum(int(d.get('total', 0)) for d in days)}, promised {alerts}")
        if sum(int(d.get("loss", 0)) for d in days):
            self.find(f"the days' hashes count {sum(int(d.get('loss', 0)) for d in days)} alerts as lost")

    def report(self):
        print(f"torture: seed {self.seed}, {self.deployment}, {sum(self.done.values())} faults"
              + (f", CONTROL {self.options.control}" if self.options.control else ""))  # fmt: skip
        for kind, n in sorted(self.done.items(), key=lambda x: -x[1]):
            print(f"  {kind:16}{n:5}")
        print(f"  {self.alerts} alerts in {self.groups} groups from {len(self.sensors)} sensors; "
              f"{self.redis.words()}, "
              f"{self.faults.halves} spools cut with a flush half written")  # fmt: skip
        for text in self.findings:
            print("  " + text)
        print(f"  result: {'EXACT' if not self.findings else 'NOT EXACT'}"
              + (f", {self.differences:+d} alerts" if self.findings else ""))  # fmt: skip

    def close(self, keep):
        for part in (*self.sensors, *self.collectors, *(self.redis.parts() if self.redis else ())):
            if part.alive():
                part.signal(signal.SIGCONT)
                part.kill()
        if keep:
            print(f"  everything is kept in {self.dir}")
        else:
            shutil.rmtree(self.dir, ignore_errors=True)


def prefix(partition):
    return f"picket:{{p{partition}}}:"


def shares(faults, names):
    """Of the faults, 3 : 1 : 1 for standalone and the others."""
    parts = {n: 3 if n == "standalone" else 1 for n in names}
    out = {n: faults * parts[n] // sum(parts.values()) for n in names}
    out[names[0]] += faults - sum(out.values())
    return out


def one_campaign(options, deployment, faults):
    camp, code = Campaign(options, deployment, faults), 4
    camp.alerts = camp.groups = camp.differences = 0
    try:
        camp.start()
        try:
            camp.run()
            camp.finish()
            camp.compare()
        except Fallen as e:
            camp.find(str(e))
        camp.report()
        code = 1 if camp.findings else 0
        if camp.script_proxy and not camp.script_proxy.sha:
            raise Broken("the script has no compare-and-set as SCRIPT_CAS has it: nothing was spoilt")
    except Broken as e:
        code = 4
        print(f"torture: {deployment}: {e}", flush=True)
    finally:
        camp.close(options.keep or (code != 0 and not options.control))
    return code, camp


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--build", default="build")
    p.add_argument("--faults", type=int, default=1000)
    p.add_argument("--minutes", type=float, default=60)
    p.add_argument("--rest", type=float, default=0.4, help="longest rest between two faults, seconds")
    p.add_argument("--patience", type=float, default=1, help="multiplies the limits of waiting, for a busy machine")
    p.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 1 << 31))
    p.add_argument("--only", default="")
    p.add_argument("--control", choices=sorted(SPOILT))
    p.add_argument("--keep", action="store_true", help="keep the folder also when all is exact")
    p.add_argument("--verbose", action="store_true")
    p.add_argument("--redis", default="standalone,sentinel,cluster")
    options = p.parse_args()
    global PATIENCE
    PATIENCE = options.patience
    names = ["standalone"] if options.control else options.redis.split(",")
    print(f"torture: seed {options.seed}", flush=True)
    worst, faults, alerts = 0, 0, 0
    for name, n in shares(options.faults, names).items():
        code, camp = one_campaign(options, name, n)
        worst = max(worst, code)
        faults += sum(camp.done.values())
        alerts += camp.alerts
    print(f"torture: {faults} faults, {alerts} alerts in all: {('exact', 'NOT EXACT')[worst > 0]}")
    sys.exit(worst)


if __name__ == "__main__":
    main()
