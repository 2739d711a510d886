"""TAXII 2.1 requirements, one check each: taxii.py PORT TLS COLLECTION HIDDEN PART.

Nothing but the standard library, so that what is tested is the wire."""
import base64
import concurrent.futures
import http.client
import json
import os
import re
import socket
import ssl
import sys
import threading
import time
import uuid

PORT, TLS, COLLECTION, HIDDEN, PART = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5]
MEDIA = "application/taxii+json;version=2.1"
GREEN = "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"
AMBER = "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421"
RED = "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1"
WHITE1 = "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9"
OBJECTS = f"/shared/collections/{COLLECTION}/objects/"
MANIFEST = f"/shared/collections/{COLLECTION}/manifest/"
passed, failed = 0, []


def check(label, good, seen=""):
    global passed
    if good:
        passed += 1
    else:
        failed.append(label)
        print("FAILED:", label, str(seen)[:600])


class Answer:
    def __init__(self, r):
        self.status, self.headers, self.bytes = r.status, r.headers, r.read()

    @property
    def json(self):
        return json.loads(self.bytes)

    def __repr__(self):
        return f"{self.status} {self.bytes[:400]}"


def connect(port=PORT, cert=None):
    c = ssl.create_default_context(cafile=f"{TLS}/collector-ca.crt")
    c.check_hostname = False  # the test certificate names no host
    if cert:
        c.load_cert_chain(f"{TLS}/{cert}.crt", f"{TLS}/{cert}.key")
    return http.client.HTTPSConnection("127.0.0.1", port, context=c, timeout=15)


def basic(user, password=None):
    text = f"{user}:{'secret of ' + user if password is None else password}"
    return "Basic " + base64.b64encode(text.encode()).decode()


def ask(method, path, user="reader", body=None, headers=None, conn=None, port=PORT, cert=None):
    h = {"Accept": MEDIA}
    if user:
        h["Authorization"] = basic(user)
    if body is not None:
        h["Content-Type"] = MEDIA
    h.update(headers or {})
    h = {k: v for k, v in h.items() if v is not None}
    c = conn or connect(port, cert)
    c.request(method, path, body if body is None or isinstance(body, bytes) else json.dumps(body).encode(), h)
    a = Answer(c.getresponse())
    if not conn:
        c.close()
    return a


def get(path, **k):
    return ask("GET", path, **k)


def post(objects, **k):
    return ask("POST", OBJECTS, user=k.pop("user", "writer"), body={"objects": objects}, **k)


def indicator(number=None, marking=GREEN, **more):
    oid = f"indicator--{number:08x}-0000-4000-8000-00000000beef" if number is not None else f"indicator--{uuid.uuid4()}"
    o = {"type": "indicator", "spec_version": "2.1", "id": oid, "created": "2026-01-01T00:00:00.000Z",
         "modified": "2026-01-01T00:00:00.000Z", "pattern": f"[domain-name:value = 'x{number or 0}.badnames.com']",
         "pattern_type": "stix", "valid_from": "2026-01-01T00:00:00Z", "object_marking_refs": [marking] if marking else None}
    o.update(more)
    return {k: v for k, v in o.items() if v is not None}


def is_error(a, status):
    return (a.status == status and a.headers["Content-Type"] == MEDIA and a.json["http_status"] == str(status)
            and a.json["title"])


def pages(path, limit, **k):
    objects, dates, nxt = [], [], None
    while True:
        a = get(path + ("&" if "?" in path else "?") + f"limit={limit}" + (f"&next={nxt}" if nxt else ""), **k)
        assert a.status == 200, a
        if not a.json:
            return objects, dates
        assert len(a.json["objects"]) <= limit
        objects += a.json["objects"]
        dates.append((a.headers["X-TAXII-Date-Added-First"], a.headers["X-TAXII-Date-Added-Last"]))
        if not a.json["more"]:
            return objects, dates
        nxt = a.json["next"]


