import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { canonicalJson } from "../../src/cache/request/canonical.ts";
import {
  type AskedRequest,
  explainText,
  type Explanation,
  type NearRequest,
  rank,
} from "../../src/cache/explain/explain.ts";
import { encodeText } from "../../src/cache/json.ts";
import type { RequestRecord } from "../../src/store/store.ts";

const SCOPE = { namespace: "", provider: "openai", endpoint: "/v1/chat/completions", identity: null };
const BODY = {
  model: "gpt-4o-mini",
  messages: [{ role: "system", content: "Be brief. ".repeat(30) }, { role: "user", content: "Will it rain?" }],
  temperature: 0,
};

function keyOf(first: number): Uint8Array {
  return new Uint8Array(32).fill(first, 0, 1);
}

function asked(body: unknown = BODY, rest: Partial<AskedRequest> = {}): AskedRequest {
  return { ...SCOPE, key: keyOf(0xaa), body, ...rest };
}

function record(key: number, body: unknown, rest: Partial<RequestRecord> = {}): RequestRecord {
  const bytes = encodeText(canonicalJson(body));
  return { ...SCOPE, key: keyOf(key), body: bytes, sketch: new Uint8Array(16), ...rest };
}

function user(content: string): unknown {
  return { ...BODY, messages: [BODY.messages[0], { role: "user", content }] };
}

function firstBytes({ nearest }: Explanation): string[] {
  return nearest.map(({ key }) => key.slice(0, 2));
}

describe("rank", () => {
  it("puts first what differs least, whatever the order of candidates", () => {
    const candidates = [
      record(1, user("Please write a long poem on autumn leaves, old stone bridges and the rivers below them.")),
      record(2, { ...BODY, temperature: 1 }),
      record(3, user("Will it be hot and dry?")),
    ];
    assert.deepEqual(firstBytes(rank(asked(), candidates)), ["02", "03", "01"]);
    assert.deepEqual(firstBytes(rank(asked(), candidates.toReversed())), ["02", "03", "01"]);
  });

  it("tells who a near request is and what differs", () => {
    const [near, ...others] = rank(asked(), [record(2, { ...BODY, temperature: 1, seed: 7 })]).nearest;
    assert.deepEqual(others, []);
    const { similarity, ...rest } = near!;
    assert.ok(similarity > 0.98 && similarity < 1, String(similarity));
    assert.deepEqual(rest, {
      ...SCOPE,
      key: `02${"00".repeat(31)}`,
      differences: [
        { path: "$.seed", kind: "missing", stored: "7" },
        { path: "$.temperature", kind: "changed", stored: "1", asked: "0" },
      ],
      differenceCount: 2,
    });
  });

  it("says whether the very request is stored, and shows the others", () => {
    const explanation = rank(asked(), [record(0xaa, BODY), record(2, { ...BODY, temperature: 1 })]);
    assert.equal(explanation.stored, true);
    assert.deepEqual(firstBytes(explanation), ["02"]);
    assert.equal(rank(asked(), [record(2, BODY)]).stored, false);
  });

  it("counts members of the scope, and names them before the body, without $", () => {
    const stored = record(1, { ...BODY, seed: 1 }, {
      endpoint: "/v1/responses",
      provider: "azure",
      namespace: "tests",
      identity: "sha256:00",
    });
    const [near] = rank(asked(), [stored]).nearest;
    assert.deepEqual(near!.differences, [
      { path: "namespace", kind: "changed", stored: '"tests"', asked: '""' },
      { path: "provider", kind: "changed", stored: '"azure"', asked: '"openai"' },
      { path: "endpoint", kind: "changed", stored: '"/v1/responses"', asked: '"/v1/chat/completions"' },
      { path: "identity", kind: "missing", stored: '"sha256:00"' },
      { path: "$.seed", kind: "missing", stored: "1" },
    ]);
    assert.equal(near!.differenceCount, 5);
    const [added] = rank(asked(BODY, { identity: "sha256:00" }), [record(1, BODY)]).nearest;
    assert.deepEqual(added!.differences, [{ path: "identity", kind: "added", asked: '"sha256:00"' }]);
    assert.ok(added!.similarity < 1);
  });

  it("keeps the order of candidates that differ equally", () => {
    const candidates = [3, 1, 2].map((key) => record(key, { ...BODY, temperature: key }));
    assert.deepEqual(firstBytes(rank(asked(), candidates)), ["03", "01", "02"]);
  });

  it("leaves out what cannot be read", () => {
    const broken = ["", "{", "\ufeff{}", `${"[".repeat(5000)}${"]".repeat(5000)}`].map(encodeText);
    const candidates = [...broken, Uint8Array.of(0x22, 0xff, 0x22)].map((body, index) => record(index, {}, { body }));
    assert.deepEqual(rank(asked(), candidates), { stored: false, nearest: [] });
    assert.deepEqual(firstBytes(rank(asked(), [...candidates, record(9, BODY)])), ["09"]);
  });

  it("compares a few of the nearest only when bodies are very large", () => {
    const candidates = [1, 2, 3, 4].map((key) => record(key, user("x".repeat(400_000 + key))));
    assert.deepEqual(firstBytes(rank(asked(), candidates)), ["01", "02"]);
    assert.deepEqual(firstBytes(rank(asked(), [record(1, user("x".repeat(3_000_000))), ...candidates])), ["01"]);
  });

  it("has nothing to show where nothing is stored", () => {
    assert.deepEqual(rank(asked(), []), { stored: false, nearest: [] });
  });
});

