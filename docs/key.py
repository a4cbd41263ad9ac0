"""The keys of docs/key.md in Python 3, with nothing but its standard library.

    python3 docs/key.py [tests/vectors/key.json]

computes every key in the vectors, refuses the bodies that have none, and exits 1 when one comes out differently. To use
it in a program: key(scope, load(raw_body)).
"""

import hashlib
import json
import sys
from decimal import Decimal
from pathlib import Path

IGNORED = [  # by the end of the endpoint's path; the first that fits
    ("/chat/completions", {"n", "stream", "stream_options", "user", "metadata", "store"}),
    ("/completions", {"n", "stream", "stream_options", "user"}),
    ("/responses", {"stream", "stream_options", "user", "metadata"}),
    ("/v1/messages", {"stream", "metadata"}),
    ("/embeddings", {"user", "encoding_format"}),
]
MAX_DEPTH = 512
MAX_INTEGER = 2**53 - 1


def load(text):
    """Parses a raw body; ValueError (or RecursionError) when it has no key."""
    body = json.loads(
        text, object_pairs_hook=members, parse_int=integer, parse_float=real, parse_constant=no_number
    )
    if depth(body) > MAX_DEPTH:
        raise ValueError("nested too deeply")
    canonical(body).encode()  # a lone surrogate has no UTF-8
    return body


def members(pairs):
    object = dict(pairs)
    if len(object) != len(pairs):
        raise ValueError("a name appears twice")
    return object


def integer(text):
    if abs(int(text)) > MAX_INTEGER:
        raise ValueError(f"beyond 2^53 - 1: {text}")
    return int(text)


def real(text):
    value = float(text)
    mantissa = text.lower().split("e")[0]
    if value in (float("inf"), float("-inf")) or (value == 0 and mantissa.strip("-0.")):
        raise ValueError(f"out of range: {text}")
    if value.is_integer() and abs(value) > MAX_INTEGER:
        raise ValueError(f"beyond 2^53 - 1: {text}")
    return value


def no_number(text):
    raise ValueError(f"not JSON: {text}")


def depth(value):
    if not isinstance(value, (dict, list)):
        return 0
    return 1 + max(map(depth, value.values() if isinstance(value, dict) else value), default=0)


def number(value):
    """As ECMAScript's Number::toString."""
    if value == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    text = "".join(map(str, digits))
    point = len(text) + exponent  # the value is 0.text * 10^point
    if 0 < point <= 21:
        whole, fraction = text[:point].ljust(point, "0"), text[point:]
        text = whole + ("." + fraction if fraction else "")
    elif -6 < point <= 0:
        text = "0." + "0" * -point + text
    else:
        text = text[0] + ("." + text[1:] if text[1:] else "") + "e" + format(point - 1, "+d")
    return "-" * sign + text


def canonical(value):
    """RFC 8785."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(canonical(name) + ":" + canonical(value[name]) for name in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return number(value)
    return json.dumps(value, ensure_ascii=False)


def key(scope, body):
    """The text that is hashed, and its SHA-256. `scope` is the envelope less `v` and `body`."""
    path = scope["endpoint"].partition("?")[0]
    ignored = next((fields for end, fields in IGNORED if path.endswith(end)), set())
    kept = {name: value for name, value in body.items() if name not in ignored}
    text = canonical({"v": 1, **scope, "body": kept})
    return text, hashlib.sha256(text.encode()).hexdigest()


def main(path):
    vectors = json.loads(path.read_text(encoding="utf-8"))
    wrong = []
    keyed = vectors["vectors"] + vectors["with_files"]
    for vector in keyed:
        if key(vector["scope"], load(vector["body"])) != (vector["canonical"], vector["key"]):
            wrong.append(vector["name"])
    for vector in vectors["unkeyable"]:
        try:
            load(vector["body"])
            wrong.append(vector["name"])
        except (ValueError, RecursionError):
            pass
    for name in wrong:
        print(f"differs: {name}", file=sys.stderr)
    print(f"{len(keyed)} keys, {len(vectors['unkeyable'])} bodies without one, {len(wrong)} differ")
    return 1 if wrong else 0


if __name__ == "__main__":
    default = Path(__file__).resolve().parent.parent / "tests" / "vectors" / "key.json"
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else default))
