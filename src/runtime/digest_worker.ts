/**
 * Hashes files away from the caller's thread: 64 MiB take about 45 ms, too long for an event loop.
 * Receives paths, answers each with its digest or its error, in order.
 *
 * @module
 */

import { messageOf } from "./message.ts";
import { createHash } from "node:crypto";
import fs from "node:fs";
import type { FileStat } from "./runtime.ts";
import { statOf } from "./node_files.ts";
import { workerPort } from "./worker_port.ts";

/** A digest, or why there is none. */
export type DigestReply = { readonly sha256: string; readonly stat: FileStat } | { readonly error: string };

const CHUNK_BYTES = 1 << 20;
const chunk = new Uint8Array(CHUNK_BYTES);
const port = workerPort();
port.onMessage((path) => port.post(digest(path as string)));

function digest(path: string): DigestReply {
  let descriptor: number | undefined;
  try {
    descriptor = fs.openSync(path, "r");
    const before = statOf(descriptor);
    const hash = createHash("sha256");
    for (let count; (count = fs.readSync(descriptor, chunk, 0, CHUNK_BYTES, null)) > 0;) {
      hash.update(chunk.subarray(0, count));
    }
    const after = statOf(descriptor);
    if (before.mtimeNs !== after.mtimeNs || before.size !== after.size) {
      return { error: "the file changed while it was read" };
    }
    return { sha256: hash.digest("hex"), stat: after };
  } catch (error) {
    return { error: messageOf(error) };
  } finally {
    if (descriptor !== undefined) fs.closeSync(descriptor);
  }
}
