/** The store on a SQL database: what every store has to do, and what is its own. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { plain } from "../../../src/codec/plain.ts";
import { loadRuntime } from "../../../src/runtime/load.ts";
import type { SqlDriver, SqlValue } from "../../../src/sqlite/driver.ts";
import { type MemorySqlDriver, openMemoryDatabase } from "../../../src/sqlite/memory_database.ts";
import { nativeDriver } from "../../../src/sqlite/native_driver.ts";
import { CacheError } from "../../../src/store/error.ts";
import { openSqlStore, type SqlStoreOptions } from "../../../src/store/sql/sql_store.ts";
import type { Store } from "../../../src/store/store.ts";
import { Shelf } from "../../../src/testing/store/suite.ts";
import { keyOf, MODEL, noise } from "../../../src/testing/store/values.ts";
import { ManualClock, storeConformance } from "../../../src/testing/testing.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { openNative } from "./native_database.ts";

await loadRuntime();

/** Longer than any test lets answers be late. */
const KEPT = 100_000;
const FACETS = ["failures", "ledger", "reopen", "damage"] as const;
const DAMAGE = "UPDATE warmcache_entry SET outcome = 'length' WHERE model = ? AND key = ?";

storeConformance({ describe, it }, "sql on the runtime's own SQLite", async () => {
  const path = join(await temporaryFolder(), "cache.sqlite");
  const clock = new ManualClock();
  const open = async (): Promise<Store> => {
    const database = await openNative(path);
    database.exec("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF");
    return await openSqlStore({ driver: nativeDriver(database), clock, keepExpired: KEPT });
  };
  return {
    store: await open(),
    clock,
    reopen: open,
    damage: async (model, key) => {
      const other = nativeDriver(await openNative(path));
      other.prepare(DAMAGE).run(model, key);
      other.close();
    },
    cleanup: () => {},
  };
}, FACETS);

storeConformance({ describe, it }, "sql in memory, within a limit", async () => {
  const clock = new ManualClock();
  let driver: MemorySqlDriver;
  let snapshot: Uint8Array | undefined;
  const open = async (): Promise<Store> => {
    driver = await openMemoryDatabase(snapshot);
    const close = driver.close.bind(driver);
    driver.close = () => {
      snapshot = driver.snapshot();
      close();
    };
    return await openSqlStore({ driver, clock, keepExpired: KEPT, maxBytes: 64 * 1024 * 1024 });
  };
  return {
    store: await open(),
    clock,
    reopen: open,
    damage: (model, key) => {
      driver.prepare(DAMAGE).run(model, key);
      return Promise.resolve();
    },
    cleanup: () => {},
  };
}, FACETS);

/** A store in memory that is a test's own, and what is below it. */
async function openShelf(options: Partial<SqlStoreOptions> = {}): Promise<{ shelf: Shelf; driver: SqlDriver }> {
  const clock = new ManualClock();
  const driver = await openMemoryDatabase();
  const store = await openSqlStore({ driver, clock, ...options });
  return { shelf: new Shelf({ store, clock, cleanup: () => {} }), driver };
}

function read(driver: SqlDriver, sql: string): SqlValue {
  const statement = driver.prepare(sql);
  try {
    return statement.get()![0]!;
  } finally {
    statement.finalize();
  }
}

