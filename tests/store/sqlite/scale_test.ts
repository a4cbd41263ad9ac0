/** What must not take longer because a cache has grown: seen by how much is looked at in one go, not by the clock. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { loadChecksum } from "../../../src/codec/checksum.ts";
import { loadZstd } from "../../../src/codec/zstd.ts";
import type { Clock } from "../../../src/runtime/runtime.ts";
import { openDatabase } from "../../../src/sqlite/open.ts";
import { AgeHistogram } from "../../../src/store/sqlite/age_histogram.ts";
import { Connection } from "../../../src/store/sqlite/connection.ts";
import { EntryRemover } from "../../../src/store/sqlite/entry_removal.ts";
import { evictSome } from "../../../src/store/sqlite/eviction.ts";
import { Removal } from "../../../src/store/sqlite/removal.ts";
import { RequestSample } from "../../../src/store/sqlite/request_sample.ts";
import { applySchema } from "../../../src/store/sqlite/schema.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { databaseIn, entryOf, find, machine, MODEL, NOW, openStore, requestOf } from "./fixture.ts";

/** So many that none of the limits on what is done at once is near. */
const MANY = 6000;
/** Filling a store takes longer than Bun gives a test on a busy machine. */
const PATIENT = { timeout: 120_000 };

/** A clock on which a millisecond passes with each look at it. */
function ticking(): Clock {
  let time = 0;
  return { ...machine.clock, monotonic: () => time++ };
}

/** Puts requests known by `0`, `1`, …, each a second after the one before. */
async function fill(directory: string, count: number): Promise<void> {
  const store = await openStore(directory, { locking: "exclusive" });
  await Promise.all(Array.from({ length: count }, async (_, index) => {
    await store.put(MODEL, requestOf(`${index}`), [entryOf(`${index}`, { created: NOW + 1000 * index })], "append");
  }));
  await store.close();
}

/** A remover of the one database in a folder, to be used in `use`. */
async function withRemover<T>(directory: string, use: (remover: EntryRemover) => T): Promise<T> {
  const path = await databaseIn(directory);
  const opened = await openDatabase({
    runtime: machine,
    path,
    locking: "exclusive",
    create: false,
    synchronous: "normal",
    lockTimeout: 0,
    schema: (driver) => applySchema(driver, path, MODEL),
  });
  try {
    const tools = { zstd: await loadZstd(), checksum: await loadChecksum(), sha256: machine.sha256 };
    const connection = new Connection(opened, tools, ticking());
    const result = use(new EntryRemover(connection, 4 * 1024 * 1024, () => {}));
    connection.endReading();
    return result;
  } finally {
    opened.close();
  }
}

function sampleOf({ connection }: EntryRemover): RequestSample {
  const sample = new RequestSample(NOW + 1000 * MANY);
  while (sample.some(connection));
  return sample;
}

describe("list", () => {
  it("of a namespace passes over the requests in others in many turns", PATIENT, async () => {
    const directory = await temporaryFolder();
    await fill(directory, MANY);
    let turns = 0;
    const clock = { ...ticking(), afterTurn: (run: () => void) => (turns++, machine.clock.afterTurn(run)) };
    const store = await openStore(directory, { locking: "exclusive", runtime: { ...machine, clock } });
    await find(store, "0");
    turns = 0;
    for await (const { request } of store.list({ namespace: "another" })) assert.fail(`${request.namespace}`);
    assert.ok(turns >= 5, `${turns} turns`);
    let listed = 0;
    for await (const { request } of store.list({ namespace: "tests" })) listed += request.body.byteLength > 0 ? 1 : 0;
    assert.equal(listed, MANY);
    await store.close();
  });

  it("of a namespace finds the one request that is in it, first, last or among others", PATIENT, async () => {
    for (const place of [0, 700, 1499]) {
      const store = await openStore(await temporaryFolder(), { locking: "exclusive" });
      await Promise.all(Array.from({ length: 1500 }, async (_, index) => {
        const request = { ...requestOf(`${index}`), namespace: index === place ? "rare" : "common" };
        await store.put(MODEL, request, [entryOf("an answer")], "append");
      }));
      const keys: Uint8Array[] = [];
      for await (const { request } of store.list({ namespace: "rare" })) keys.push(request.key);
      assert.deepEqual(keys, [requestOf(`${place}`).key]);
      await store.close();
    }
  });
});

