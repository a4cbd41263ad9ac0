/** A bin's file: its exact bytes, and what is noticed of a change to them. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { loadChecksum } from "../../../src/codec/checksum.ts";
import type { Answer, Bin, Question } from "../../../src/store/file/bin.ts";
import { answersOf, findIn } from "../../../src/store/file/bin.ts";
import { readBin, writeBin } from "../../../src/store/file/bin_text.ts";
import { entryOf, keyOf, MODEL, NOW, requestOf } from "./fixture.ts";

const checksum = await loadChecksum();
const encoder = new TextEncoder();
const decoder = new TextDecoder();

const question: Question = { record: requestOf("hello"), tags: ["run 1", "größe"] };
const bodies = [
  '{"id":"chatcmpl-1","choices":[{"index":0,"message":{"role":"assistant","content":"Hello."},"finish_reason":"stop"}]}',
  'data: {"id":"chatcmpl-2"}\n\ndata: [DONE]\n\n',
  Uint8Array.of(0, 255, 1, 254),
];
const bin: Bin = {
  model: MODEL,
  key: Array.from(keyOf("hello"), (byte) => byte.toString(16).padStart(2, "0")).join(""),
  question: () => question,
  samples: [
    entryOf(bodies[0]!, { expires: NOW + 1000 }),
    entryOf(bodies[1]!, { mediaType: "text/event-stream", outcome: "length", fingerprint: null }),
    entryOf(bodies[2]!, { mediaType: "application/octet-stream" }),
  ].map(({ body, ...fields }) => () => ({ fields, body })),
};
const written = writeBin(bin, question, checksum);

const GOLDEN = `{
  "format": 1,
  "model": "gpt-4o-mini",
  "key": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
  "namespace": "tests",
  "provider": "openai",
  "endpoint": "/v1/chat/completions",
  "identity": null,
  "tags": [
    "run 1",
    "größe"
  ],
  "sketch": "2cf24dba5fb0a30e26e83b2ac5b9e29e",
  "checksum": "a99031620d9a37af",
  "request": {
    "json": {
      "messages": [
        {
          "content": "hello",
          "role": "user"
        }
      ],
      "model": "gpt-4o-mini"
    }
  },
  "samples": [
    {
      "created": 1700000000000,
      "expires": 1700000001000,
      "outcome": "stop",
      "modelAsked": "gpt-4o-mini",
      "modelAnswered": "gpt-4o-mini-2024-07-18",
      "fingerprint": "fp_1",
      "promptTokens": 12,
      "completionTokens": 34,
      "costMicrodollars": 56.5,
      "latency": 789.25,
      "mediaType": "application/json",
      "checksum": "d6ec8b21d94a0944",
      "answer": {
        "json": {
          "id": "chatcmpl-1",
          "choices": [
            {
              "index": 0,
              "message": {
                "role": "assistant",
                "content": "Hello."
              },
              "finish_reason": "stop"
            }
          ]
        }
      }
    },
    {
      "created": 1700000000000,
      "expires": null,
      "outcome": "length",
      "modelAsked": "gpt-4o-mini",
      "modelAnswered": "gpt-4o-mini-2024-07-18",
      "fingerprint": null,
      "promptTokens": 12,
      "completionTokens": 34,
      "costMicrodollars": 56.5,
      "latency": 789.25,
      "mediaType": "text/event-stream",
      "checksum": "0266b5e3ec551d35",
      "answer": {
        "text": [
          "data: {\\"id\\":\\"chatcmpl-2\\"}",
          "",
          "data: [DONE]",
          "",
          ""
        ]
      }
    },
    {
      "created": 1700000000000,
      "expires": null,
      "outcome": "stop",
      "modelAsked": "gpt-4o-mini",
      "modelAnswered": "gpt-4o-mini-2024-07-18",
      "fingerprint": "fp_1",
      "promptTokens": 12,
      "completionTokens": 34,
      "costMicrodollars": 56.5,
      "latency": 789.25,
      "mediaType": "application/octet-stream",
      "checksum": "fccb92ccb9624bd2",
      "answer": {
        "base64": "AP8B/g=="
      }
    }
  ]
}
`;

const read = (bytes: Uint8Array): Bin | undefined => readBin(bytes, "a.json", checksum).bin;
const readText = (text: string): Bin | undefined => read(encoder.encode(text));

/** Asserts that a file gives some of the answers that were written, none other, and says so when it does not give all. */
function assertNothingWrong(bytes: Uint8Array, what: string): void {
  const found = read(bytes);
  if (!found) return;
  // The store serves a bin to the model and key that it names only; one that names others is passed over.
  if (found.key !== bin.key || found.model !== bin.model) return assert.deepEqual(answersOf(found), [], what);
  const originals = answersOf(bin);
  for (const answer of answersOf(found)) {
    assert.ok(originals.some((original) => isSame(answer, original)), `${what}: an answer that nobody gave`);
  }
  if (found.question()) assert.deepEqual(found.question(), question, what);
  const { entries, corrupt } = findIn(found, { key: keyOf("hello"), samples: 9 }, NOW);
  assert.ok(corrupt || entries.length === 3, `${what}: an answer went silently`);
}

function isSame(one: Answer | undefined, other: Answer | undefined): boolean {
  const plain = (answer?: Answer) =>
    JSON.stringify([Object.entries(answer?.fields ?? {}).toSorted(), [...answer?.body ?? []]]);
  return plain(one) === plain(other);
}

