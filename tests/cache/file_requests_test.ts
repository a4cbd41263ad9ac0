import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import type { CacheStatus } from "../../src/cache/call_options.ts";
import type { FileDigest } from "../../src/runtime/runtime.ts";
import { CacheError } from "../../src/store/error.ts";
import { type CacheUnderTest, openTestCache } from "./support.ts";

/** Files in memory, which can be changed and removed. */
class Files {
  readonly contents = new Map<string, string>([["/cat.png", "a cat"], ["/dog.png", "a dog"]]);
  /** How often one was read. */
  reads = 0;

  readonly digestFile = async (path: string): Promise<FileDigest> => {
    this.reads++;
    await Promise.resolve();
    const content = this.contents.get(path);
    if (content === undefined) throw new Error(`no such file: ${path}`);
    return { sha256: createHash("sha256").update(content).digest("hex") } as FileDigest;
  };
}

interface PictureRequest {
  readonly model: string;
  readonly messages: { role: string; content: unknown[] }[];
  readonly n?: number;
}

const CAT = new URL("file:///cat.png");
const DOG = new URL("file:///dog.png");

const show = (picture: unknown, rest: object = {}): PictureRequest => ({
  model: "gpt-4o",
  messages: [{ role: "user", content: ["What is it?", { type: "image", image: picture }] }],
  ...rest,
});
const pictureIn = ({ messages }: PictureRequest): unknown => (messages[0]!.content[1] as { image: unknown }).image;

/** Answers, and remembers the bodies it was given. */
class Viewer {
  readonly calls: PictureRequest[] = [];
  readonly produce = (body: PictureRequest): Promise<object> => {
    this.calls.push(body);
    const choices = Array.from({ length: body.n ?? 1 }, (_, index) => ({
      index,
      message: { role: "assistant", content: `answer ${this.calls.length}` },
      finish_reason: "stop",
    }));
    return Promise.resolve({ choices });
  };
}

function openViewer(): CacheUnderTest & { files: Files; viewer: Viewer } {
  const files = new Files();
  return { ...openTestCache({ digestFile: files.digestFile }), files, viewer: new Viewer() };
}

const isUnavailable = (error: unknown): boolean => error instanceof CacheError && error.code === "unavailable";