/** Resolves once something is so that is worked on in the background, as time goes by. */
async function becomes({ clock }: Shelf, isSo: () => boolean): Promise<void> {
  for (let turns = 0; !isSo(); turns++) {
    assert.ok(turns < 100, "what is worked on is done");
    clock.advance(100);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

describe("openSqlStore", () => {
  it("makes no table before something is stored, whatever is asked", async () => {
    const { shelf, driver } = await openShelf();
    await shelf.look(keyOf(1));
    await shelf.store.size();
    await shelf.store.remove({});
    await shelf.store.nearest(new Uint8Array(16), 3);
    await shelf.store.failures!.last(MODEL, keyOf(1));
    assert.deepEqual(await Array.fromAsync(shelf.store.list()), []);
    assert.equal(read(driver, "SELECT count(*) FROM sqlite_schema"), 0);
    await shelf.putAway();
  });

  it("leaves other tables of the same database alone", async () => {
    const { shelf, driver } = await openShelf();
    driver.exec("CREATE TABLE entry (x); INSERT INTO entry VALUES ('mine'); CREATE TABLE request (x)");
    await shelf.put(keyOf(1), [shelf.entry("a")]);
    await shelf.store.remove({});
    assert.equal(read(driver, "SELECT x FROM entry"), "mine");
    await shelf.putAway();
  });

  it("refuses tables of a newer version, and loses nothing of them", async () => {
    const { shelf, driver } = await openShelf();
    await shelf.put(keyOf(1), [shelf.entry("a")]);
    driver.exec("UPDATE warmcache_meta SET value = 2 WHERE name = 'version'");
    const clock = new ManualClock();
    const other = new Shelf({ store: await openSqlStore({ driver, clock }), clock, cleanup: () => {} });
    const isNewer = (error: unknown): boolean => error instanceof CacheError && error.code === "newer_schema";
    await assert.rejects(async () => await other.look(keyOf(1)), isNewer);
    await assert.rejects(async () => await other.put(keyOf(1), [shelf.entry("b")]), isNewer);
    assert.equal(read(driver, "SELECT count(*) FROM warmcache_entry"), 1);
    await shelf.putAway();
  });

  it("makes its tables anew when somebody has taken them away", async () => {
    const { shelf, driver } = await openShelf();
    await shelf.put(keyOf(1), [shelf.entry("a")]);
    const names = driver.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all().flat() as string[];
    // As a Durable Object's `deleteAll` does.
    for (const name of names) driver.exec(`DROP TABLE ${name}`);
    await assert.rejects(async () => await shelf.look(keyOf(1)), CacheError);
    assert.deepEqual((await shelf.look(keyOf(1))).bodies, []);
    await shelf.put(keyOf(1), [shelf.entry("b")]);
    assert.deepEqual((await shelf.look(keyOf(1))).bodies, ["b"]);
    await shelf.putAway();
  });

  it("refuses options that mean nothing", async () => {
    const driver = await openMemoryDatabase();
    const clock = new ManualClock();
    for (const maxBytes of [0, -1, 1.5, NaN]) {
      await assert.rejects(openSqlStore({ driver, clock, maxBytes }), RangeError);
    }
    await assert.rejects(openSqlStore({ driver, clock, keepExpired: -1 }), RangeError);
    await assert.rejects(openSqlStore({ driver, clock, maxbytes: 1 } as SqlStoreOptions), TypeError);
    driver.close();
  });
});

describe("what is too long for a row", () => {
  const long = noise(3 * 1024 * 1024 + 5);

  it("is in several, and is found whole, listed whole and removed whole", async () => {
    const { shelf, driver } = await openShelf();
    await shelf.put(keyOf(1), [{ ...shelf.entry(""), body: long }, shelf.entry("b")], "append", MODEL, { body: long });
    assert.ok(read(driver, "SELECT max(length(content)) FROM warmcache_part") as number <= 1024 * 1024);
    assert.ok(read(driver, "SELECT max(length(body)) FROM warmcache_entry") as number <= 1024 * 1024);
    const [found] = await shelf.lookup([keyOf(1), 2]);
    assert.deepEqual(found!.entries[0]!.bytes(), long);
    assert.equal(found!.entries.length, 2);
    const [listed] = await Array.fromAsync(shelf.store.list());
    assert.deepEqual(listed!.request.body, long);
    assert.equal((await shelf.store.size()).storedBytes, long.length + 1);
    assert.equal((await shelf.store.remove({})).storedBytes, long.length + 1);
    assert.equal(read(driver, "SELECT count(*) FROM warmcache_part"), 0);
    await shelf.putAway();
  });

  it("gives way to what takes its place", async () => {
    const { shelf, driver } = await openShelf();
    await shelf.put(keyOf(1), [{ ...shelf.entry(""), body: long }]);
    await shelf.put(keyOf(1), [shelf.entry("short")], "replace");
    assert.equal(read(driver, "SELECT count(*) FROM warmcache_part"), 0);
    assert.deepEqual((await shelf.look(keyOf(1))).bodies, ["short"]);
    await shelf.put(keyOf(1), [{ ...shelf.entry(""), body: long }], "replace_all");
    await shelf.put(keyOf(1), [shelf.entry("short")], "replace_all");
    assert.equal(read(driver, "SELECT count(*) FROM warmcache_part"), 0);
    await shelf.putAway();
  });

  it("is a miss when a part is missing, broken, or another's", async () => {
    for (
      const harm of [
        "DELETE FROM warmcache_part WHERE number = 1",
        "UPDATE warmcache_part SET content = zeroblob(length(content)) WHERE number = 2",
        "UPDATE warmcache_part SET number = 9 WHERE number = 0",
      ]
    ) {
      const { shelf, driver } = await openShelf();
      await shelf.put(keyOf(1), [{ ...shelf.entry(""), body: long }]);
      driver.exec(harm);
      assert.deepEqual(await shelf.look(keyOf(1)), { bodies: [], stale: false, expired: false, corrupt: true }, harm);
      await shelf.putAway();
    }
  });
});

describe("maxBytes", () => {
  const body = noise(10_000);

  it("keeps the store within it: the least recently used go", async () => {
    const { shelf } = await openShelf({ maxBytes: 100_000 });
    for (let number = 0; number < 30; number++) {
      await shelf.put(keyOf(number), [{ ...shelf.entry(""), body }]);
      shelf.clock.advance(10);
      // The first is asked for again and again.
      assert.deepEqual(await shelf.kept(0), [0], `after ${number}`);
      shelf.clock.advance(10);
    }
    const kept = await shelf.kept(...Array.from({ length: 30 }, (_, number) => number));
    assert.ok(kept.length >= 8 && kept.length <= 9, `${kept}`);
    assert.deepEqual(kept.slice(1), Array.from({ length: kept.length - 1 }, (_, index) => 31 - kept.length + index));
    await shelf.putAway();
  });

  it("holds for a store that was there before, and counts what is removed", async () => {
    const clock = new ManualClock();
    const driver = await openMemoryDatabase();
    const open = async (): Promise<Shelf> => {
      const store = await openSqlStore({ driver: { ...bound(driver), close() {} }, clock, maxBytes: 50_000 });
      return new Shelf({ store, clock, cleanup: () => {} });
    };
    const first = await open();
    for (const number of [1, 2, 3, 4]) await first.put(keyOf(number), [{ ...first.entry(""), body }]);
    await first.putAway();
    const second = await open();
    await second.store.remove({ keys: [keyOf(1), keyOf(2)] });
    for (const number of [5, 6]) await second.put(keyOf(number), [{ ...second.entry(""), body }]);
    assert.deepEqual(await second.kept(3, 4, 5, 6), [3, 4, 5, 6]);
    clock.advance(1);
    await second.put(keyOf(7), [{ ...second.entry(""), body }]);
    assert.equal((await second.kept(3, 4, 5, 6, 7)).at(-1), 7);
    assert.ok((await second.store.size()).storedBytes <= 50_000);
    await second.putAway();
    driver.close();
  });

  it("refuses the answers to one request that are more, and keeps all others", async () => {
    const { shelf } = await openShelf({ maxBytes: 50_000 });
    await shelf.put(keyOf(1), [shelf.entry("a")]);
    await assert.rejects(
      async () => await shelf.put(keyOf(2), [{ ...shelf.entry(""), body: noise(60_000) }]),
      (error) =>
        error instanceof CacheError && error.code === "unavailable" && /maxBytes \(50000\)/.test(error.message),
    );
    assert.deepEqual(await shelf.kept(1, 2), [1]);
    await shelf.put(keyOf(3), [shelf.entry("c")]);
    assert.deepEqual(await shelf.kept(1, 3), [1, 3]);
    await shelf.putAway();
  });
});

describe("upkeep", () => {
  it("writes the use of a request down once an hour at most", async () => {
    const { shelf, driver } = await openShelf({ maxBytes: 1_000_000 });
    const used = (): SqlValue => read(driver, "SELECT used FROM warmcache_request");
    await shelf.put(keyOf(1), [shelf.entry("a")]);
    const first = used();
    for (let minute = 0; minute < 50; minute++) {
      await shelf.look(keyOf(1));
      shelf.clock.advance(60_000);
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    assert.equal(used(), first);
    shelf.clock.advance(1_200_000);
    await shelf.look(keyOf(1));
    await becomes(shelf, () => used() !== first);
    await shelf.putAway();
  });

  it("removes what has expired and is not to be kept longer, with its request", async () => {
    const { shelf, driver } = await openShelf({ keepExpired: 5000 });
    await shelf.put(keyOf(1), [shelf.entry("a", 1000)]);
    await shelf.put(keyOf(2), [shelf.entry("b", 60_000)]);
    shelf.clock.advance(3000);
    await shelf.put(keyOf(3), [shelf.entry("c", 60_000)]);
    assert.equal(read(driver, "SELECT count(*) FROM warmcache_entry"), 3);
    shelf.clock.advance(4000);
    // Whatever is counted gives it work.
    shelf.store.ledger!.add({ model: MODEL, day: "2026-11-22", amounts: { misses: 1 } });
    await becomes(shelf, () => read(driver, "SELECT count(*) FROM warmcache_entry") === 2);
    assert.equal(read(driver, "SELECT count(*) FROM warmcache_request"), 2);
    await shelf.putAway();
  });

  it("writes amounts down together, some seconds after they were counted", async () => {
    const { shelf, driver } = await openShelf();
    await shelf.put(keyOf(1), [shelf.entry("a")]);
    for (let time = 0; time < 100; time++) {
      shelf.store.ledger!.add({ model: MODEL, day: "2026-11-22", amounts: { hits: 1 } });
    }
    assert.equal(read(driver, "SELECT count(*) FROM warmcache_daily"), 0);
    shelf.clock.advance(1000);
    await becomes(shelf, () => read(driver, "SELECT count(*) FROM warmcache_daily") === 1);
    assert.equal(read(driver, "SELECT amount FROM warmcache_daily"), 100);
    await shelf.putAway();
  });
});

describe("an answer that was compressed by what is not here", () => {
  it("is an error that says what to bring, not a miss", async () => {
    const { shelf, driver } = await openShelf();
    const body = new TextEncoder().encode("again and ".repeat(100));
    await shelf.put(keyOf(1), [{ ...shelf.entry(""), body }]);
    const { clock } = shelf;
    const store = await openSqlStore({ driver, clock: clock as ManualClock, codec: plain });
    const other = new Shelf({ store, clock, cleanup: () => {} });
    await assert.rejects(
      async () => await other.look(keyOf(1)),
      (error) => error instanceof CacheError && error.code === "unavailable" && /provideWasm/.test(error.message),
    );
    await other.put(keyOf(2), [{ ...shelf.entry(""), body }]);
    assert.deepEqual((await shelf.lookup([keyOf(2), 1]))[0]!.entries[0]!.bytes(), body);
    await shelf.putAway();
  });
});

/** A driver whose methods can be taken from it. */
function bound(driver: SqlDriver): SqlDriver {
  return {
    exec: (sql) => driver.exec(sql),
    prepare: (sql) => driver.prepare(sql),
    close: () => driver.close(),
  };
}
