#!/usr/bin/env python3
"""Mutated captures (tests/hostile/mutate.c) through picket scan, as a rule one built
with sanitizers: no crash, no report, no hang, and a ledger that balances.

    tests/hostile/mutate.py BUILD PACKETS [SEED [FOLDER]]

PACKETS changed packets in all. The captures are the golden cases, those of evade.py
and, when they are there, those of FOLDER (../shared). What fails is run again, and
kept with its seed.
"""
import glob
import os
import random
import resource
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SHARE = 50_000  # changed packets a run
FILES = 24  # captures a run
CPU_S, TIMEOUT_S = 300, 7200  # of the processor: a busy machine must not look like a hang
# Every type, so that every parser has work to do.
RULES = """type,value
ip,192.0.2.1
cidr,203.0.113.0/24
ip_port,192.0.2.10:80
domain,example
hostname,www.example.com
url,http://www.bad.example/x
user_agent,golden/1.0
ja3,00000000000000000000000000000000
ja3s,00000000000000000000000000000000
ja4,t13d1516h2_8daaf6152771_b186095e22b6
cert_sha1,0000000000000000000000000000000000000000
cert_sha256,0000000000000000000000000000000000000000000000000000000000000000
cert_subject,CN=bad.example
cert_issuer,CN=bad.example
cert_serial,0a
file_md5,00000000000000000000000000000000
file_sha1,0000000000000000000000000000000000000000
file_sha256,0000000000000000000000000000000000000000000000000000000000000000
filename,evil.exe
email,a@bad.example
email_subject,hello
hassh,00000000000000000000000000000000
hassh_server,00000000000000000000000000000000
ssh_banner,SSH-2.0-x
username,user
dhcp_hostname,host
mqtt_topic,a/b
rdp_cookie,x
community,public
payload_hex,0d0a0d0a
payload,a[0-9]{3}b
"""


def captures(folder, shared):
    subprocess.run([sys.executable, os.path.join(HERE, "evade.py"), "--write", folder], check=True)
    own = glob.glob(os.path.join(folder, "*.pcap")) + glob.glob(os.path.join(HERE, "..", "golden", "*", "case.pcap*"))
    return sorted(own), sorted(glob.glob(os.path.join(shared, "cases", "*", "case.pcap*")))


def once(build, rules, path, dpi):
    """Why it failed, or None. The sandbox of nDPI's process keeps LeakSanitizer from its /proc."""
    environment = dict(os.environ, UBSAN_OPTIONS="print_stacktrace=1", ASAN_OPTIONS="detect_leaks=%d" % (dpi == "off"))
    try:
        p = subprocess.run([build + "/picket", "scan", "--json", "--dpi", dpi, "--heuristics", "all", "--rules", rules, path],
                           stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=TIMEOUT_S, env=environment,
                           preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S)))
    except subprocess.TimeoutExpired:
        return "no end after %d s" % TIMEOUT_S
    text = p.stderr.decode(errors="replace")
    if p.returncode not in (0, 5):
        return "exit code %d\n%s" % (p.returncode, text[-3000:])
    for word in ("does not balance", "Sanitizer", "runtime error"):
        if word in text:
            return text[-3000:]
    return None


def main():
    build, total = sys.argv[1], int(sys.argv[2])
    seed = int(sys.argv[3]) if len(sys.argv) > 3 and sys.argv[3] else int(time.time())
    shared = sys.argv[4] if len(sys.argv) > 4 else "../shared"
    done = failed = runs = 0
    began = time.time()
    with tempfile.TemporaryDirectory() as folder:
        rules, path = os.path.join(folder, "rules.csv"), os.path.join(folder, "mutated.pcapng")
        with open(rules, "w") as f:
            f.write(RULES)
        own, others = captures(folder, shared)
        while done < total and failed < 5:
            dice = random.Random(seed)
            files = dice.sample(own, min(len(own), FILES // 2)) + dice.sample(others, min(len(others), FILES // 2))
            with open(path, "wb") as f:
                p = subprocess.run([build + "/tests/hostile/mutate", str(seed), str(min(SHARE, total - done))] + files,
                                   stdout=f, stderr=subprocess.PIPE, check=True)
            done += int(p.stderr)
            why = once(build, rules, path, "all" if runs % 8 == 7 else "off")
            again = why and once(build, rules, path, "off")
            if again:
                failed += 1
                kept = os.path.join(build, "mutated-%d.pcapng" % seed)
                os.replace(path, kept)
                print("mutate: seed %d: %s\nmutate: kept as %s" % (seed, why, kept))
            elif why:
                print("mutate: seed %d: not a second time: %s" % (seed, why))
            seed += 1
            runs += 1
    print("mutate: %d changed packets in %d runs from %d captures, last seed %d, %.0f s, %d failed"
          % (done, runs, len(own) + len(others), seed - 1, time.time() - began, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
