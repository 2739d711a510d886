"""STIX 2.1 as its specification says, for what Picket emits: stix_check.py FILE...

A file holds a bundle, a TAXII envelope or one object. Prints every fault and exits 1
if there is one; --self-test tries the checker on objects that are wrong.
Sections are of the OASIS standard STIX 2.1. Only types that Picket emits or passes on are known in full."""
import datetime
import hashlib
import json
import re
import sys
import uuid

SCO_NAMESPACE = uuid.UUID("00abedb4-aa42-466c-9c01-fed23315a9b7")  # 2.9
ID = re.compile(r"^([a-z0-9][a-z0-9-]*[a-z0-9])--([0-9a-f]{8}-[0-9a-f]{4}-([1-5])[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})$")
TIME = re.compile(r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?Z$")
PROPERTY = re.compile(r"^[a-z0-9_]{3,250}$|^x$")
COMMON = {"type", "spec_version", "id", "created_by_ref", "created", "modified", "revoked", "labels", "confidence", "lang",
          "external_references", "object_marking_refs", "granular_markings", "extensions"}
# type -> (required, optional) beside the common ones; 4, 5, 7
KNOWN = {
    "indicator": ({"pattern", "pattern_type", "valid_from"},
                  {"name", "description", "indicator_types", "pattern_version", "valid_until", "kill_chain_phases"}),
    "identity": ({"name"}, {"description", "roles", "identity_class", "sectors", "contact_information"}),
    "sighting": ({"sighting_of_ref"}, {"description", "first_seen", "last_seen", "count", "observed_data_refs",
                                       "where_sighted_refs", "summary"}),
    "observed-data": ({"first_observed", "last_observed", "number_observed"}, {"objects", "object_refs"}),
    "opinion": ({"opinion", "object_refs"}, {"explanation", "authors"}),
    "note": ({"content", "object_refs"}, {"abstract", "authors"}),
    "relationship": ({"relationship_type", "source_ref", "target_ref"}, {"description", "start_time", "stop_time"}),
    "malware": ({"is_family"}, {"name", "description", "malware_types", "aliases", "kill_chain_phases", "first_seen", "last_seen",
                                "operating_system_refs", "architecture_execution_envs", "implementation_languages",
                                "capabilities", "sample_refs"}),
    "marking-definition": (set(), {"name", "definition_type", "definition"}),
    "extension-definition": ({"name", "schema", "version", "extension_types"}, {"description", "extension_properties"}),
}
SCO = {  # 6 and the id contributing properties of each
    "ipv4-addr": ({"value"}, {"resolves_to_refs", "belongs_to_refs"}, ["value"]),
    "ipv6-addr": ({"value"}, {"resolves_to_refs", "belongs_to_refs"}, ["value"]),
    "domain-name": ({"value"}, {"resolves_to_refs"}, ["value"]),
    "url": ({"value"}, set(), ["value"]),
    "email-addr": ({"value"}, {"display_name", "belongs_to_ref"}, ["value"]),
}
OTHER_SCO = {"artifact", "autonomous-system", "directory", "email-message", "file", "mac-addr", "mutex", "network-traffic",
             "process", "software", "user-account", "windows-registry-key", "x509-certificate"}
TLP = {  # TLP 1.0 (7.2.1.4) and 2.0 (its extension)
    "613f2e26-407d-48c7-9eca-b8e91df99dc9", "34098fce-860f-48ae-8e50-ebd3cc5e41da", "f88d31f6-486f-44da-b317-01333bde0b82",
    "5e57c739-391a-4eb3-b6be-7d15ca92d5ed", "94868c89-83c2-464b-929b-a1a8aa3c8487", "bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
    "55d920b0-5e8b-4f79-9ee9-91f868d9b421", "939a9414-2ddd-4d32-a0cd-375ea402b003", "e828b379-4e03-4974-9ac4-e53a884c97c1"}
TLP2 = {"clear": "94868c89-83c2-464b-929b-a1a8aa3c8487", "green": "bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
        "amber": "55d920b0-5e8b-4f79-9ee9-91f868d9b421", "amber+strict": "939a9414-2ddd-4d32-a0cd-375ea402b003",
        "red": "e828b379-4e03-4974-9ac4-e53a884c97c1"}
TLP2_EXTENSION = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"
OPINIONS = {"strongly-disagree", "disagree", "neutral", "agree", "strongly-agree"}
TIMES = {"created", "modified", "valid_from", "valid_until", "first_seen", "last_seen", "first_observed", "last_observed",
         "start_time", "stop_time"}


def sco_id(o):
    contributing = {k: o[k] for k in SCO[o["type"]][2] if k in o}
    text = json.dumps(contributing, sort_keys=True, separators=(",", ":"), ensure_ascii=False)  # RFC 8785 of texts
    return f"{o['type']}--{uuid.uuid5(SCO_NAMESPACE, text)}"


def when(text):
    frac = re.search(r"\.(\d+)", text)
    base = datetime.datetime.strptime(re.sub(r"(\.\d+)?Z$", "", text), "%Y-%m-%dT%H:%M:%S")
    return base, float("0." + frac[1]) if frac else 0.0


class Check:
    def __init__(self):
        self.faults = []

    def fault(self, o, text):
        self.faults.append(f"{o.get('id', '?') if isinstance(o, dict) else '?'}: {text}")

    def identifier(self, o, key, value, types=None):
        m = ID.match(value) if isinstance(value, str) else None
        if not m:
            self.fault(o, f"{key}: \"{value}\" is no identifier (2.9)")
        elif types and m[1] not in types:
            self.fault(o, f"{key}: \"{value}\" is not one of {sorted(types)}")

    def values(self, o, v, path=""):
        """No null, no empty list (2.1, 3.1); times and references where their names say so."""
        if v is None:
            self.fault(o, f"{path} is null")
        elif isinstance(v, list):
            if not v:
                self.fault(o, f"{path} is an empty list")
            for x in v:
                self.values(o, x, path)
        elif isinstance(v, dict):
            if not v and path not in (".definition",):
                self.fault(o, f"{path} is an empty map")
            for k, x in v.items():
                if path.split(".")[-1] != "extensions" and not PROPERTY.match(k) and not path.endswith((".hashes", ".definition")) and len(k) > 250:
                    self.fault(o, f"{path}.{k}: no property name (3.1)")
                if k.endswith("_ref"):
                    self.identifier(o, k, x)
                if k.endswith("_refs"):
                    for r in x if isinstance(x, list) else [x]:
                        self.identifier(o, k, r)
                if k in TIMES and not (isinstance(x, str) and TIME.match(x)):
                    self.fault(o, f"{k}: \"{x}\" is no timestamp (2.16)")
                self.values(o, x, f"{path}.{k}")

    def order(self, o, first, second, strict=False):
        if first in o and second in o and TIME.match(str(o[first])) and TIME.match(str(o[second])):
            a, b = when(o[first]), when(o[second])
            if a > b or (strict and a == b):
                self.fault(o, f"{second} is not behind {first}")

    def pattern(self, o):
        p, depth, i = o.get("pattern", ""), 0, 0
        if o.get("pattern_type") != "stix":
            return
        while i < len(p):
            if p[i] == "'":
                i += 1
                while i < len(p) and p[i] != "'":
                    i += 2 if p[i] == "\\" else 1
                if i >= len(p):
                    self.fault(o, "pattern: a text has no end (9.4)")
            elif p[i] in "[(":
                depth += 1
            elif p[i] in "])":
                depth -= 1
            i += 1
        if depth or "[" not in p:
            self.fault(o, "pattern: brackets do not match, or there is no observation (9.5)")

    def markings(self, o):
        for m in o.get("object_marking_refs", []):
            self.identifier(o, "object_marking_refs", m, {"marking-definition"})
        for g in o.get("granular_markings", []):
            if ("marking_ref" in g) == ("lang" in g) or not g.get("selectors"):
                self.fault(o, "granular_markings: exactly one of marking_ref and lang, and selectors (7.2.3)")
            for s in g.get("selectors", []):
                at = o
                for part in s.split("."):
                    try:
                        at = at[int(part[1:-1])] if part.startswith("[") else at[part]
                    except (KeyError, IndexError, ValueError, TypeError):
                        self.fault(o, f"granular_markings: {s} selects nothing (7.2.3.1)")
                        break

    def definition(self, o):
        u, tlp2 = o["id"][20:], o.get("extensions", {}).get(TLP2_EXTENSION)
        if o.get("definition_type") == "tlp" and u not in TLP:
            self.fault(o, "a TLP marking under another id than TLP's own (7.2.1.4)")
        if tlp2 is not None and TLP2.get(tlp2.get("tlp_2_0")) != u:
            self.fault(o, "TLP 2.0 level and id do not go together")
        if not ("definition_type" in o and "definition" in o) and "extensions" not in o:
            self.fault(o, "neither a definition nor an extension (7.2.1)")

    def known(self, o, required, optional, observable):
        common = COMMON - ({"created", "modified", "created_by_ref", "revoked", "labels", "confidence", "lang",
                            "external_references"} if observable else set()) | ({"defanged"} if observable else set())
        for k in required - set(o):
            self.fault(o, f"{k} is missing")
        toplevel = any(isinstance(x, dict) and x.get("extension_type") == "toplevel-property-extension"
                       for x in o.get("extensions", {}).values())
        for k in set(o) - required - optional - common:
            if not toplevel:
                self.fault(o, f"{k} is no property of it and no extension declares it (7.3)")

    def object(self, o):
        if not isinstance(o, dict) or not isinstance(o.get("type"), str) or "id" not in o:
            self.fault(o, "no type or no id (3.2)")
            return
        t = o["type"]
        self.identifier(o, "id", o["id"], {t})
        self.values(o, o)
        observable = t in SCO or t in OTHER_SCO
        if o.get("spec_version", "2.1" if observable else None) != "2.1":
            self.fault(o, "spec_version is not 2.1")
        if not observable and "created" not in o:
            self.fault(o, "created is missing (3.2)")
        if not observable and "modified" not in o and t != "marking-definition":
            self.fault(o, "modified is missing (3.2)")
        for k in ("created", "modified"):
            if k in o and not re.search(r"\.\d{3}Z$", str(o[k])):
                self.fault(o, f"{k} is not given to the millisecond (3.2)")
        if not observable and ID.match(str(o["id"])) and ID.match(o["id"])[3] == "5" and any(
                o["id"].endswith(str(uuid.uuid5(SCO_NAMESPACE, json.dumps({k: o[k]}, separators=(",", ":")))))
                for k in ("pattern", "name", "value") if k in o):
            self.fault(o, "an id in the namespace of observables (2.9)")
        if t in SCO and sco_id(o) != o["id"] and ID.match(str(o["id"])) and ID.match(o["id"])[3] == "5":
            self.fault(o, f"its id should be {sco_id(o)} (2.9)")
        for a, b, strict in (("created", "modified", False), ("valid_from", "valid_until", True), ("first_seen", "last_seen", False),
                             ("first_observed", "last_observed", False), ("start_time", "stop_time", True)):
            self.order(o, a, b, strict)
        if "confidence" in o and not (isinstance(o["confidence"], int) and 0 <= o["confidence"] <= 100):
            self.fault(o, "confidence is not 0 to 100 (3.2)")
        if "count" in o and t == "sighting" and not 0 <= o["count"] <= 999999999:
            self.fault(o, "count is not 0 to 999999999 (5.2)")
        if t == "opinion" and o.get("opinion") not in OPINIONS:
            self.fault(o, "opinion is not one of its words (4.13)")
        for k, x in o.get("extensions", {}).items():
            if not k.startswith("extension-definition--") and not observable:
                self.fault(o, f"extensions: {k} is no extension definition (7.3)")
            elif k.startswith("extension-definition--") and not isinstance(x, dict):
                self.fault(o, f"extensions: {k} is no map")
        if t in KNOWN:
            self.known(o, *KNOWN[t], False)
        elif t in SCO:
            self.known(o, *SCO[t][:2], True)
        self.markings(o)
        if t == "indicator":
            self.pattern(o)
        if t == "marking-definition":
            self.definition(o)

    def document(self, d):
        if isinstance(d, dict) and d.get("type") == "bundle":
            self.identifier(d, "id", d.get("id"), {"bundle"})
            for k in set(d) - {"type", "id", "objects"}:
                self.fault(d, f"a bundle has no {k} (8)")
        objects = d["objects"] if isinstance(d, dict) and "objects" in d and d.get("type") in (None, "bundle") else [d] if d else []
        seen = set()
        for o in objects:
            self.object(o)
            key = (o.get("id"), o.get("modified")) if isinstance(o, dict) else None
            if key in seen:
                self.fault(o, "twice, with one id and version")
            seen.add(key)
        return len(objects)


def self_test():
    good = {"type": "indicator", "spec_version": "2.1", "id": "indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f",
            "created": "2026-01-01T00:00:00.000Z", "modified": "2026-01-01T00:00:00.000Z", "pattern": "[url:value = 'a]\\'b']",
            "pattern_type": "stix", "valid_from": "2026-01-01T00:00:00Z"}
    address = {"type": "ipv4-addr", "spec_version": "2.1", "id": "ipv4-addr--12592121-be4c-5a93-a813-5a5af16e50db", "value": "198.51.100.7"}
    bad = [dict(good, **x) for x in (
        {"id": "indicator--1"}, {"id": "malware--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f"}, {"created": "2026-01-01T00:00:00Z"},
        {"created": "2026-01-01 00:00:00.000Z"}, {"modified": "2025-01-01T00:00:00.000Z"}, {"valid_until": "2026-01-01T00:00:00.000Z"},
        {"pattern": "[url:value = 'a"}, {"pattern": "url:value = 'a'"}, {"labels": []}, {"name": None}, {"confidence": 101},
        {"object_marking_refs": ["indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f"]}, {"created_by_ref": "us"}, {"x_mine": 1},
        {"granular_markings": [{"marking_ref": "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb", "selectors": ["nothing"]}]},
        {"spec_version": "2.0"}, {"extensions": {"mine": {"a": 1}}})]
    bad += [{k: v for k, v in good.items() if k != missing} for missing in ("pattern", "modified", "valid_from", "type", "id")]
    bad += [dict(address, id="ipv4-addr--12592121-be4c-5a93-a813-5a5af16e50dc"), dict(address, value="198.51.100.8"),
            {"type": "bundle", "id": "bundle--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f", "spec_version": "2.1", "objects": [good]},
            {"objects": [good, good]},
            {"type": "marking-definition", "spec_version": "2.1", "id": "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ec",
             "created": "2017-01-20T00:00:00.000Z", "definition_type": "tlp", "definition": {"tlp": "red"}}]
    for d in (good, address, {"objects": [good, address]}, {}):
        c = Check()
        c.document(d)
        if c.faults:
            sys.exit(f"stix_check: a right one is called wrong: {c.faults}")
    for d in bad:
        c = Check()
        c.document(d)
        if not c.faults:
            sys.exit(f"stix_check: a wrong one passes: {d}")
    print(f"stix_check: {len(bad)} wrong objects are caught")


if sys.argv[1:] == ["--self-test"]:
    self_test()
    sys.exit(0)
total, check = 0, Check()
for name in sys.argv[1:]:
    with open(name, encoding="utf-8") as f:
        total += check.document(json.load(f))
for text in check.faults[:50]:
    print(text)
print(f"stix_check: {total} objects, {len(check.faults)} faults")
sys.exit(1 if check.faults or not total else 0)