def who():
    check("no credentials: 401", is_error(get("/taxii2/", user=None), 401))
    check("401 says how", "Basic" in get("/taxii2/", user=None).headers["WWW-Authenticate"])
    check("401 before 404", get("/nowhere/", user=None).status == 401)
    check("401 before 406", get("/taxii2/", user=None, headers={"Accept": "*/*"}).status == 401)
    wrong = get("/taxii2/", user=None, headers={"Authorization": basic("reader", "wrong")})
    check("wrong password: 401", is_error(wrong, 401), wrong)
    check("unknown name: 401", get("/taxii2/", user=None, headers={"Authorization": basic("nobody", "x")}).status == 401)
    for bad in ("Basic", "Basic ====", "Basic " + base64.b64encode(b"reader").decode(), "Bearer x", "Basic " + "A" * 3000):
        check("no credentials: " + bad[:20], get("/taxii2/", user=None, headers={"Authorization": bad}).status == 401)
    check("a password", get("/taxii2/").status == 200)
    check("a certificate", get("/taxii2/", user=None, cert="reader-1").status == 200)
    check("a certificate of a stranger", get("/taxii2/", user=None, cert="stranger-1").status == 401)
    try:
        a = get("/taxii2/", user=None, cert="revoked-1")
        check("a revoked certificate", False, a)
    except (ssl.SSLError, OSError):
        check("a revoked certificate", True)
    old = connect()
    old._context.maximum_version = ssl.TLSVersion.TLSv1_2
    check("TLS 1.2", get("/taxii2/", conn=old).status == 200)


def forms():
    for accept, status in ((MEDIA, 200), ("application/taxii+json; version=2.1", 200), ("application/taxii+json", 200),
                           (f"text/html, {MEDIA}", 200), ("application/taxii+json;version=2.0", 406), ("*/*", 406),
                           ("application/json", 406), (None, 406), ("application/taxii+jsonx", 406)):
        a = ask("GET", "/taxii2/", headers={"Accept": accept}) if accept else raw_accept()
        check(f"Accept {accept}: {status}", a.status == status, a)
    a = get("/taxii2/")
    check("discovery", a.headers["Content-Type"] == MEDIA and a.json["title"] and a.json["default"] in a.json["api_roots"], a)
    check("discovery without the slash", get("/taxii2").status == 200)
    a = get("/shared/")
    check("API root", a.json["title"] and a.json["versions"] == [MEDIA] and a.json["max_content_length"] == 4 << 20, a)
    a = get("/shared/collections/")
    check("collections: those of the policy only", [c["id"] for c in a.json["collections"]] == [COLLECTION], a)
    c = get(f"/shared/collections/{COLLECTION}/").json
    check("collection", c["title"] == "Indicators" and c["can_read"] and not c["can_write"] and c["media_types"] ==
          ["application/stix+json;version=2.1"], c)
    check("collection by alias", get("/shared/collections/indicators/").json["id"] == COLLECTION)
    for path in ("/other/", "/other/collections/", "/shared/collections/x/", f"/shared/collections/{HIDDEN}/",
                 f"/shared/collections/{HIDDEN}/objects/", "/shared/status/x/", "/shared/x/", "/shared/collections/x/y/z/",
                 OBJECTS + "indicator--x/", OBJECTS + "indicator--00000000-0000-4000-8000-000000000000/", "/",
                 MANIFEST + "x/", "/shared/collections/../collections/", "/a/b/c/d/e/f/g/h/i/j/"):
        check(f"{path}: 404", is_error(get(path), 404), get(path))
    for method, path in (("PUT", OBJECTS), ("DELETE", OBJECTS), ("POST", MANIFEST), ("POST", "/shared/"),
                         ("DELETE", MANIFEST), ("POST", OBJECTS + indicator(1)["id"] + "/")):
        a = ask(method, path, user="writer", body=b"{}" if method != "DELETE" else None)
        check(f"{method} {path}: 405", is_error(a, 405) and a.headers["Allow"], a)
    a = ask("HEAD", "/taxii2/")
    check("HEAD", a.status == 200 and not a.bytes and int(a.headers["Content-Length"]) > 0, a)
    c = connect()
    check("the connection is kept", all(get("/taxii2/", conn=c).status == 200 for _ in range(3)))


def raw_accept():
    c = connect()
    c.putrequest("GET", "/taxii2/", skip_accept_encoding=True)
    c.putheader("Authorization", basic("reader"))
    c.endheaders()
    return Answer(c.getresponse())


