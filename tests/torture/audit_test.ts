/** The torture's own eyes: what they must see. */

import assert from "node:assert/strict";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import type { SqlDriver } from "../../src/sqlite/driver.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { type Acknowledgements, parseAcknowledgements } from "./acknowledgements.ts";
import { audit } from "./audit.ts";
import { checksum, createLedger, EntryMaker, Ledger } from "./ledger.ts";
import { openNative } from "./native_driver.ts";
import { RandomNumbers } from "./random.ts";
import { mayCheckpoint } from "./shell.ts";

const WRITER = 3;
const ROWS = 50;

interface Written {
  readonly path: string;
  readonly driver: SqlDriver;
  readonly acknowledged: Map<number, Acknowledgements>;
}

/** A database of fifty transactions by one process, all acknowledged, as it is before `damage`. */
async function written(damage: string = ""): Promise<Written> {
  const path = join(await temporaryFolder(), "ledger.sqlite");
  const driver = await openNative(path);
  driver.exec("BEGIN");
  createLedger(driver);
  const ledger = new Ledger(driver);
  const maker = new EntryMaker(new RandomNumbers(1), WRITER, 1000);
  const committed = new Map<number, string>();
  for (let seq = 1; seq <= ROWS; seq++) {
    const entry = maker.make(seq);
    ledger.write(entry);
    committed.set(seq, entry.checksum);
  }
  ledger.finalize();
  driver.exec(`COMMIT; ${damage}`);
  return { path, driver, acknowledged: new Map([[WRITER, { committed, uncertain: new Map(), ended: true }]]) };
}

async function found(damage: string): Promise<readonly string[]> {
  const { driver, acknowledged } = await written(damage);
  try {
    return audit(driver, acknowledged).violations;
  } finally {
    driver.close();
  }
}

async function seenByReader(damage: string): Promise<void> {
  const { driver } = await written(damage);
  const ledger = new Ledger(driver);
  try {
    for (let page = 0; page < 32; page++) ledger.check(page);
  } finally {
    ledger.finalize();
    driver.close();
  }
}

function includes(violations: readonly string[], pattern: RegExp): void {
  assert.ok(violations.some((violation) => pattern.test(violation)), `${pattern} in ${JSON.stringify(violations)}`);
}

