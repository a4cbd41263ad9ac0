/**
 * The checksum that stands between a flipped bit and a wrong answer. zstd without its own checksum decodes most flipped
 * bits silently; this one is computed over a whole row, so that it also notices a row found under another's key.
 *
 * @module
 */

import xxhash from "xxhash-wasm";
import { xxh64 } from "./xxh64.ts";

/**
 * XXH64 of bytes, unsigned. Not a cryptographic digest: it guards against accidents, not against malice.
 *
 * Source: https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
 */
export type Checksum = (bytes: Uint8Array, seed?: bigint) => bigint;

let loaded: Promise<Checksum> | undefined;

/** Loads XXH64, once per process; a failed load is tried again by the next call. */
export function loadChecksum(): Promise<Checksum> {
  return loaded ??= load().catch((error) => {
    loaded = undefined;
    throw error;
  });
}

async function load(): Promise<Checksum> {
  try {
    return (await xxhash()).h64Raw;
  } catch (error) {
    // The edge, and pages whose policy says so, compile nothing that comes with the program's text.
    if (error instanceof WebAssembly.CompileError) return xxh64;
    throw error;
  }
}
