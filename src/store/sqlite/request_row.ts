/**
 * One request as it is read back, for people: verified like an answer, since what is shown of it is believed.
 *
 * @module
 */

import { CodecError } from "../../codec/error.ts";
import { plain } from "../../codec/plain.ts";
import { PackedRow } from "../../sqlite/packed_row.ts";
import type { RequestRecord } from "../store.ts";
import type { RowCodecs } from "./entry_row.ts";
import { isIntact, REQUEST_COLUMNS } from "./entry_row.ts";

/**
 * Selects a request by rowid: `REQUEST_COLUMNS` from the row itself, never from an index. Its sketch is read apart, since
 * the checksum does not cover it.
 */
export const SELECT_REQUEST: string = `SELECT ${REQUEST_COLUMNS} FROM request WHERE rowid = ?`;

// Their places.
const KEY = 0;
const NAMESPACE = 1;
const PROVIDER = 2;
const ENDPOINT = 3;
const IDENTITY = 4;
const CODEC = 5;
const SIZE = 7;
const BODY = 9;

/** The request in a packed row of {@link SELECT_REQUEST}; `undefined` when it is broken. */
export function readRequest(packed: Uint8Array, sketch: Uint8Array, tools: RowCodecs): RequestRecord | undefined {
  if (!isIntact(packed, tools.checksum)) return undefined;
  const row = new PackedRow(packed);
  const codec = row.text(CODEC) === tools.zstd.name ? tools.zstd : plain;
  try {
    return {
      key: row.blob(KEY)!.slice(),
      namespace: row.text(NAMESPACE)!,
      provider: row.text(PROVIDER)!,
      endpoint: row.text(ENDPOINT)!,
      identity: row.text(IDENTITY),
      body: codec.decompress(row.blob(BODY)!, row.number(SIZE)!),
      sketch,
    };
  } catch (error) {
    if (!(error instanceof CodecError)) throw error;
    return undefined;
  }
}
