import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { entryOf, type Sample } from "../../src/cache/answer/entry.ts";

const FIELDS = {
  mediaType: "application/json",
  outcome: "stop",
  modelAsked: "m",
  modelAnswered: "m-1",
  fingerprint: "fp",
  promptTokens: 10,
  completionTokens: 5,
  costMicrodollars: 7,
  latency: 100,
  created: 2000,
  expires: 9000,
} as const;

function sample(text: string, rest: Partial<Sample> = {}): Sample {
  const bytes = new TextEncoder().encode(JSON.stringify({ id: text, choices: [{ index: 0, text }] }));
  return { ...FIELDS, bytes: () => bytes, ...rest };
}

describe("entryOf", () => {
  it("gives one sample as it is", () => {
    const one = sample("a");
    const entry = entryOf([one]);
    assert.deepEqual(entry.bytes(), one.bytes());
    assert.equal(entry.text(), '{"id":"a","choices":[{"index":0,"text":"a"}]}');
    const { usage, ...facts } = entryFacts(entry);
    const { promptTokens, completionTokens, ...fields } = FIELDS;
    assert.deepEqual({ ...facts, ...usage }, { ...fields, promptTokens, completionTokens, samples: 1 });
  });

  it("puts several samples together, and their facts", () => {
    const later = { created: 1000, expires: null, latency: 300, outcome: "length", completionTokens: 6 } as const;
    const entry = entryOf([sample("a"), sample("b", later)]);
    assert.equal(entry.text(), '{"id":"a","choices":[{"index":0,"text":"a"},{"index":1,"text":"b"}]}');
    assert.equal(entry.samples, 2);
    assert.equal(entry.outcome, "length");
    assert.deepEqual(entry.usage, { promptTokens: 10, completionTokens: 11 });
    assert.equal(entry.costMicrodollars, 14);
    assert.equal(entry.latency, 300);
    assert.equal(entry.created, 1000);
    assert.equal(entry.expires, 9000);
  });

  it("says nothing that its samples do not agree on, and no sum of which a part is unknown", () => {
    const other = { modelAnswered: "m-2", fingerprint: null, costMicrodollars: null, completionTokens: null };
    const entry = entryOf([sample("a"), sample("b", other)]);
    assert.equal(entry.modelAnswered, null);
    assert.equal(entry.fingerprint, null);
    assert.equal(entry.costMicrodollars, null);
    assert.deepEqual(entry.usage, { promptTokens: 10, completionTokens: null });
    assert.equal(entryOf([sample("a", { latency: null, expires: null })]).latency, null);
  });

  it("reads no bytes before they are wanted, and then once", () => {
    let reads = 0;
    const { bytes } = sample("a");
    const counted = (): Uint8Array => (reads++, bytes());
    const entry = entryOf([sample("a", { bytes: counted })]);
    assert.equal(entryFacts(entry).outcome, "stop");
    assert.equal(reads, 0);
    entry.text();
    entry.json();
    assert.equal(reads, 1);
  });

  it("parses anew for everybody", () => {
    const entry = entryOf([sample("a")]);
    const value = entry.json() as { id: string };
    value.id = "changed";
    assert.equal((entry.json() as { id: string }).id, "a");
  });

  it("passes on bytes that are there already", () => {
    const body = new Uint8Array([0x7b, 0x7d]);
    assert.equal(entryOf([sample("a"), sample("b")], body).bytes(), body);
  });

  it("passes on text that is there already, byte order mark and all, and reads nothing", () => {
    const unread = { ...sample("a"), bytes: () => assert.fail("it was read") };
    const text = '\ufeff{"id":"ä"}';
    assert.equal(entryOf([unread], text).text(), text);
    assert.deepEqual(entryOf([unread], text).bytes(), new TextEncoder().encode(text));
    assert.equal(entryOf([unread], "").text(), "");
    assert.deepEqual(entryOf([unread], '{"id":1}').json(), { id: 1 });
  });
});

function entryFacts(entry: ReturnType<typeof entryOf>) {
  const { mediaType, outcome, modelAsked, modelAnswered, fingerprint, usage } = entry;
  const { costMicrodollars, latency, created, expires, samples } = entry;
  return {
    mediaType,
    outcome,
    modelAsked,
    modelAnswered,
    fingerprint,
    usage,
    costMicrodollars,
    latency,
    created,
    expires,
    samples,
  };
}
