/** Files in memory, and on the machine's own disk: the same promises. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { loadRuntime } from "../../src/runtime/load.ts";
import { memoryFiles } from "../../src/runtime/memory_files.ts";
import type { Files } from "../../src/runtime/runtime.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { FILES_CONTRACT } from "./support/files_contract.ts";

describe("files on the disk", () => {
  inEachCase(async () => ({ files: (await loadRuntime()).files, folder: await temporaryFolder() }));
});

describe("files in memory", () => {
  inEachCase(() => {
    const files = memoryFiles();
    files.makeDirectory("/some/folder");
    return Promise.resolve({ files, folder: "/some/folder" });
  });

  it("are full when they have taken what they may, and have room again for what was removed or cut off", async () => {
    const files = memoryFiles({ maxBytes: 100_000 });
    await files.replace("/file", new Uint8Array(60_000));
    await assert.rejects(files.replace("/other", new Uint8Array(60_000)), {
      name: "FileError",
      code: "ENOSPC",
      message: "Cannot replace /other: all files together may take 100000 bytes",
    });
    assert.equal(files.exists("/other"), false);
    const file = files.open("/file", "write");
    assert.throws(() => file.write(new Uint8Array(60_000), 60_000), { code: "ENOSPC" });
    assert.equal(file.size(), 60_000);
    file.truncate(10_000);
    await files.replace("/other", new Uint8Array(60_000));
    files.remove("/file");
    assert.throws(() => file.truncate(50_000), { code: "ENOSPC" });
    file.close();
    await files.replace("/third", new Uint8Array(30_000));
  });

  it("are of no use once closed", () => {
    const file = memoryFiles().open("/file", "create");
    file.close();
    for (const use of [() => file.size(), () => file.sync(), () => file.read(new Uint8Array(1), 0)]) {
      assert.throws(use, { name: "FileError", code: "EBADF" });
    }
  });

  it("have no links", async () => {
    await assert.rejects(memoryFiles().link("a", "/b"), { name: "FileError", code: "EPERM" });
  });

  it("take a path without a slash in front from the root", async () => {
    const files = memoryFiles();
    await files.replace("file", new Uint8Array(1));
    assert.equal(await files.realPath("./file"), "/file");
    assert.equal(files.exists("/folder/../file"), true);
    files.removeEmptyDirectory("/");
    assert.equal(files.exists("/"), true);
  });
});

function inEachCase(make: () => Promise<{ files: Files; folder: string }>): void {
  for (const [says, run] of Object.entries(FILES_CONTRACT)) {
    it(says, async () => {
      const { files, folder } = await make();
      await run(files, folder);
    });
  }
}