describe("a bin's file", () => {
  it("has exactly these bytes, so that the same answers are the same to git", () => {
    assert.equal(decoder.decode(written), GOLDEN);
  });

  it("gives back all that was written", () => {
    const found = read(written)!;
    const plain = (bin: Bin) => ({ ...bin, question: bin.question(), samples: answersOf(bin) });
    assert.deepEqual(plain(found), plain(bin));
    assert.deepEqual(writeBin(found, found.question()!, checksum), written);
  });

  it("may get other line ends, white space, or a mark of its encoding", () => {
    const text = decoder.decode(written);
    const harmless = [
      text.replaceAll("\n", "\r\n"),
      `\ufeff${text}`,
      text.trimEnd(),
      `${text}\n\n`,
      JSON.stringify(JSON.parse(text)),
      JSON.stringify(JSON.parse(text), null, "\t"),
    ];
    for (const each of harmless) assert.deepEqual(answersOf(readText(each)), answersOf(bin));
  });
});

describe("an edit by hand", () => {
  it("of any name is noticed as well, or does nothing", () => {
    const text = decoder.decode(written);
    for (const [name] of text.matchAll(/"\w+":/g)) {
      assertNothingWrong(encoder.encode(text.replaceAll(name, '"x":')), name);
    }
    for (const [name] of text.matchAll(/^ {6}"\w+":/gm)) {
      assertNothingWrong(encoder.encode(text.replace(name, '      "x":')), name);
    }
  });

  it("of any value is noticed: what it belongs to is not read any more, and nothing else suffers", () => {
    const text = decoder.decode(written);
    const values = placesIn(JSON.parse(text));
    assert.ok(values.length > 60);
    for (const path of values) {
      const document = JSON.parse(text);
      edit(document, path);
      const found = readText(JSON.stringify(document, null, 2));
      const [first, index] = path;
      const answers = answersOf(found);
      if (path[0] === "format") assert.equal(found, undefined);
      else if (first === "samples") {
        assert.equal(answers.length, 2, path.join("."));
        assert.ok(found!.question(), path.join("."));
        assert.ok(!answers.some((answer) => isSame(answer, answersOf(bin)[index as number])), path.join("."));
      } else {
        assert.equal(found!.question(), undefined, path.join("."));
        assert.equal(answers.length, first === "model" || first === "key" ? 0 : 3, path.join("."));
      }
    }
  });

  it("that takes an answer away, or puts them in another order, takes nothing else", () => {
    const document = JSON.parse(decoder.decode(written));
    document.samples = [document.samples[2], document.samples[0]];
    assert.deepEqual(answersOf(readText(JSON.stringify(document))), [answersOf(bin)[2], answersOf(bin)[0]]);
  });

  it("that brings an answer from another request's file brings none", () => {
    const other = { ...bin, key: "0".repeat(64) };
    const document = JSON.parse(decoder.decode(written));
    document.samples.push(JSON.parse(decoder.decode(writeBin(other, question, checksum))).samples[0]);
    assert.equal(answersOf(readText(JSON.stringify(document))).length, 3);
  });

  it("that leaves no bin at all is no bin", () => {
    for (const text of ["", "null", "1", "[]", "{}", '{"format":1}', '{"format":1,"samples":{}}', "<<<<<<< HEAD\n{}"]) {
      assert.deepEqual(readBin(encoder.encode(text), "a.json", checksum), { bin: undefined, isRuin: true }, text);
    }
  });

  it("of samples to what is none is no answer", () => {
    const document = JSON.parse(decoder.decode(written));
    document.samples = [null, 1, "x", [], {}, { answer: null }, { answer: { json: 1, end: 5 } }];
    const found = readText(JSON.stringify(document))!;
    assert.deepEqual(answersOf(found), []);
    assert.equal(findIn(found, { key: keyOf("hello"), samples: 1 }, NOW).corrupt, true);
  });
});

describe("a file that is cut off", () => {
  it("anywhere is no bin, but for the line feed at its end", () => {
    for (let length = 0; length < written.length - 1; length++) {
      assert.equal(read(written.subarray(0, length)), undefined, `${length} bytes`);
    }
    assert.equal(answersOf(read(written.subarray(0, -1))).length, 3);
  });
});

describe("a flipped bit", () => {
  it("anywhere is never another answer, nor silence about one that went", () => {
    for (let bit = 0; bit < written.length * 8; bit++) {
      const bytes = written.slice();
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      try {
        assertNothingWrong(bytes, `bit ${bit}`);
      } catch (error) {
        // A 1 that has become a 3, 5 or 9 where the format is said.
        assert.equal((error as { code?: string }).code, "newer_schema", String(error));
      }
    }
  });
});

describe("a file of a newer format", () => {
  it("is refused, with what to do", () => {
    const newer = decoder.decode(written).replace('"format": 1', '"format": 2');
    const expected = {
      name: "CacheError",
      code: "newer_schema",
      message:
        "Cannot use a.json: a newer version of this program wrote it (format 2; this one knows 1); update this program, or use another directory",
    };
    assert.throws(() => readText(newer), expected);
  });
});

type Path = readonly (string | number)[];

/** The places of all values in a document that are no objects or lists. */
function placesIn(value: unknown, path: Path = []): Path[] {
  if (typeof value !== "object" || value === null) return [path];
  return Object.entries(value).flatMap(([name, inner]) =>
    placesIn(inner, [...path, Array.isArray(value) ? Number(name) : name])
  );
}

/** Changes the value at a place, to something that could be there as well. */
function edit(document: unknown, path: Path): void {
  const holder = path.slice(0, -1).reduce((inner, name) => (inner as Record<string, unknown>)[name]!, document);
  const name = path.at(-1)!;
  const value = (holder as Record<string, unknown>)[name];
  const other = typeof value === "number" ? value - 1 : typeof value === "string" ? flipped(value) : "something";
  (holder as Record<string, unknown>)[name] = other;
}

function flipped(text: string): string {
  if (text === "") return "x";
  return text[0] === "0" ? `1${text.slice(1)}` : `0${text.slice(1)}`;
}
