# SPDX-License-Identifier: Apache-2.0
"""schema.py - what docs/schema uses of JSON Schema, checked with the standard library.

A keyword that is not known here is an error, so that none is silently ignored. `strict` also
refuses a property that no schema names: docs/schema lets others add, our daemon is to be
documented.
"""
import functools
import json
import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDER = os.path.join(ROOT, "docs", "schema")

TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int,
         "number": (int, float), "null": type(None)}
SILENT = {"$schema", "$defs", "title", "description"}


@functools.lru_cache(maxsize=None)
def load(name):
    with open(os.path.join(FOLDER, name), encoding="utf-8") as f:
        return json.load(f)


def resolve(reference, document):
    """The schema behind a $ref, and the document it is in."""
    name, _, path = reference.partition("#")
    document = load(name) if name else document
    found = document
    for step in path.split("/")[1:]:
        found = found[step]
    return found, document


def is_type(value, name):
    if isinstance(value, bool):
        return name == "boolean"
    return isinstance(value, TYPES[name])


def complaints(value, schema, document, at="", strict=False):
    """What is wrong with `value`, as texts."""
    def under(part, more, where):
        return complaints(part, more, document, where, strict)

    found = []
    for keyword, wanted in schema.items():
        if keyword == "$ref":
            other, home = resolve(wanted, document)
            found += complaints(value, other, home, at, strict)
        elif keyword == "type":
            names = wanted if isinstance(wanted, list) else [wanted]
            if not any(is_type(value, name) for name in names):
                found.append(f"{at}: {value!r} is no {' or '.join(names)}")
        elif keyword == "enum":
            if value not in wanted:
                found.append(f"{at}: {value!r} is none of {wanted}")
        elif keyword == "const":
            if value != wanted or isinstance(value, bool) != isinstance(wanted, bool):
                found.append(f"{at}: {value!r} is not {wanted!r}")
        elif keyword == "minimum":
            if is_type(value, "number") and value < wanted:
                found.append(f"{at}: {value!r} is below {wanted}")
        elif keyword == "pattern":
            if isinstance(value, str) and not re.search(wanted, value):
                found.append(f"{at}: {value!r} does not match {wanted}")
        elif keyword == "anyOf":
            if all(under(value, choice, at) for choice in wanted):
                found.append(f"{at}: {value!r} is none of what it may be")
        elif keyword == "items":
            for i, item in enumerate(value if isinstance(value, list) else []):
                found += under(item, wanted, f"{at}[{i}]")
        elif keyword == "required":
            found += [f"{at}: {name} is missing" for name in wanted
                      if isinstance(value, dict) and name not in value]
        elif keyword == "properties":
            for name, part in (value if isinstance(value, dict) else {}).items():
                if name in wanted:
                    found += under(part, wanted[name], f"{at}.{name}")
                elif strict:
                    found.append(f"{at}.{name}: is not in the schema")
        elif keyword not in SILENT:
            raise ValueError(f"{at}: keyword {keyword} is not known")
    return found


def check(value, name, strict=True):
    """Complaints about `value` by the schema docs/schema/NAME.json."""
    schema = load(name + ".json")
    return complaints(value, schema, schema, name, strict)


def check_reply(reply):
    """Complaints about a whole reply, its returnValue included."""
    found = check(reply, "reply")
    action = reply.get("action")
    if "returnValue" in reply and action:
        if os.path.exists(os.path.join(FOLDER, action + ".json")):
            found += check(reply["returnValue"], action)
        else:
            found.append(f"there is no docs/schema/{action}.json")
    return found