def writing():
    one = indicator(1)
    check("not writable: 403", is_error(post([one], user="reader"), 403))
    a = post([one], headers={"Content-Type": "application/json"})
    check("Content-Type: 415", is_error(a, 415), a)
    check("Content-Type without version: 415", post([one], headers={"Content-Type": "application/taxii+json"}).status == 415)
    a = ask("POST", OBJECTS, user="writer", body=one)
    check("no objects: 422", is_error(a, 422) and a.json["title"] == "ProcessingError" and
          "While processing supplied content, an error occurred" in a.json["description"], a)
    for bad in (b"", b"{", b"[]", b'{"objects":[', b'{"objects":[{}}', b'{"objects":[]} x', b'{"objects":[],"objects":[]}',
                b'{"objects":[1,]}', b"\xff\xfe", b'{"objects":[' + b"[" * 200 + b"]" * 200 + b"]}"):
        a = ask("POST", OBJECTS, user="writer", body=bad)
        check(f"{bad[:20]}: 400", is_error(a, 400), a)
    try:
        a = ask("POST", OBJECTS, user="writer", body=b'{"objects":[' + b" " * (4 << 20) + b"]}")
        check("above max_content_length: 413", a.status == 413, a)
    except OSError:  # the server has hung up before all of it was sent
        check("above max_content_length: hung up", True)
    a = post([one])
    s = a.json
    check("202", a.status == 202 and a.headers["Content-Type"] == MEDIA, a)
    check("status sums", s["status"] == "complete" and s["total_count"] == s["success_count"] == 1 and s["failure_count"] ==
          s["pending_count"] == 0 and s["successes"] == [{"id": one["id"], "version": one["modified"]}], s)
    check("status again", get(f"/shared/status/{s['id']}/", user="writer").json == s)
    check("status of another: 404", get(f"/shared/status/{s['id']}/", user="reader").status == 404)
    s = post([one]).json
    check("the same again is success", s["success_count"] == 1 and s["failure_count"] == 0, s)
    s = post([indicator(1, name="other")]).json
    check("other content, same id and version: failure", s["failure_count"] == 1 and "kept apart" in s["failures"][0]["message"], s)
    check("the first one stays", "name" not in get(OBJECTS + one["id"] + "/").json["objects"][0])
    s = post([indicator(2), {"type": "indicator"}, 7, {"id": "x"}, indicator(3)]).json
    check("one bad object does not hold up the rest", s["success_count"] == 2 and s["failure_count"] == 3 and
          len(s["failures"]) == 3 and all(f["message"] for f in s["failures"]), s)
    s = post([indicator(4, modified="yesterday")]).json
    check("a time that is none", s["failure_count"] == 1, s)
    odd = indicator(5, x_unknown={"b": 1, "a": [1.5, 10000000000, "\u00e9\u65e5"]}, description="tab\there \"q\"")
    post([odd])


