/** Folders that vanish with the test that asked for them. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";

/** A new empty folder, removed after the enclosing suite. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "warmcache-"));
  after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}
