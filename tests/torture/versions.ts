/** Says which SQLites this runtime brings: its own and ours. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { SqlDriver } from "../../src/sqlite/driver.ts";
import { openDatabase } from "../../src/sqlite/open.ts";
import { openNative } from "./native_driver.ts";

function versionOf(driver: SqlDriver): string {
  const statement = driver.prepare("SELECT sqlite_version()");
  try {
    return String(statement.get()![0]);
  } finally {
    statement.finalize();
  }
}

const runtime = await loadRuntime();
const native = await openNative(":memory:");
const folder = await mkdtemp(join(tmpdir(), "warmcache-"));
const ours = await openDatabase({
  runtime,
  path: join(folder, "versions.sqlite"),
  create: true,
  locking: "exclusive",
  synchronous: "normal",
  lockTimeout: 0,
  schema: () => {},
});
console.log(`${runtime.name} ${runtime.version}: its own SQLite ${versionOf(native)}, ours ${versionOf(ours.driver)}`);
native.close();
ours.close();
await rm(folder, { recursive: true });