def reading():
    post([indicator(n) for n in range(10, 30)])
    objects, dates = pages(OBJECTS, 7)
    ids = [o["id"] for o in objects]
    check("paging gives each once", len(ids) == len(set(ids)) and {indicator(n)["id"] for n in range(10, 30)} <= set(ids), ids)
    check("dates of pages ascend", all(a <= b for d in dates for a, b in [d]) and all(x[1] < y[0] for x, y in zip(dates, dates[1:])), dates)
    manifest, _ = pages(MANIFEST, 1000)
    added = [m["date_added"] for m in manifest]
    check("every object has a date_added of its own, also within one POST", added == sorted(set(added)), added)
    check("manifest", manifest[0]["media_type"] == "application/stix+json;version=2.1" and [m["id"] for m in manifest] == ids and
          all(m["version"] for m in manifest))
    a = get(OBJECTS + f"?added_after={added[4]}")
    check("added_after is strict", [o["id"] for o in a.json["objects"]] == ids[5:])
    check("headers are the page's dates", a.headers["X-TAXII-Date-Added-First"] == added[5] and
          a.headers["X-TAXII-Date-Added-Last"] == added[-1])
    a = get(OBJECTS + f"?added_after={added[-1]}")
    check("nothing: {}", a.json == {} and "X-TAXII-Date-Added-First" not in a.headers, a)
    check("more is there", get(OBJECTS).json["more"] is False and get(OBJECTS + "?limit=1").json["more"] is True)
    for q in ("added_after=yesterday", "added_after=2026-13-01T00:00:00Z", "added_after=", "limit=0", "limit=-1", "limit=x",
              "limit=1.5", "limit=", "next=x", "next=" + "A" * 34, "next=" + "A" * 5000, "match[version]=new",
              "match[id]=" + ",".join(["x"] * 600), "match[version]=" + ",".join(["all"] * 200)):
        a = get(OBJECTS + "?" + q)
        check(f"{q[:40]}: 400", is_error(a, 400), a)
    a = get(OBJECTS + "?limit=3&match[type]=indicator")
    nxt = a.json["next"]
    check("next with the same filter", len(get(OBJECTS + f"?limit=3&match[type]=indicator&next={nxt}").json["objects"]) == 3)
    check("next with another limit", len(get(OBJECTS + f"?limit=2&match[type]=indicator&next={nxt}").json["objects"]) == 2)
    check("next, the filter in another spelling", get(OBJECTS + f"?match%5Btype%5D=indicator&next={nxt}").status == 200)
    check("next beside added_after", get(OBJECTS + f"?match[type]=indicator&added_after={added[0]}&next={nxt}").status == 200)
    for q in (f"limit=3&next={nxt}", f"match[type]=malware&next={nxt}", f"match[type]=indicator&next={nxt[:-1]}",
              f"match[type]=indicator&next={nxt[:-2]}AA", f"match[type]=indicator&match[version]=all&next={nxt}"):
        a = get(OBJECTS + "?" + q)
        check("next with another filter: 400", is_error(a, 400) and a.json["title"] == "ProcessingError", a)
    check("next of another place: 400", get(MANIFEST + f"?limit=3&match[type]=indicator&next={nxt}").status == 400)
    check("next of another partner: 400", get(OBJECTS + f"?match[type]=indicator&next={nxt}", user="writer").status == 400)
    check("next at the other gateway", get(OBJECTS + f"?match[type]=indicator&next={nxt}", port=PORT + 1).status == 200)
    check("an unknown filter is ignored", len(get(OBJECTS + "?match[colour]=red&x=y").json["objects"]) == len(ids))
    check("match[id], several", [o["id"] for o in get(OBJECTS + f"?match[id]={ids[3]},{ids[1]},indicator--x").json["objects"]] == [ids[1], ids[3]])
    check("match[type], none", get(OBJECTS + "?match[type]=tool").json == {})
    a = get(OBJECTS + indicator(5)["id"] + "/")
    o = a.json["objects"][0]
    check("unknown properties are cut by the gate, the rest is unchanged", o["description"] == "tab\there \"q\"", o)


def versions():
    v = [f"2026-01-0{d}T00:00:00.000Z" for d in (2, 4, 3)]
    for m in v:
        check("a version", post([indicator(40, modified=m, name=m)]).json["success_count"] == 1)
    oid = indicator(40)["id"]

    def got(q):
        return [o["modified"] for o in get(OBJECTS + oid + "/" + q).json.get("objects", [])]
    check("default: last", got("") == [v[1]], got(""))
    check("first", got("?match[version]=first") == [v[0]])
    check("all, by date of addition", got("?match[version]=all") == v)
    check("first and last", got("?match[version]=first,last") == [v[0], v[1]])
    check("one by its time", got(f"?match[version]={v[2]}") == [v[2]])
    check("one that is not there", got("?match[version]=2020-01-01T00:00:00Z") == [])
    a = get(OBJECTS + oid + "/versions/")
    check("versions, newest first", a.json["versions"] == sorted(v, reverse=True) or sorted(a.json["versions"]) == sorted(v), a)
    check("versions of none: 404", get(OBJECTS + "indicator--00000000-0000-4000-8000-000000000000/versions/").status == 404)
    check("pages hold last versions only", sum(o["id"] == oid for o in pages(OBJECTS, 100)[0]) == 1)
    check("all in pages", sum(o["id"] == oid for o in pages(OBJECTS + "?match[version]=all", 3)[0]) == 3)
    check("spec_version 2.0: none", get(OBJECTS + "?match[spec_version]=2.0").json == {})
    check("spec_version 2.1", len(get(OBJECTS + f"?match[id]={oid}&match[spec_version]=2.1").json["objects"]) == 1)
    check("DELETE by another partner: 403", ask("DELETE", OBJECTS + oid + "/").status == 403)
    a = ask("DELETE", OBJECTS + oid + f"/?match[version]={v[1]}", user="writer")
    check("DELETE of one version", a.status == 200 and a.headers["Content-Type"] == MEDIA, a)
    check("the one before it is last now", got("") == [v[2]], got(""))
    check("DELETE of all", ask("DELETE", OBJECTS + oid + "/", user="writer").status == 200)
    check("gone: 404", is_error(get(OBJECTS + oid + "/"), 404))
    check("DELETE again: 404", ask("DELETE", OBJECTS + oid + "/", user="writer").status == 404)


