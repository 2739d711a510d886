#!/usr/bin/env python3
"""deploy/protocols.md says what the sensor does, or this says where not.

    tests/protocols.py            against the sources: parsers, files, places, tests, fuzz targets, cases
    tests/protocols.py OBSERVED   against what the unit tests' parsers observed, and from which side
                                  (lines "parser/transport place side", written by tests/unit/observed.h)
"""
import glob
import os
import re
import sys

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
PAGE = "deploy/protocols.md"
wrong = []


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def words(cell):
    return [w.strip().strip("`") for w in cell.split(",") if w.strip() not in ("", "-")]


def tables():
    """The rows of the page by their number of cells: 9 of a protocol, 3 of a place."""
    protocols, places = [], {}
    for line in read(PAGE).splitlines():
        cells = [c.strip() for c in line.strip().strip("|").split("|")]
        if not line.startswith("|") or set(line) <= set("|- ") or cells[0] in ("protocol", "place"):
            continue
        if len(cells) == 9:
            protocols.append(cells)
        elif len(cells) == 3:
            places[cells[0]] = cells[2]
        else:
            wrong.append("a row of %d cells: %s" % (len(cells), line[:60]))
    return protocols, places


def sides(row):
    """Places from the client and from the server: "=" are the same ones, "as tls" those of another row."""
    if row[4].startswith("as "):
        return set(), set()
    client = set(words(row[4]))
    return client, client if row[5] == "=" else set(words(row[5]))


def check_parser(row):
    name, over, parser, files = row[0], row[1], row[2].strip("`"), words(row[3])
    if not os.path.exists("sensor/" + files[0]):
        return  # said before
    found = re.search(r"const struct parser %s = \{(.*?)\};" % parser, read("sensor/" + files[0]), re.S)
    if not found:
        wrong.append("%s is not in %s" % (parser, files[0]))
        return
    told = re.search(r'\.name = "([^"]*)"', found.group(1)).group(1)
    over_told = re.search(r"\.over = OVER_(\w+)", found.group(1))
    over_told = over_told.group(1).lower() if over_told else "-"
    if (told, over_told) != (name, over):
        wrong.append("%s is %s over %s, its row says %s over %s" % (parser, told, over_told, name, over))


def check_tests(row, cases):
    parser = row[2].strip("`")
    for test in words(row[6]):
        file, _, function = test.partition(":")
        path = "tests/unit/" + file
        if not os.path.exists(path) or (function and "static void %s(" % function not in read(path)):
            wrong.append("%s: no such test: %s" % (row[0], test))
    for file in words(row[7]):
        if not os.path.exists("tests/fuzz/" + file):
            wrong.append("%s: no such fuzz target: %s" % (row[0], file))
    for kind, folder, column in (("test", "unit", 6), ("fuzz target", "fuzz", 7)):
        texts = ["tests/%s/%s" % (folder, w.partition(":")[0]) for w in words(row[column])]
        if parser != "-" and not any(os.path.exists(t) and re.search(r"\b%s\b" % parser, read(t)) for t in texts):
            wrong.append("%s: no %s of its row has %s" % (row[0], kind, parser))
    for case in words(row[8]):
        if case not in cases:
            wrong.append("%s: no such case: %s" % (row[0], case))


def check_sources(protocols, places):
    page = read(PAGE)
    parsers = set(re.findall(r"\bparser_\w+", re.sub(r"/\*.*?\*/", "", read("sensor/parsers.h"), flags=re.S)))
    rows = {row[2].strip("`") for row in protocols} - {"-"}
    for parser in sorted(parsers ^ rows):
        wrong.append("%s is not in %s" % (parser, PAGE if parser in parsers else "sensor/parsers.h"))
    cases = {d.split("/")[2] for d in glob.glob("tests/golden/*/")}
    cases |= {c.replace("_", "-") for c in re.findall(r"^def (\w+)\(\):", read("tests/hostile/evade.py"), re.M)}
    for row in protocols:
        for file in words(row[3]):
            if not os.path.exists("sensor/" + file):
                wrong.append("%s: no such file: sensor/%s" % (row[0], file))
        if row[2] != "-":
            check_parser(row)
        check_tests(row, cases)
    for path in sorted(glob.glob("sensor/inspect_*.c")):
        if not re.search(r"\b%s\b" % re.escape(os.path.basename(path)), page):
            wrong.append("%s is not there" % path)
    known = {}
    for number, name, types in re.findall(r'X\((\w+), "([\w.]+)", ([^)]*(?:\)[^)]*)*?)\)\s*(?:\\|$)', read("rules/where.h"), re.M):
        types = types.replace("T_NAME", "T(DOMAIN) | T(HOSTNAME)").replace("T_ADDR", "T(IP) | T(CIDR)")
        known[name] = ", ".join(t.lower() for t in re.findall(r"T\((\w+)\)", types))
        if not any(re.search(r"\bWHERE_%s\b" % number, read(f)) for f in glob.glob("sensor/*.c")):
            wrong.append("nothing gives the place %s" % name)
    for place in sorted(set(known) | set(places)):
        if known.get(place) != places.get(place):
            wrong.append("%s: rules/where.h has %s, the page %s" % (place, known.get(place), places.get(place)))
    for row in protocols:
        for place in sorted((sides(row)[0] | sides(row)[1]) - set(known)):
            wrong.append("%s: no such place: %s" % (row[0], place))


def check_observed(protocols, path):
    seen = {tuple(line.split()) for line in read(path).splitlines()}
    for row in protocols:
        key = row[0] + "/" + row[1]
        if row[4].startswith("as "):
            continue
        for side, told in zip(("client", "server"), sides(row)):
            tested = {place for k, place, s in seen if k == key and s == side}
            for place in sorted(told - tested):
                wrong.append("%s: no unit test observes %s from the %s" % (key, place, side))
            for place in sorted(tested - told):
                wrong.append("%s: a unit test observes %s from the %s: it is not in the row" % (key, place, side))


protocols, places = tables()
if len(sys.argv) > 1:
    check_observed(protocols, sys.argv[1])
else:
    check_sources(protocols, places)
for line in wrong:
    print(line)
sys.exit(1 if wrong else 0)