describe("audit", () => {
  it("finds nothing wrong with what is right", async () => {
    assert.deepEqual(await found(""), []);
  });

  it("finds a lost row, also where the counter agrees", async () => {
    includes(await found("DELETE FROM log WHERE seq = 7"), /^lost: 3:7$/);
    includes(await found(`DELETE FROM log WHERE seq = ${ROWS}; UPDATE counter SET n = n - 1`), /^lost: 3:50$/);
  });

  it("finds a doubled row", async () => {
    const copy = "INSERT INTO log SELECT 51, writer, seq, page, checksum, content FROM log WHERE seq = 7";
    includes(await found(`DROP INDEX log_by_writer; ${copy}; UPDATE counter SET n = 51`), /^doubled: row 51 of 3:7 /);
  });

  it("finds half a transaction", async () => {
    includes(await found("UPDATE balance SET amount = amount + 1 WHERE account = 2"), /^torn: 8 balances sum to 1$/);
    includes(await found("UPDATE counter SET n = n + 1"), /^torn: the counter says 51 less 0, there are 50 rows$/);
    includes(await found("UPDATE page SET version = version + 1 WHERE version > 0"), /^torn: page /);
  });

  it("finds content that was damaged or belongs to another row", async () => {
    includes(await found("UPDATE log SET content = x'00' WHERE seq = 9"), /^damaged: row 9 of 3:9 /);
    const other = "(SELECT checksum, content FROM log WHERE seq = 8)";
    includes(await found(`UPDATE log SET (checksum, content) = ${other} WHERE seq = 9`), /^damaged: row 9 of 3:9 /);
    const right = checksum(WRITER, 9, new Uint8Array(1));
    const forged = `UPDATE log SET checksum = '${right}', content = x'00' WHERE seq = 9`;
    includes(await found(forged), /^damaged: row 9 of 3:9 has checksum .*, acknowledged was /);
  });

  it("finds an index that disagrees with its table", async () => {
    const { driver, acknowledged, path } = await written();
    const index = driver.prepare(
      "SELECT rootpage, (SELECT page_size FROM pragma_page_size) FROM sqlite_schema WHERE name = ?",
    );
    const [page, size] = index.get("log_by_writer")!.map(Number);
    index.finalize();
    driver.close();
    // The last byte of an index's only page is the row that its first entry points to.
    const file = await open(path, "r+");
    await file.write(new Uint8Array([77]), 0, 1, page! * size! - 1);
    await file.close();
    const damaged = await openNative(path);
    includes(audit(damaged, acknowledged).violations, /^corrupt: /);
    damaged.close();
  });

  it("finds rows that nobody wrote", async () => {
    const row = (writer: number, seq: number) =>
      `INSERT INTO log VALUES (51, ${writer}, ${seq}, -1, '${checksum(writer, seq, new Uint8Array(1))}', x'00');
       UPDATE counter SET n = 51`;
    includes(await found(row(4, 1)), /^foreign: nobody wrote row 51 of 4:1$/);
    includes(await found(row(WRITER, 51)), /^foreign: nobody wrote row 51 of 3:51$/);
  });

  it("lets the one commit pass that was in flight when its process was killed, and what COMMIT was unsure of", async () => {
    const { driver, acknowledged } = await written();
    const { committed } = acknowledged.get(WRITER)!;
    const last = committed.get(ROWS)!;
    const before = new Map([...committed].filter(([seq]) => seq < ROWS));
    const of = (own: Acknowledgements) => audit(driver, new Map([[WRITER, own]]));
    assert.deepEqual(of({ committed: before, uncertain: new Map(), ended: false }).violations, []);
    assert.equal(of({ committed: before, uncertain: new Map(), ended: false }).inFlight, 1);
    assert.deepEqual(of({ committed: before, uncertain: new Map([[ROWS, last]]), ended: true }).violations, []);
    includes(of({ committed: before, uncertain: new Map(), ended: true }).violations, /^foreign: /);
    before.delete(ROWS - 1);
    includes(of({ committed: before, uncertain: new Map(), ended: false }).violations, /^foreign: .*3:50$/);
    driver.close();
  });
});

describe("a reader", () => {
  it("finds nothing wrong with what is right", async () => {
    await seenByReader("");
  });

  it("finds half a transaction, and content of another", async () => {
    await assert.rejects(seenByReader("UPDATE balance SET amount = amount + 1 WHERE account = 2"), /sum to 1/);
    await assert.rejects(seenByReader("DELETE FROM log WHERE seq = 7"), /there are 49 rows/);
    await assert.rejects(seenByReader("UPDATE log SET content = x'00' WHERE seq = 50"), /content of another/);
    await assert.rejects(seenByReader("UPDATE page SET content = x'00'"), /is not what 3:\d+ wrote/);
  });
});

describe("parseAcknowledgements", () => {
  it("tells what was committed from what may have been", () => {
    const { committed, uncertain } = parseAcknowledgements("a 1 aa\nu 2 bb\na 3 cc\n");
    assert.deepEqual([...committed], [[1, "aa"], [3, "cc"]]);
    assert.deepEqual([...uncertain], [[2, "bb"]]);
  });
});

describe("mayCheckpoint", () => {
  it("keeps versions from it that have a race there", () => {
    assert.deepEqual(["3.40.1", "3.51.2", "3.51.3", "3.53.0", "4.0.0"].map(mayCheckpoint), [
      false,
      false,
      true,
      true,
      true,
    ]);
  });
});