def concurrent_inserts():
    """Two writers at two gateways; a reader pages meanwhile and must miss and repeat nothing."""
    total = 1200
    mine = {indicator(n)["id"] for n in range(100000, 100000 + total)}

    def write(k):
        for n in range(100000 + k, 100000 + total, 2 * 20):
            batch = [indicator(m) for m in range(n, min(n + 40, 100000 + total), 2)]
            assert post(batch, port=PORT + k).status == 202
    seen, after, done = [], None, threading.Event()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(write, k) for k in (0, 1)]
        deadline = time.time() + 60
        while time.time() < deadline:
            finished = all(j.done() for j in jobs)
            a = get(OBJECTS + "?limit=50" + (f"&added_after={after}" if after else ""))
            if a.json:
                seen += [o["id"] for o in a.json["objects"]]
                after = a.headers["X-TAXII-Date-Added-Last"]
            elif finished:
                break
        for j in jobs:
            j.result()
    check("nothing is repeated while others write", len(seen) == len(set(seen)), len(seen) - len(set(seen)))
    check("nothing is lost while others write", mine <= set(seen), len(mine - set(seen)))
    done.set()


def requirements():
    who()
    forms()
    writing()
    reading()
    versions()
    concurrent_inserts()


def gate():
    """What may not go is as if it were not there."""
    secret = "canary-" + uuid.uuid4().hex
    hidden = [indicator(200, RED, name=secret), indicator(201, None, name=secret),
              indicator(202, "marking-definition--00000000-0000-4000-8000-000000000000", name=secret)]
    s = post(hidden + [indicator(203, AMBER), indicator(204, WHITE1)]).json
    check("they are taken", s["success_count"] >= 4, s)
    every = b"".join(get(p).bytes for p in (OBJECTS + "?limit=500", OBJECTS + "?match[version]=all", MANIFEST + "?limit=500",
                                           OBJECTS + f"?match[id]={hidden[0]['id']}",
                                           OBJECTS + "?match[type]=indicator&added_after=2020-01-01T00:00:00Z"))
    check("no byte of it", secret.encode() not in every)
    check("no id of it", not any(h["id"].encode() in every for h in hidden))
    for h in hidden:
        check("404 as if it were not there", get(OBJECTS + h["id"] + "/").status == 404 and
              get(OBJECTS + h["id"] + "/versions/").status == 404)
    check("what may go goes", get(OBJECTS + indicator(203)["id"] + "/").status == 200)
    check("TLP 1.0 counts", get(OBJECTS + indicator(204)["id"] + "/").status == 200)
    check("not back to where it came from", get(OBJECTS + indicator(203)["id"] + "/", user="writer").status == 404)
    part = indicator(205, GREEN, description=secret, granular_markings=[{"marking_ref": RED, "selectors": ["description"]}])
    post([part])
    a = get(OBJECTS + part["id"] + "/")
    check("a part that is marked higher is cut", a.status == 200 and secret.encode() not in a.bytes and
          "description" not in a.json["objects"][0], a)


    # What is referred to is told of only when it may go itself.
    maker = {"type": "identity", "spec_version": "2.1", "id": f"identity--{uuid.uuid4()}", "created": "2026-01-01T00:00:00.000Z",
             "modified": "2026-01-01T00:00:00.000Z", "name": "Maker", "object_marking_refs": [GREEN]}
    secret_maker = dict(maker, id=f"identity--{uuid.uuid4()}", object_marking_refs=[RED])

    def related(source, target):
        return {"type": "relationship", "spec_version": "2.1", "id": f"relationship--{uuid.uuid4()}",
                "created": "2026-01-01T00:00:00.000Z", "modified": "2026-01-01T00:00:00.000Z", "relationship_type": "related-to",
                "source_ref": source, "target_ref": target, "object_marking_refs": [GREEN]}
    told, untold = related(indicator(203)["id"], maker["id"]), related(indicator(203)["id"], secret_maker["id"])
    a = post([maker, secret_maker, indicator(206, created_by_ref=maker["id"]), indicator(207, created_by_ref=secret_maker["id"]),
              told, untold]).json
    check("they are taken", a["success_count"] == 6, a)
    check("a reference to what may go", get(OBJECTS + indicator(206)["id"] + "/").json["objects"][0].get("created_by_ref") == maker["id"])
    check("a reference to what may not go", "created_by_ref" not in get(OBJECTS + indicator(207)["id"] + "/").json["objects"][0])
    check("a relationship of what may go", get(OBJECTS + told["id"] + "/").status == 200)
    check("a relationship to what may not go", get(OBJECTS + untold["id"] + "/").status == 404)
    page = get(OBJECTS + "?limit=500&match[type]=identity,relationship").bytes
    check("no id of what may not go in a page", secret_maker["id"].encode() not in page and maker["id"].encode() in page)
    with open(os.path.join(TLS, "given.json"), "wb") as f:
        f.write(get(OBJECTS + "?limit=500").bytes)


