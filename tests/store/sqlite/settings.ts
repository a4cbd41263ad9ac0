/** Databases without a store around them. */

import { loadChecksum } from "../../../src/codec/checksum.ts";
import { loadZstd } from "../../../src/codec/zstd.ts";
import { AmountsByDay } from "../../../src/store/sqlite/amounts_by_day.ts";
import type { DatabasesSettings } from "../../../src/store/sqlite/databases.ts";
import { machine } from "./fixture.ts";

const tools = {
  zstd: await loadZstd(),
  checksum: await loadChecksum(),
  sha256: (bytes: Uint8Array): Uint8Array => machine.sha256(bytes),
};

/** How databases in a folder are opened: for this process alone, one at a time. */
export function settingsOf(directory: string): DatabasesSettings {
  return {
    runtime: machine,
    directory,
    synchronous: "normal",
    locking: "exclusive",
    lockTimeout: 0,
    maxOpenDatabases: 1,
    tools,
    waitingAmounts: new AmountsByDay(1),
    keepExpired: 0,
    maxBytes: undefined,
    dictionaryFrom: 200,
    handsOver: false,
  };
}
