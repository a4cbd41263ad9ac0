"""A reader of the packs of docs/packs.md in Python 3, with nothing but its standard library.

    python3 docs/pack.py FOLDER [--foreign-keys]

verifies a pack: its manifest, the SHA-256 of each shard and of each line, the key of each request, the order of it all.
It prints what the pack holds and exits 0, or says what is wrong and exits 1. Compressed shards take Python 3.14, the
package zstandard, or the program zstd. To use it in a program: for request, answers in read(folder).
"""

import base64
import hashlib
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.dont_write_bytecode = True
from key import canonical  # noqa: E402  (beside this file)

VERSION = 1
SHARD = re.compile(r"[a-z0-9_][a-z0-9._-]*-[0-9a-f]{8}/(all|[0-9a-f]{1,8})-([0-9a-f]{16})\.jsonl(\.zst)?")
MOST_TEXT = 2**30
CONTENT = re.compile(r"sha256:[0-9a-f]{64}")


class Wrong(Exception):
    """A pack is not as it was written."""


def demand(is_so, why):
    if not is_so:
        raise Wrong(why)


def read(folder, foreign_keys=False):
    """Each request of a pack with its answers, verified: dictionaries as their lines have them, bodies as bytes."""
    folder = Path(folder).resolve()
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    demand(manifest.get("format") == "warmcache-pack", "manifest.json is not that of a pack")
    demand(manifest["version"] <= VERSION, f"a newer program wrote it: version {manifest['version']}")
    for shard in manifest["shards"]:
        name = shard["name"]
        match = SHARD.fullmatch(name)
        demand(match and shard["sha256"].startswith(match[2]), f"no name of a shard: {name}")
        demand((folder / name).resolve() == folder / name, f"a link: {name}")
        demand(shard["textBytes"] <= MOST_TEXT, f"too large: {name}")
        data = (folder / name).read_bytes()
        demand(hashlib.sha256(data).hexdigest() == shard["sha256"], f"SHA-256 of {name} is another")
        text = decompressed(data, shard["textBytes"]) if match[3] else data
        demand(len(text) == shard["textBytes"], f"{name} has {len(text)} bytes of text")
        prefix = "" if match[1] == "all" else match[1]
        yield from requests(text.decode("utf-8"), prefix, name, foreign_keys)


def requests(text, prefix, name, foreign_keys):
    lines = iter(text.split("\n")[:-1])
    before = ("", "")
    for line in lines:
        request = unsealed(line, "request", name)
        place = (request["key"], request["model"])
        demand(place[0].startswith(prefix) and before < place, f"{name}: out of order: {place}")
        demand(foreign_keys or has_its_key(request), f"{name}: not the key of its request: {place}")
        answers = [unsealed(answer, "answer", name) for answer in itertools.islice(lines, request["samples"])]
        demand(len(answers) == request["samples"], f"{name}: answers are missing: {place}")
        for sample, answer in enumerate(answers):
            demand(answer["key"] == request["key"] and answer["sample"] == sample, f"{name}: misplaced: {place}")
        demand(sum(len(answer["body"]) for answer in answers) == request["answerBytes"], f"{name}: sizes: {place}")
        before = place
        yield request, answers


def unsealed(text, type, name):
    line = json.loads(text)
    demand(line.get("type") == type, f"{name}: a line of type {type} belongs here")
    demand(canonical(line) == text, f"{name}: a line is not canonical")
    digest = line.pop("sha256")
    demand(hashlib.sha256(canonical(line).encode()).hexdigest() == digest, f"{name}: SHA-256 of a line is another")
    body = line["body"]
    line["body"] = body.encode() if isinstance(body, str) else base64.b64decode(body["base64"], validate=True)
    return line


def has_its_key(request):
    """docs/key.md; the body has lost what the key leaves out already."""
    body = json.loads(request["body"])
    scope = {name: request[name] for name in ("namespace", "provider", "endpoint", "identity")}
    places = sorted(files(body, ""), key=lambda place: place.encode("utf-16-be"))
    choices = (some for count in range(len(places) + 1) for some in itertools.combinations(places, count))
    for some in choices if len(places) <= 10 else [(), tuple(places)]:
        named = {"files": list(some)} if some else {}
        text = canonical({"v": 1, **scope, **named, "body": body})
        if hashlib.sha256(text.encode()).hexdigest() == request["key"]:
            return True
    return False


def files(value, pointer):
    if isinstance(value, dict) and list(value) == ["file"] and CONTENT.fullmatch(str(value["file"])):
        return [pointer]
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    inner = ((str(name).replace("~", "~0").replace("/", "~1"), member) for name, member in members)
    return [place for name, member in inner for place in files(member, f"{pointer}/{name}")]


def decompressed(data, most):
    """Several frames, one after the other."""
    try:
        from compression import zstd  # Python 3.14

        return zstd.decompress(data)
    except ImportError:
        pass
    try:
        import zstandard

        with zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True) as reader:
            return reader.read(most + 1)
    except ImportError:
        pass
    return subprocess.run(["zstd", "-dcq"], input=data, stdout=subprocess.PIPE, check=True).stdout


def main(arguments):
    folder = next((word for word in arguments if not word.startswith("--")), None)
    if folder is None:
        print(__doc__, file=sys.stderr)
        return 2
    count = samples = 0
    try:
        for _, answers in read(folder, "--foreign-keys" in arguments):
            count += 1
            samples += len(answers)
    except (Wrong, OSError, ValueError, KeyError, subprocess.CalledProcessError) as wrong:
        print(f"{folder}: {wrong}", file=sys.stderr)
        return 1
    print(f"{count} requests, {samples} samples")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