def raw(data, wait=0.0):
    c = ssl.create_default_context(cafile=f"{TLS}/collector-ca.crt")
    c.check_hostname = False
    s = c.wrap_socket(socket.create_connection(("127.0.0.1", PORT), timeout=12))
    s.sendall(data)
    time.sleep(wait)
    try:
        return s.recv(65536)
    except (ssl.SSLError, OSError):
        return b""


def hostile():
    ok = get("/taxii2/").status == 200
    for data in (b"\0" * 100, b"GET", b"GET / HTTP/9.9\r\n\r\n", b"GET /%00 HTTP/1.1\r\n\r\n", b"GET /taxii2/?%zz=1&&==&a HTTP/1.1\r\n\r\n",
                 b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
                 b"GET / HTTP/1.1\r\nX: " + b"a" * 40000 + b"\r\n\r\n", b"GET /" + b"a" * 40000 + b" HTTP/1.1\r\n\r\n",
                 b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\nx"):
        head = data.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\r\nConnection: close\r\nAuthorization: " + basic("reader").encode() + b"\r\n")
        threading.Thread(target=raw, args=(head,), daemon=True).start()
        check(f"alive after {data[:24]}", get("/taxii2/").status == 200)
    began = time.time()
    s = ssl.create_default_context(cafile=f"{TLS}/collector-ca.crt")
    s.check_hostname = False
    c = s.wrap_socket(socket.create_connection(("127.0.0.1", PORT), timeout=30))
    try:  # a header that never ends, byte by byte
        c.sendall(b"GET /taxii2/ HTTP/1.1\r\nX: ")
        while time.time() - began < 20:
            c.sendall(b"a")
            time.sleep(0.2)
    except (ssl.SSLError, OSError):
        pass
    check("a slow client is cut off", time.time() - began < 15, time.time() - began)
    plain = socket.create_connection(("127.0.0.1", PORT), timeout=5)
    plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
    plain.close()
    deep = b'{"objects":[' + b'{"a":' * 50 + b"1" + b"}" * 50 + b"]}"
    check("deep JSON", ask("POST", OBJECTS, user="writer", body=deep).json["failure_count"] == 1)
    big = indicator(300, description="x" * 100000)
    check("an object above the limit", post([big]).json["failure_count"] == 1)
    check("a name in a query is no way to a header", get("/taxii2/?a=%0d%0aX-Evil:%201").headers["X-Evil"] is None)
    answers = [get("/taxii2/", user=None, headers={"Authorization": basic("guess", str(i))}).status for i in range(12)]
    check("guessing is slowed down: 429", 429 in answers and answers[0] in (401, 429), answers)
    check("still alive", ok)


def escaped():
    """Hostile text in paths, queries, heads and objects: no answer has a head of its own
    making, a raw control character, or bytes that are no UTF-8."""
    control = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufffe\uffff]")
    texts = [b"\x1b[2J", b"\xc2\x9b2J", b"x\r\nX-Evil: 1", b"x\nX-Evil: 1", b"\xff\xfe", b"\xed\xa0\x80", "\u202egpj".encode(),
             b'"<script>&\\', b"%s%n", b"a" * 3000]
    known = {h.lower() for h in get("/taxii2/").headers} | {h.lower() for h in get(OBJECTS).headers} | {"www-authenticate", "allow", "retry-after", "connection"}

    def judge(label, a):
        check("escaped: %s: a head of its own" % label, {h.lower() for h in a.headers} <= known, dict(a.headers))
        try:
            text = a.bytes.decode("utf-8", "strict")
            check("escaped: %s: a control character" % label, not control.search(text), a)
            if a.headers["Content-Type"] == MEDIA and text:
                json.loads(text, strict=True)
            else:  # before there is a request to answer: one of two fixed texts
                check("escaped: %s: a text that is not fixed" % label, text in ("", "bad request\n") or "<H1>Bad Request</H1>" in text, a)
        except ValueError as e:
            check("escaped: %s" % label, False, (e, a))

    for t in texts:
        q = "".join("%%%02x" % b for b in t)
        for path in ("/" + q + "/", "/shared/collections/" + q + "/objects/", OBJECTS + q + "/", OBJECTS + "?match[id]=" + q,
                     OBJECTS + "?match[type]=" + q, OBJECTS + "?match[version]=" + q, OBJECTS + "?next=" + q, OBJECTS + "?added_after=" + q,
                     OBJECTS + "?limit=" + q, OBJECTS + "?" + q + "=" + q, "/shared/status/" + q + "/"):
            judge(path[:60], get(path))
        word = t.decode("utf-8", "replace")
        judge("accept", get("/taxii2/", headers={"Accept": re.sub("[^ -~]", "?", word)}))
        for field in ("id", "name", "pattern", "modified", "type"):
            judge("post " + field, post([indicator(**{field: word})], user="writer"))
            judge("post a key", post([indicator(**{word: 1})], user="writer"))
        judge("post, no JSON", ask("POST", OBJECTS, user="writer", body=b'{"objects":[{"name":"' + t + b'"}]}'))
    judge("what is given out", get(OBJECTS))


