/** The lock of a folder: who has it, and when the next one gets it. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { lockFolder } from "../../../src/store/file/folder_lock.ts";
import { inheriting } from "../../support/inherited.ts";
import { requireRangeLocks } from "../../support/parts.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { machine } from "./fixture.ts";

describe("lockFolder", () => {
  it("keeps all others out until it is released", async () => {
    const folder = await temporaryFolder();
    const lock = await lockFolder(machine, folder, 0);
    await assert.rejects(lockFolder(machine, folder, 0), { name: "CacheError", code: "locked" });
    lock.release();
    (await lockFolder(machine, folder, 0)).release();
  });

  it("is free at once, though a process that is just being started has its descriptor still", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    const folder = await temporaryFolder();
    const { runtime, inherit } = inheriting(machine);
    const lock = await lockFolder(runtime, folder, 0);
    const end = await inherit();
    try {
      lock.release();
      (await lockFolder(machine, folder, 0)).release();
    } finally {
      await end();
    }
  });
});
