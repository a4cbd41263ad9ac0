/** Long JSON, member by member: what is given out does not depend on where the pieces end. */

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { JsonMembers, membersOfFile, membersOfText, TornJsonError } from "../../src/migration/reading/json_members.ts";
import { migrateCacheOn } from "../../src/compose/migrate.ts";
import { ManualClock } from "../../src/testing/manual_clock.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { machine, memoryStore } from "./support.ts";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

function membersIn(text: string, step: number, under?: string): [string | undefined, string | undefined][] {
  const reader = new JsonMembers(under);
  const bytes = encode(text);
  const members: [string | undefined, string | undefined][] = [];
  for (let at = 0; at < bytes.length; at += step) {
    for (const { name, text } of reader.push(bytes.subarray(at, at + step))) members.push([name, text]);
  }
  if (!reader.isComplete) throw new TornJsonError("it ends in the middle");
  return members;
}

describe("JsonMembers", () => {
  const TEXT = ' {"a" : "x\\"y\\\\", "b\\u0062":{"c":[1,{"d":"}]"}]} ,\n"é":-1.5e3, "n":null,"t":[ ]} ';
  const MEMBERS = [["a", '"x\\"y\\\\"'], ["bb", '{"c":[1,{"d":"}]"}]}'], ["é", "-1.5e3"], ["n", "null"], ["t", "[ ]"]];

  for (const step of [1, 2, 3, 7, 1000]) {
    it(`gives the members of an object, in pieces of ${step} bytes`, () => {
      assert.deepEqual(membersIn(TEXT, step), MEMBERS);
    });

    it(`gives those of a member, list or object, in pieces of ${step} bytes`, () => {
      assert.deepEqual(membersIn('{"x":{"cache":[0]},"cache":[["k",1],2],"y":3}', step, "cache"), [
        [undefined, '["k",1]'],
        [undefined, "2"],
      ]);
      assert.deepEqual(membersIn('{"cache":{"k":{"v":1}}}', step, "cache"), [["k", '{"v":1}']]);
    });
  }

  it("gives nothing of empty ones", () => {
    assert.deepEqual(membersIn("{}", 1), []);
    assert.deepEqual(membersIn("[]", 1), []);
    assert.deepEqual(membersIn('{"cache":[]}', 1, "cache"), []);
  });

  it("refuses a text without the member that is asked for", () => {
    assert.throws(() => membersIn('{"a":{"cache":[]}}', 1, "cache"), TornJsonError);
  });

  const TORN = [
    "",
    "{",
    '{"a"',
    '{"a":',
    '{"a":1',
    '{"a":1,',
    '{"a":"x',
    "{a:1}",
    '{"a" 1}',
    '{"a":1 "b":2}',
    "{}{}",
    "1",
  ];
  for (const text of TORN) {
    it(`refuses ${text || "nothing"}`, () => assert.throws(() => membersIn(text, 1), TornJsonError));
  }

  it("says where a text is no JSON", () => {
    assert.throws(() => membersOfText('{"a":1}x'), { message: "it is no JSON at byte 7" });
  });
});

describe("membersOfFile", () => {
  it("gives what stands before the place at which a file is torn, then says so", async () => {
    const path = join(await temporaryFolder(), "torn.json");
    await writeFile(path, '{"a":1,"b":2,"c":');
    const names: unknown[] = [];
    await assert.rejects(async () => {
      for await (const { name } of membersOfFile(machine, path)) names.push(name);
    }, TornJsonError);
    assert.deepEqual(names, ["a", "b"]);
  });
});

describe("a big bin", () => {
  it("is carried piece by piece: whatever else waits has its turn hundreds of times, and little is held at once", async () => {
    const folder = join(await temporaryFolder(), "cache");
    const records = 60;
    const { path, digest } = await bigBin(folder, records, 128 * 1024);
    const clock = new ManualClock();
    let turns = 0;
    const counted = {
      now: () => clock.now(),
      monotonic: () => clock.monotonic(),
      sleep: clock.sleep.bind(clock),
      afterTurn: (run: () => void) => {
        turns++;
        clock.afterTurn(run);
      },
    };
    const store = memoryStore();
    let largest = 0;
    let last = 0;
    const report = await migrateCacheOn({ ...machine, clock: counted }, {
      from: { path: folder },
      to: store,
      onProgress: ({ done }) => {
        largest = Math.max(largest, done - last);
        last = done;
      },
    });
    assert.deepEqual([report.carried, report.left], [records, 0], `${path} ${digest}`);
    assert.ok(turns >= records + records * 128 * 1024 / (256 * 1024), `${turns} turns`);
    // 4 MiB of answers wait to be stored together.
    assert.ok(largest <= 33, `${largest} answers at once`);
  });
});

/** A bin of safety-tooling's with answers of so many characters. */
async function bigBin(folder: string, records: number, length: number): Promise<{ path: string; digest: string }> {
  const { mkdir } = await import("node:fs/promises");
  const { createHash } = await import("node:crypto");
  const sha1 = (text: string): string => createHash("sha1").update(text).digest("hex");
  const params = '{"model":"gpt-4o-mini","n":1,"temperature":1.0,"unknown_kwargs":{}}';
  const digest = sha1(params);
  const entries = Array.from({ length: records }, (_, index) => {
    const prompt = JSON.stringify({ messages: [{ role: "user", content: `question ${index}` }] });
    const responses = [{
      model_id: "gpt-4o-mini",
      completion: "é word".repeat(length / 6),
      stop_reason: "stop_sequence",
    }];
    const record = `{"params":${params},"prompt":${prompt},"responses":${JSON.stringify(responses)}}`;
    return `${JSON.stringify(sha1(prompt))}: ${JSON.stringify(record)}`;
  });
  await mkdir(join(folder, digest), { recursive: true });
  const path = join(folder, digest, "bin0.json");
  await writeFile(path, `{${entries.join(", ")}}`);
  return { path, digest };
}