def fill():
    for n in range(500000, 503000, 500):
        assert post([indicator(m) for m in range(n, n + 500)]).status == 202
    check("filled", True)


STATE = os.path.join(TLS, "sync.json")


def first_half():
    seen, nxt = [], None
    for _ in range(5):
        a = get(OBJECTS + "?limit=400" + (f"&next={nxt}" if nxt else ""), user=None, cert="reader-1")
        seen += [o["id"] for o in a.json["objects"]]
        nxt = a.json["next"]
    json.dump({"seen": seen, "next": nxt}, open(STATE, "w"))
    check("half", len(set(seen)) == 2000, len(seen))


def second_half():
    state = json.load(open(STATE))
    seen, nxt = state["seen"], state["next"]
    while nxt:
        a = get(OBJECTS + f"?limit=400&next={nxt}", user=None, cert="reader-1")
        assert a.status == 200, a
        seen += [o["id"] for o in a.json.get("objects", [])]
        nxt = a.json.get("next")
    check("the cursor goes on after kill -9: nothing repeated", len(seen) == len(set(seen)))
    check("the cursor goes on after kill -9: nothing lost", {indicator(n)["id"] for n in range(500000, 503000)} <= set(seen))


def torn_post():
    """The gateway is killed in the middle of this: nobody knows what was taken."""
    try:
        for n in range(600000, 640000, 2000):
            post([indicator(m) for m in range(n, n + 2000)], user=None, cert="writer-1")
        print("the gateway was not killed in time")
    except (OSError, http.client.HTTPException):
        pass
    check("torn", True)


def posted_again():
    for n in range(600000, 604000, 1000):
        s = post([indicator(m) for m in range(n, n + 1000)], user=None, cert="writer-1").json
        check("posted again: success", s["success_count"] == 1000, s.get("failures"))
    manifest, _ = pages(MANIFEST, 500, user=None, cert="reader-1")
    mine = [m["id"] for m in manifest if m["id"].startswith("indicator") and 600000 <= int(m["id"][11:19], 16) < 604000]
    check("each is there once", len(mine) == len(set(mine)) == 4000, len(mine))
    dates = [m["date_added"] for m in manifest]
    check("dates still increase", dates == sorted(set(dates)))


def more_posts():
    s = post([indicator(m) for m in range(700000, 700050)]).json
    check("more", s["success_count"] == 50, s)


globals()[PART]()
print(f"taxii: {PART}: {passed} passed, {len(failed)} failed")
sys.exit(1 if failed else 0)
