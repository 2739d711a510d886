#!/usr/bin/env python3
"""Line coverage of our code, from a build with --coverage (make coverage).

    tests/hostile/coverage.py BUILD              of all that was run in it, file by file
    tests/hostile/coverage.py BUILD --targets [CORPORA]
                                                 of each fuzz target alone, in the files that it is for;
                                                 CORPORA: more inputs, a folder for each target

A line counts when any program ran it: the product's or a test's that includes the file.
"""
import glob
import json
import os
import subprocess
import sys
import tempfile

ROOMS = ("common/", "rules/", "sensor/", "collector/")
# What a fuzz target is for; without a row: sensor/inspect_<target>.c.
TARGETS = {
    "canon": ["rules/canon.c", "rules/canon_name.c"],
    "capture": ["sensor/capture_file.c"],
    "conf": ["common/conf.c"],
    "csv_rules": ["rules/rulefile_csv.c"],
    "decode": ["sensor/decode.c", "sensor/decode_link.c", "sensor/tunnel.c", "sensor/defrag.c"],
    "frame": ["common/frame.c"],
    "http1": ["sensor/inspect_http.c", "sensor/http_head.c", "sensor/http_body.c", "sensor/http_request.c", "sensor/http_auth.c"],
    "mailbox": ["sensor/inspect_mailbox.c", "sensor/mailbox_mail.c"],
    "mime": ["sensor/mime.c", "sensor/mime_field.c"],
    "misp": ["rules/import_misp.c"],
    "quic": ["sensor/inspect_quic.c", "sensor/initial.c"],
    "record": ["rules/record.c"],
    "redis_reply": ["collector/store_redis.c"],
    "inflate": ["sensor/inflate.c"],
    "ruleset_open": ["rules/ruleset_file.c"],
    "session": ["collector/session.c"],
    "small_parsers": ["sensor/inspect_dhcp.c", "sensor/inspect_snmp.c", "sensor/inspect_rdp.c", "sensor/inspect_mqtt.c"],
    "smb": ["sensor/inspect_smb.c", "sensor/smb1.c", "sensor/smb2.c", "sensor/smb_files.c", "sensor/ntlm.c"],
    "spool": ["sensor/spool.c", "sensor/spool_segment.c"],
    "stix": ["rules/import_stix.c", "rules/stix_pattern.c"],
    "stream": ["sensor/stream.c"],
    "tls": ["sensor/inspect_tls.c", "sensor/tls_hello.c"],
    "x509": ["sensor/x509.c"],
    "yaml_rules": ["rules/rulefile_yaml.c", "common/yaml.c"],
    "zeek": ["rules/import_lists.c"],
}


def collect(gcda):
    """{file: {line: ran}} of the given counters."""
    lines = {}
    for i in range(0, len(gcda), 64):
        p = subprocess.run(["gcov", "--json-format", "--stdout"] + gcda[i : i + 64], capture_output=True, text=True)
        for document in filter(None, p.stdout.splitlines()):
            for f in json.loads(document)["files"]:
                name = os.path.normpath(f["file"])
                if name.startswith(ROOMS) and name.endswith(".c"):
                    seen = lines.setdefault(name, {})
                    for l in f["lines"]:
                        seen[l["line_number"]] = seen.get(l["line_number"], False) or l["count"] > 0
    return lines


def share(lines):
    return sum(lines.values()), len(lines)


def percent(ran, total):
    return 100.0 * ran / total if total else 100.0


def everything(build):
    lines = collect(glob.glob(build + "/**/*.gcda", recursive=True))
    total = [0, 0]
    for name in sorted(lines):
        ran, n = share(lines[name])
        total = [total[0] + ran, total[1] + n]
        print("%6.1f %%  %5d of %5d  %s" % (percent(ran, n), ran, n, name))
    print("%6.1f %%  %5d of %5d  all" % (percent(*total), *total))


def target(build, path, inputs, files):
    with tempfile.TemporaryDirectory() as top:
        subprocess.run([path] + inputs, env=dict(os.environ, GCOV_PREFIX=top), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        gcda = glob.glob(top + "/**/*.gcda", recursive=True)
        for counters in gcda:  # gcov looks for the notes beside the counters
            notes = counters[len(top) : -4] + "gcno"
            if os.path.exists(notes):
                os.symlink(notes, counters[:-4] + "gcno")
        lines = collect(gcda)
    return [(f, share(lines.get(f, {}))) for f in files]


def targets(build, corpora):
    for path in sorted(p for p in glob.glob(build + "/tests/fuzz/fuzz_*") if "." not in os.path.basename(p)):
        name = os.path.basename(path)[5:]
        files = [f for f in TARGETS.get(name, ["sensor/inspect_%s.c" % name]) if os.path.exists(f)]
        inputs = ["tests/fuzz/corpus/" + name] + ([os.path.join(corpora, name)] if corpora else [])
        for f, (ran, n) in target(build, path, inputs, files):
            print("%6.1f %%  %5d of %5d  %-14s %s" % (percent(ran, n), ran, n, name, f))


if __name__ == "__main__":
    if sys.argv[2:3] == ["--targets"]:
        targets(os.path.abspath(sys.argv[1]), sys.argv[3] if len(sys.argv) > 3 else None)
    else:
        everything(sys.argv[1])