describe("A request that names a file", () => {
  it("is found by what is in the file, wherever that lies", async () => {
    const { cache, files, viewer } = openViewer();
    const answer = await cache.wrap(show(CAT), viewer.produce);
    files.contents.set("/elsewhere/animal.png", "a cat");
    const moved = show(new URL("file:///elsewhere/animal.png"));
    assert.deepEqual(await cache.wrap(moved, viewer.produce), answer);
    assert.deepEqual((await cache.get(moved))?.json(), answer);
    await cache.wrap(show(DOG), viewer.produce);
    assert.equal(viewer.calls.length, 2);
  });

  it("is another request once the file has changed", async () => {
    const { cache, files, viewer } = openViewer();
    await cache.wrap(show(CAT), viewer.produce);
    files.contents.set("/cat.png", "another cat");
    assert.equal(await cache.get(show(CAT)), undefined);
    await cache.wrap(show(CAT), viewer.produce);
    assert.equal(viewer.calls.length, 2);
    files.contents.set("/cat.png", "a cat");
    assert.notEqual(await cache.get(show(CAT)), undefined);
  });

  it("is not the request with its path as a text, nor with its digest", async () => {
    const { cache, viewer } = openViewer();
    const sha256 = createHash("sha256").update("a cat").digest("hex");
    for (const picture of [CAT, CAT.href, "/cat.png", { file: `sha256:${sha256}` }]) {
      await cache.wrap(show(picture), viewer.produce);
    }
    assert.equal(viewer.calls.length, 4);
  });

  it("is handed to produce untouched", async () => {
    const { cache, viewer } = openViewer();
    const body = show(CAT);
    await cache.wrap(body, viewer.produce);
    assert.equal(viewer.calls[0], body);
    await cache.wrap(show(CAT, { n: 3 }), viewer.produce);
    const { n } = viewer.calls[1]!;
    assert.equal(n, 2);
    assert.equal(pictureIn(viewer.calls[1]!), CAT);
  });

  it("can be put, deleted and explained", async () => {
    const { cache, viewer } = openViewer();
    await cache.put(show(CAT), await viewer.produce(show(CAT)));
    const explanation = await cache.explain(show(CAT));
    assert.equal(explanation.samples, 1);
    assert.equal((await cache.explain(show(DOG))).samples, 0);
    assert.deepEqual((await cache.delete(show(CAT))).entries, 1);
    assert.equal(await cache.get(show(CAT)), undefined);
  });

  it("has samples", async () => {
    const { cache, files } = openViewer();
    let said = 0;
    const produce = (count: number): Promise<object[]> =>
      Promise.resolve(Array.from({ length: count }, () => ({ said: ++said })));
    await cache.wrapSamples(show(CAT), 2, produce);
    files.contents.set("/copy.png", "a cat");
    const samples = await cache.wrapSamples(show(new URL("file:///copy.png")), 3, produce);
    assert.deepEqual(samples, [{ said: 1 }, { said: 2 }, { said: 3 }]);
  });

  it("is one of many", async () => {
    const { cache, files, viewer } = openViewer();
    files.contents.set("/copy.png", "a cat");
    const requests = [show(CAT), show(DOG), show(new URL("file:///copy.png"))];
    const produce = (missing: readonly PictureRequest[]): Promise<Promise<object>[]> =>
      Promise.resolve(missing.map(viewer.produce));
    const answers = await cache.wrapMany(requests, produce);
    assert.deepEqual(viewer.calls, requests.slice(0, 2));
    assert.deepEqual(answers[2], answers[0]);
    assert.deepEqual((await cache.getMany(requests)).map((entry) => entry?.json()), answers);
  });

  it("is a moderation of a picture", async () => {
    const { cache, files } = openViewer();
    const calls: object[] = [];
    const produce = (body: object): Promise<object> => {
      calls.push(body);
      return Promise.resolve({ id: "modr-1", model: "omni", results: [{ flagged: false }] });
    };
    const moderate = (url: URL): object => ({ model: "omni", input: [{ type: "image_url", image_url: { url } }] });
    await cache.wrapModerations(moderate(CAT), produce);
    await cache.wrapModerations(moderate(CAT), produce);
    assert.deepEqual(calls, [moderate(CAT)]);
    files.contents.set("/cat.png", "another cat");
    await cache.wrapModerations(moderate(CAT), produce);
    assert.equal(calls.length, 2);
  });

  describe("whose file changes while it is answered", () => {
    const changing = (files: Files, viewer: Viewer) => (body: PictureRequest): Promise<object> => {
      files.contents.set("/cat.png", "another cat");
      return viewer.produce(body);
    };

    it("is answered, but not kept, for nobody knows which of them was answered", async () => {
      const { cache, files, viewer, store } = openViewer();
      const status: CacheStatus = {};
      assert.notEqual(await cache.wrap(show(CAT), changing(files, viewer), { status }), undefined);
      assert.deepEqual([status.outcome, status.stored, store.puts.length], ["miss", false, 0]);
      assert.match(status.why!, /file it names changed while it was answered: file:\/\/\/cat\.png/);
    });

    it("is so too where the file is gone", async () => {
      const { cache, files, viewer, store } = openViewer();
      const produce = (body: PictureRequest): Promise<object> => {
        files.contents.delete("/cat.png");
        return viewer.produce(body);
      };
      await cache.wrap(show(CAT), produce);
      assert.equal(store.puts.length, 0);
    });

    it("takes nobody's answer with it in a batch", async () => {
      const { cache, files, viewer } = openViewer();
      const statuses: CacheStatus[] = [];
      const produce = (missing: readonly PictureRequest[]): Promise<Promise<object>[]> =>
        Promise.resolve(missing.map(changing(files, viewer)));
      const answers = await cache.wrapMany([show(CAT), show(DOG)], produce, { statuses });
      assert.equal(answers.length, 2);
      assert.deepEqual(statuses.map(({ stored }) => stored), [false, true]);
    });

    it("keeps the samples that were there, and buys none twice", async () => {
      const { cache, files } = openViewer();
      const counts: number[] = [];
      let said = 0;
      const produce = (count: number): Promise<object[]> => {
        counts.push(count);
        if (counts.length === 2) files.contents.set("/cat.png", "another cat");
        return Promise.resolve(Array.from({ length: count }, () => ({ said: ++said })));
      };
      await cache.wrapSamples(show(CAT), 2, produce);
      const samples = await cache.wrapSamples(show(CAT), 3, produce);
      assert.deepEqual(samples, [{ said: 1 }, { said: 2 }, { said: 3 }]);
      assert.deepEqual(counts, [2, 1]);
      files.contents.set("/cat.png", "a cat");
      assert.deepEqual(await cache.wrapSamples(show(CAT), 3, produce), [{ said: 1 }, { said: 2 }, { said: 4 }]);
    });
  });

  it("is refused, before anything is bought, where the file is missing", async () => {
    const { cache, viewer } = openViewer();
    const missing = show(new URL("file:///missing.png"));
    const many = (bodies: readonly PictureRequest[]) => Promise.resolve(bodies.map(viewer.produce));
    await assert.rejects(cache.wrap(missing, viewer.produce), isUnavailable);
    await assert.rejects(cache.get(missing), isUnavailable);
    await assert.rejects(cache.getMany([show(CAT), missing]), isUnavailable);
    await assert.rejects(cache.put(missing, {}), isUnavailable);
    await assert.rejects(cache.explain(missing), isUnavailable);
    await assert.rejects(cache.wrapMany([show(CAT), missing, missing], many), isUnavailable);
    await assert.rejects(cache.wrapSamples(missing, 2, () => Promise.reject(new Error("bought"))), isUnavailable);
    assert.deepEqual(viewer.calls, []);
  });

  it("is refused where files cannot be read, and where the URL names none of this machine", async () => {
    const { cache } = openTestCache();
    const viewer = new Viewer();
    await assert.rejects(cache.wrap(show(CAT), viewer.produce), /without digestFile/);
    await assert.rejects(openViewer().cache.wrap(show(new URL("file://server/cat.png")), viewer.produce), TypeError);
    assert.deepEqual(viewer.calls, []);
  });

  it("is refused when it comes to name another file while the first is read", async () => {
    const { cache, viewer } = openViewer();
    const body = show(CAT);
    const answer = cache.wrap(body, viewer.produce);
    (body.messages[0]!.content[1] as { image: URL }).image = DOG;
    await assert.rejects(answer, /name another file/);
    assert.deepEqual(viewer.calls, []);
  });

  it("needs no file where the cache is not asked", async () => {
    const { cache, files, viewer } = openViewer();
    await cache.wrap(show(new URL("file:///missing.png")), viewer.produce, { mode: "off" });
    await cache.wrap({ ...show(CAT), stream: true } as PictureRequest, viewer.produce);
    assert.deepEqual([viewer.calls.length, files.reads], [2, 0]);
  });
});

describe("a request that names files", () => {
  it("is bought in the background with its files still files", async () => {
    const files = new Files();
    const { cache, clock } = openTestCache({ digestFile: files.digestFile, ttl: 1000, staleWhileRevalidate: 1000 });
    const viewer = new Viewer();
    await cache.wrap(show(CAT), viewer.produce);
    clock.advance(1500);
    await cache.wrap(show(CAT), viewer.produce);
    await cache.close();
    assert.equal(viewer.calls.length, 2);
    const picture = pictureIn(viewer.calls[1]!);
    assert.ok(picture instanceof URL && picture.href === CAT.href);
  });
});
