/** Folders that vanish with the process that tests run in. */

import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";

const folders: string[] = [];
// Not a hook of the test runner: where hooks that a test or another hook registers run differs between the runtimes.
const removeAll = (): void => folders.splice(0).forEach((folder) => rmSync(folder, { recursive: true, force: true }));
process.on("exit", removeAll);
// Deno tells a test module of its end in this way only.
globalThis.addEventListener?.("unload", removeAll);

/** A new empty folder. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "warmcache-"));
  folders.push(folder);
  return folder;
}
