/** What processes wrote down apart from the database, right after each COMMIT had returned. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** What one process wrote down. */
export interface Acknowledgements {
  /** Checksums of what COMMIT has returned for, by sequence number. */
  readonly committed: ReadonlyMap<number, string>;
  /** The same for what COMMIT failed for: it may be there or not. */
  readonly uncertain: ReadonlyMap<number, string>;
  /** Whether it came to its end by itself, with nothing in flight. */
  readonly ended: boolean;
}

/** The folder's files, one a process, named by its number. */
export function readAcknowledgements(
  folder: string,
  ended: (writer: number) => boolean,
): Map<number, Acknowledgements> {
  const all = new Map<number, Acknowledgements>();
  for (const name of readdirSync(folder)) {
    const writer = Number(name);
    all.set(writer, { ...parseAcknowledgements(readFileSync(join(folder, name), "latin1")), ended: ended(writer) });
  }
  return all;
}

/** Lines of `a SEQUENCE CHECKSUM` for what was committed and `u SEQUENCE CHECKSUM` for what may have been. */
export function parseAcknowledgements(text: string): Omit<Acknowledgements, "ended"> {
  const committed = new Map<number, string>();
  const uncertain = new Map<number, string>();
  for (const line of text.split("\n")) {
    const [what, seq, checksum] = line.split(" ");
    if (what === "a") committed.set(Number(seq), checksum!);
    if (what === "u") uncertain.set(Number(seq), checksum!);
  }
  return { committed, uncertain };
}