describe(Removal.name, () => {
  it("looks in many slices for what is left of requests, where others have put many meanwhile", PATIENT, async () => {
    const directory = await temporaryFolder();
    await fill(directory, 1);
    const removal = new Removal({});
    await withRemover(directory, (remover) => removal.some(remover));
    await fill(directory, MANY);
    const slices = await withRemover(directory, (remover) => {
      let slices = 0;
      for (; !removal.done; slices++) removal.some(remover);
      return slices;
    });
    assert.ok(slices > 20, `${slices} slices`);
    const store = await openStore(directory, { locking: "exclusive" });
    assert.equal((await store.size()).entries, MANY);
    await store.close();
  });
});

describe(RequestSample.name, () => {
  it(
    "weighs all requests where they are few, and no more than some thousand where they are many",
    PATIENT,
    async () => {
      const [few, many] = [await temporaryFolder(), await temporaryFolder()];
      await fill(few, 100);
      await fill(many, MANY);
      const all = await withRemover(few, sampleOf);
      const some = await withRemover(many, sampleOf);
      assert.equal(all.isWhole, true);
      assert.equal(some.isWhole, false);
      const each = all.ages.total / 100;
      assert.ok(some.ages.total < each * 2100, `${some.ages.total / each} requests`);
      // A tenth of what was weighed is about a tenth of what there is.
      const { step } = some.ages.cutoff(some.ages.total / 10);
      const oldest = some.ages.latestOf(step) - NOW;
      assert.ok(oldest > 400 * MANY * 0.1 && oldest < 2500 * MANY * 0.1, `${oldest / 1000} of ${MANY}`);
    },
  );
});

describe(evictSome.name, () => {
  it("finds the oldest first, so that it need not look through all to make a little room", PATIENT, async () => {
    const directory = await temporaryFolder();
    await fill(directory, MANY);
    const passed = await withRemover(directory, (remover) => {
      const { ages } = sampleOf(remover);
      return evictSome(remover, ages, ages.cutoff(ages.total / 20), 0);
    });
    assert.equal(passed.answers, 64);
    assert.equal(passed.last, 64);
    const store = await openStore(directory, { locking: "exclusive" });
    assert.equal((await find(store, "63")).entries.length, 0);
    assert.equal((await find(store, "64")).entries.length, 1);
    await store.close();
  });

  it(
    "passes over what was used lately, however old it is, and takes what somebody has damaged for old",
    PATIENT,
    async () => {
      const directory = await temporaryFolder();
      await fill(directory, 100);
      const now = NOW + 1_000_000;
      const used = await withRemover(directory, (remover) => {
        const { connection } = remover;
        connection.write(() => {
          const count = connection.statement("INSERT INTO access (key, count, last) VALUES (?, 1, ?)");
          for (const word of ["0", "2"]) count.run(requestOf(word).key, NOW + 500_000);
          count.run(requestOf("1").key, NOW + 2000);
          connection.statement("UPDATE entry SET created = 'lately' WHERE key = ?").run(requestOf("99").key);
        });
        const ages = new AgeHistogram(now);
        const cutoff = { step: ages.stepOf(NOW + 10_000), bytes: Infinity };
        for (let after: number | undefined = 0; after !== undefined;) {
          ({ last: after } = evictSome(remover, ages, cutoff, after));
        }
        return connection.statement("SELECT count(*) FROM entry WHERE key IN (?, ?, ?, ?)")
          .get(...["0", "1", "2", "99"].map((word) => requestOf(word).key));
      });
      assert.deepEqual([...used!], [2]);
    },
  );
});

describe(AgeHistogram.name, () => {
  it("tells a time after which nothing lies in a step or before it", () => {
    const ages = new AgeHistogram(NOW);
    for (let age = 2; age < 1e12; age *= 1.37) {
      const used = NOW - Math.floor(age);
      assert.ok(ages.latestOf(ages.stepOf(used)) >= used, `${age}`);
      assert.ok(ages.latestOf(ages.stepOf(used)) - used < age / 500 + 2, `${age}`);
    }
    assert.equal(ages.latestOf(0), Infinity);
  });

  it("adds another one, scaled", () => {
    const [ages, others] = [new AgeHistogram(NOW), new AgeHistogram(NOW)];
    ages.add(NOW - 1000, 10);
    others.add(NOW - 1000, 3);
    others.add(NOW - 9000, 5);
    ages.addAll(others, 2);
    assert.equal(ages.total, 26);
    assert.deepEqual(ages.cutoff(12), { step: ages.stepOf(NOW - 1000), bytes: 2 });
  });
});