describe("explainText", () => {
  it("has a line for each near request", () => {
    const candidates = [record(1, { ...BODY, temperature: 1, seed: 7 }), record(2, { ...BODY, temperature: 0.25 })];
    assert.equal(
      explainText(rank(asked({ ...BODY, top_p: 1 }), candidates)),
      "Stored request 020000000000 is 98.7 % the same: $.temperature was 0.25, now 0; $.top_p was absent, now 1.\n" +
        "Stored request 010000000000 is 98.2 % the same: $.seed was 7, now absent; $.temperature was 1, now 0; " +
        "$.top_p was absent, now 1.",
    );
  });

  it("says from where on texts differ", () => {
    assert.equal(
      explainText(rank(asked(), [record(1, user("Will it snow?"))])),
      'Stored request 010000000000 is 99.1 % the same: $.messages[1].content from 8 on was "Will it snow?", ' +
        'now "Will it rain?".',
    );
  });

  it("names three differences and counts the others", () => {
    const parameters = Object.fromEntries(Array.from({ length: 30 }, (_, index) => [`p${index + 10}`, index]));
    const text = explainText(rank(asked(), [record(1, { ...BODY, ...parameters })]));
    assert.match(text, /\$\.p10 was 0, now absent; \$\.p11 .*; \$\.p12 was 2, now absent; and 27 more\.$/);
  });

  it("never says 100 % of what is not the same", () => {
    const long = user("word ".repeat(100_000));
    assert.match(explainText(rank(asked(long), [record(1, { ...long as object, temperature: 1 })])), / 99\.9 % /);
  });

  it("says so when the request itself is stored, and when nothing is", () => {
    assert.equal(explainText({ stored: true, nearest: [] }), "The request itself is stored.");
    assert.equal(explainText({ stored: false, nearest: [] }), "No stored request resembles it.");
  });

  it("is never longer than 600 code units, and never empty", () => {
    const excerpt = "x".repeat(80);
    const near = (differences: number, path: string): NearRequest => ({
      ...SCOPE,
      key: "00".repeat(32),
      similarity: 0.5,
      differenceCount: 1_000_000,
      differences: Array.from({ length: differences }, () => ({
        path: path.repeat(200),
        kind: "changed",
        stored: excerpt,
        asked: excerpt,
        offset: 1_000_000,
      })),
    });
    for (const path of ["$", ".😀", "[1]"]) {
      for (const stored of [true, false]) {
        const text = explainText({ stored, nearest: Array.from({ length: 9 }, (_, index) => near(index + 1, path)) });
        assert.ok(text.length <= 600 && text.includes("Stored request") && text.isWellFormed(), text);
      }
    }
  });
});
