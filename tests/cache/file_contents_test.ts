import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { canonicalJson } from "../../src/cache/request/canonical.ts";
import {
  changedFile,
  digestFiles,
  type FileDigests,
  fileUrls,
  withContents,
} from "../../src/cache/request/file_contents.ts";
import type { JsonObject } from "../../src/cache/json.ts";
import { type KeyedRequest, requestKey } from "../../src/cache/request/key.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { CacheError } from "../../src/store/error.ts";
import { temporaryFolder } from "../support/temporary.ts";

const CAT = new URL("file:///pictures/cat.png");
const DOG = new URL("file:///pictures/dog.png");
const CAT_DIGEST = "ca".repeat(32);
const DOG_DIGEST = "d0".repeat(32);
const DIGESTS: FileDigests = new Map([[CAT.href, CAT_DIGEST], [DOG.href, DOG_DIGEST]]);
const NONE: ReadonlySet<string> = new Set();

describe("fileUrls", () => {
  it("finds file URLs anywhere in a body, each once", () => {
    const body = ask(CAT, [DOG, { deep: new URL(CAT) }]);
    assert.deepEqual(fileUrls(body, NONE).map(String), [CAT.href, DOG.href]);
  });

  it("finds none in texts, nor in other URLs", () => {
    assert.deepEqual(fileUrls(ask(CAT.href, new URL("https://example.com/cat.png"), "/pictures/cat.png"), NONE), []);
  });

  it("looks through toJSON, as what is sent does", () => {
    assert.deepEqual(fileUrls(ask({ toJSON: () => ({ image: CAT }) }, { toJSON: () => DOG }), NONE), [CAT, DOG]);
    assert.deepEqual(fileUrls(ask({ image: CAT, toJSON: () => "no image" }), NONE), []);
  });

  it("does not look where the key does not", () => {
    assert.deepEqual(fileUrls({ model: "m", metadata: { image: CAT } }, new Set(["metadata"])), []);
    assert.equal(fileUrls({ model: "m", messages: { metadata: CAT } }, new Set(["metadata"])).length, 1);
  });

  it("ends on cycles and on any depth, which canonical JSON refuses", () => {
    const cyclic: JsonObject = { model: "m" };
    cyclic.self = [cyclic, cyclic, { cyclic }];
    assert.deepEqual(fileUrls(cyclic, NONE), []);
    let deep: unknown = CAT;
    for (let depth = 0; depth < 100_000; depth++) deep = [deep];
    assert.deepEqual(fileUrls({ deep }, NONE), []);
    assert.throws(() => canonicalJson({ deep }), TypeError);
  });
});

describe("withContents", () => {
  it("puts content in place of files, and says where", () => {
    const { body, files } = withContents(ask("What is it?", { type: "image", image: CAT }), NONE, DIGESTS);
    assert.deepEqual(body, ask("What is it?", { type: "image", image: { file: `sha256:${CAT_DIGEST}` } }));
    assert.deepEqual(files, ["/messages/0/content/1/image"]);
  });

  it("gives the same key wherever the file lies, and another for another content", () => {
    const elsewhere = new URL("file:///elsewhere/picture.png");
    const same = new Map([[elsewhere.href, CAT_DIGEST]]);
    assert.equal(keyOf(ask(elsewhere), same), keyOf(ask(CAT)));
    assert.notEqual(keyOf(ask(DOG)), keyOf(ask(CAT)));
    assert.notEqual(keyOf(ask(CAT), new Map([[CAT.href, DOG_DIGEST]])), keyOf(ask(CAT)));
  });

  it("gives another key to a body in which the same JSON was written by hand", () => {
    const cat = { file: `sha256:${CAT_DIGEST}` };
    const dog = { file: `sha256:${DOG_DIGEST}` };
    const keys = [ask(CAT, DOG), ask(cat, DOG), ask(CAT, dog), ask(cat, dog)].map((body) => keyOf(body));
    assert.equal(new Set(keys).size, 4);
  });

  it("gives the keys under with_files in tests/vectors/key.json", async () => {
    const vectors = JSON.parse(await readFile(new URL("../vectors/key.json", import.meta.url), "utf8"));
    assert.ok(vectors.with_files.length >= 5);
    for (const { name, scope: { files, ...scope }, body: text, canonical, key } of vectors.with_files) {
      const digests = new Map<string, string>();
      const body = JSON.parse(text);
      for (const place of files) {
        const [parent, member] = parentAndName(body, place);
        const url = new URL(`file:///${digests.size}.png`);
        digests.set(url.href, (parent[member] as { file: string }).file.replace("sha256:", ""));
        parent[member] = url;
      }
      const keyed = withContents(body, NONE, digests);
      assert.equal(canonicalJson({ v: 1, ...scope, ...keyed }), canonical, name);
      assert.equal(hexKey({ ...scope, ...keyed }), key, name);
    }
  });

  it("leaves a body without files alone", () => {
    const body = ask("text", { list: [1, null, true], when: new Date(0) });
    const keyed = withContents(body, NONE, DIGESTS);
    assert.equal(keyed.body, body);
    assert.deepEqual(keyed.files, []);
  });

  it("does not change the caller's body, and copies only what leads to a file", () => {
    const body = { model: "m", messages: [{ content: [CAT, "a"] }], tools: [{ name: "f" }] };
    const keyed = withContents(body, NONE, DIGESTS).body;
    assert.equal(body.messages[0]!.content[0], CAT);
    assert.equal(keyed.tools, body.tools);
  });

  it("points to places as RFC 6901 does, sorted", () => {
    const body = { "~": { b: CAT, "a/b": DOG }, "": CAT, list: [0, DOG], "__proto__x": CAT };
    assert.deepEqual(withContents(body, NONE, DIGESTS).files, ["/", "/__proto__x", "/list/1", "/~0/a~1b", "/~0/b"]);
  });

  it("keeps a member called __proto__", () => {
    const body: JsonObject = JSON.parse('{"a":{"__proto__":{"b":1}}}');
    (body.a as JsonObject).image = CAT;
    const { body: keyed } = withContents(body, NONE, DIGESTS);
    assert.equal(canonicalJson(keyed), `{"a":{"__proto__":{"b":1},"image":{"file":"sha256:${CAT_DIGEST}"}}}`);
  });

  it("refuses a file without digest", () => {
    const bird = new URL("file:///pictures/bird.png");
    assert.throws(() => withContents(ask(bird), NONE, DIGESTS), /another file while .*: file:\/\/\/pictures\/bird.png/);
  });
});

