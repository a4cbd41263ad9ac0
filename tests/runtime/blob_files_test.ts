/** Files as blobs, and back. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { blobOf, writeBlob } from "../../src/runtime/blob_files.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { memoryFiles } from "../../src/runtime/memory_files.ts";
import { temporaryFolder } from "../support/temporary.ts";

const { clock, files: diskFiles } = await loadRuntime();
const BYTES = Uint8Array.from({ length: 2_500_000 }, (_, at) => (at * 7) % 256);

describe("blobOf and writeBlob", () => {
  for (const [place, files] of [["in memory", memoryFiles()], ["on the disk", diskFiles]] as const) {
    it(`take all of a file out and in again, ${place}`, async () => {
      const folder = place === "in memory" ? "" : await temporaryFolder();
      const runtime = { clock, files };
      await files.replace(`${folder}/file`, BYTES);
      const blob = await blobOf(runtime, `${folder}/file`, "application/vnd.sqlite3");
      assert.equal(blob.type, "application/vnd.sqlite3");
      files.remove(`${folder}/file`);
      await files.replace(`${folder}/copy`, new Uint8Array(9_000_000));
      await writeBlob(runtime, `${folder}/copy`, blob);
      assert.deepEqual(await files.read(`${folder}/copy`), BYTES);
    });
  }

  it("takes out an empty file, and none that is not there", async () => {
    const runtime = { clock, files: memoryFiles() };
    await runtime.files.replace("/file", new Uint8Array());
    assert.equal((await blobOf(runtime, "/file", "")).size, 0);
    await assert.rejects(blobOf(runtime, "/none", ""), { name: "FileError", code: "ENOENT" });
  });

  it("leaves nothing where there is no room for all of it", async () => {
    const files = memoryFiles({ maxBytes: 2_000_000 });
    await assert.rejects(writeBlob({ clock, files }, "/file", new Blob([BYTES])), { code: "ENOSPC" });
    assert.equal(files.exists("/file"), false);
    await files.replace("/other", new Uint8Array(1_900_000));
  });
});
