/** What long work shows of how far it has come. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CommandParts } from "../../src/cli/command.ts";
import { duringWork, progressText, type WorkProgress } from "../../src/cli/work_progress.ts";

/** What work that tells of itself at these times shows. */
async function shown(
  at: readonly number[],
  { isTerminal, isJson = false, columns = 80 }: { isTerminal: boolean; isJson?: boolean; columns?: number },
): Promise<string> {
  let [now, text] = [0, ""];
  const errors = {
    isTerminal: () => isTerminal,
    columns: () => columns,
    write: (part: string) => Promise.resolve((text += part) !== ""),
  };
  const parts = { console: { isJson }, runtime: { clock: { monotonic: () => now }, terminal: { errors } } };
  await duringWork(parts as unknown as CommandParts, (onProgress) => {
    for (const each of at) {
      now = each;
      onProgress({ done: each, total: 1000, unit: "entries" });
    }
    return Promise.resolve();
  });
  return text;
}

describe("duringWork", () => {
  it("writes over one line on a terminal, and erases it in the end", async () => {
    const erase = "\r\x1b[2K";
    assert.equal(
      await shown([100, 400, 450, 500], { isTerminal: true }),
      `${erase}█████████░░░░░░░░░░░░░░░ 40 %  400 of 1,000 entries  1,000 entries/s` +
        `${erase}████████████░░░░░░░░░░░░ 50 %  500 of 1,000 entries  1,000 entries/s${erase}`,
    );
  });

  it("stays within the terminal", async () => {
    assert.match(await shown([500], { isTerminal: true, columns: 30 }), /K█+░+ 50 …\r/);
  });

  it("shows nothing of work that is done at once, nor to programs", async () => {
    assert.equal(await shown([1, 2, 299], { isTerminal: true }), "");
    assert.equal(await shown([1, 500, 60_000], { isTerminal: true, isJson: true }), "");
  });

  it("prints a line now and then where nobody looks", async () => {
    const lines = (await shown([100, 9_999, 10_000, 15_000, 20_000], { isTerminal: false })).split("\n");
    assert.equal(lines.length, 3);
    assert.match(lines[0]!, / 10,000 of 1,000 entries /);
  });
});

describe("progressText", () => {
  it("says what is known", () => {
    const text = (progress: WorkProgress): string => progressText(progress, 2000);
    assert.equal(text({ done: 5000, unit: "rows" }), "5,000 rows  2,500 rows/s");
    assert.match(text({ done: 2 ** 20, total: 2 ** 21, unit: "bytes" }), / 50 % {2}1 MiB of 2 MiB {2}512 KiB\/s$/);
    assert.match(text({ done: 0, total: 0, unit: "rows" }), /100 %/);
  });
});