describe("digestFiles", () => {
  it("hashes what the URLs name", async () => {
    const folder = await temporaryFolder();
    const path = `${folder}/a name with %, # and ü.png`;
    await writeFile(path, "content");
    const url = pathToFileURL(path);
    const { digestFile } = await loadRuntime();
    const expected = createHash("sha256").update("content").digest("hex");
    assert.deepEqual(await digestFiles([url], digestFile), new Map([[url.href, expected]]));
    assert.deepEqual(await digestFiles([], digestFile), new Map());
  });

  it("refuses a missing file by name, before anything is bought", async () => {
    const folder = await temporaryFolder();
    const url = pathToFileURL(`${folder}/missing.png`);
    const { digestFile } = await loadRuntime();
    await assert.rejects(digestFiles([url], digestFile), (error) => {
      return error instanceof CacheError && error.code === "unavailable" && error.message.includes(url.href) &&
        error.cause instanceof Error;
    });
  });

  it("refuses URLs that name no file of this machine", async () => {
    const digestFile = (): never => assert.fail("read");
    const urls = ["file://server/share/cat.png", "file:///a%2Fb.png", "file:///a%00b.png", "file:///%E0%A4%A.png"];
    for (const url of urls) await assert.rejects(digestFiles([new URL(url)], digestFile), TypeError, url);
  });

  it("reads a path of Windows without the slash before its drive", async () => {
    const paths: string[] = [];
    const digestFile = (path: string): never => {
      paths.push(path);
      throw new Error("not here");
    };
    await assert.rejects(digestFiles([new URL("file:///C:/pictures/cat.png")], digestFile), CacheError);
    assert.deepEqual(paths, ["C:/pictures/cat.png"]);
  });
});

describe("changedFile", () => {
  it("names the first file whose content is another, or gone", () => {
    assert.equal(changedFile(DIGESTS, new Map(DIGESTS)), undefined);
    assert.equal(changedFile(DIGESTS, new Map([...DIGESTS, [DOG.href, CAT_DIGEST]])), DOG.href);
    assert.equal(changedFile(DIGESTS, new Map()), CAT.href);
  });
});

function ask(...content: unknown[]): JsonObject {
  return { model: "m", messages: [{ role: "user", content }] };
}

/** Where a JSON Pointer leads: the object or list, and the name in it. */
function parentAndName(body: JsonObject, pointer: string): [parent: JsonObject, name: string] {
  const names = pointer.slice(1).split("/").map((name) => name.replaceAll("~1", "/").replaceAll("~0", "~"));
  const parent = names.slice(0, -1).reduce((value, name) => value[name] as JsonObject, body);
  return [parent, names.at(-1)!];
}

function keyOf(asked: JsonObject, digests: FileDigests = DIGESTS): string {
  const scope = { namespace: "", provider: "openai", endpoint: "/v1/chat/completions", identity: null };
  return hexKey({ ...scope, ...withContents(asked, NONE, digests) });
}

function hexKey(request: KeyedRequest): string {
  const sha256 = (bytes: Uint8Array): Uint8Array => createHash("sha256").update(bytes).digest();
  return [...requestKey(request, NONE, sha256).key].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
