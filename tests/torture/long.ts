/**
 * The long torture: `deno run -A tests/torture/long.ts --transactions 1000000 --seed 1`. With `--scenario full-disk` (as
 * root) or `--scenario read-only` something gets in its way besides.
 */

import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { type Kind, torture } from "./conductor.ts";
import { fullDisk, readOnlyDirectory } from "./obstacle.ts";
import { readers, writers } from "./parts.ts";
import { describe, versions } from "./report.ts";
import type { Fault } from "./worker.ts";

const { values } = parseArgs({
  options: {
    transactions: { type: "string", default: "1000000" },
    seed: { type: "string", default: "1" },
    processes: { type: "string", default: "7" },
    "kill-every": { type: "string", default: "250" },
    "settle-every": { type: "string", default: "20000" },
    /** Only parts whose names match. */
    only: { type: "string", default: "" },
    fault: { type: "string" },
    scenario: { type: "string", default: "plain" },
    folder: { type: "string" },
  },
});

const only = (kinds: readonly Kind[]) => kinds.filter((kind) => new RegExp(values.only).test(kind));
const folder = values.folder ?? mkdtempSync(join(tmpdir(), "warmcache-torture-"));
mkdirSync(folder, { recursive: true });
const disk = join(folder, "disk");
const onSmallDisk = values.scenario === "full-disk";
if (onSmallDisk) {
  mkdirSync(disk);
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=32m,mode=0700", "tmpfs", disk]);
}
const obstacle = onSmallDisk
  ? fullDisk(disk)
  : values.scenario === "read-only"
  ? readOnlyDirectory(join(folder, "data"))
  : undefined;
// Nobody is left behind, stopped with a lock in hand.
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(1));
console.log(versions());
const report = await torture({
  transactions: Number(values.transactions),
  seed: Number(values.seed),
  folder,
  writers: only(writers),
  readers: only(readers),
  processes: Number(values.processes),
  killEvery: Number(values["kill-every"]),
  settleEvery: Number(values["settle-every"]),
  progress: console.log,
  ...(obstacle === undefined ? {} : { obstacle, largest: 8000, reopenOnceIn: 30 }),
  ...(values.fault === undefined ? {} : { fault: values.fault as Fault }),
});
console.log(describe(report));
const isRight = report.violations.length === 0;
if (onSmallDisk) {
  if (!isRight) cpSync(disk, join(folder, "data"), { recursive: true });
  execFileSync("umount", ["-l", disk]);
}
if (isRight) rmSync(folder, { recursive: true });
else console.log(`Everything is kept in ${folder}`);
process.exit(isRight ? 0 : 1);
