/**
 * Reading a list of requests, which comes in pages while it is read: each is checked before any of it is believed, and a
 * list that breaks off is an error and never a short list.
 *
 * @module
 */

import type { Checksum } from "../../codec/checksum.ts";
import { messageOf } from "../../runtime/message.ts";
import type { Clock } from "../../runtime/runtime.ts";
import { CacheError } from "../error.ts";
import type { ListedRequest, Selection } from "../store.ts";
import { BadBytes, ByteReader, ByteWriter } from "./bytes.ts";
import { Call, Reply } from "./calls.ts";
import type { Link } from "./link.ts";
import { checkStart, frameLength, MOST_MESSAGE_BYTES, readFrame, START_BYTES } from "./message.ts";
import { joined, piecesOf } from "./reply_bytes.ts";
import { readCode, readListed, writeSelection } from "./values.ts";

const TRIED = "list requests";

/**
 * The requests that a server's store has.
 *
 * @throws CacheError `unavailable`, also in the middle.
 */
export async function* listRequests(
  link: Link,
  clock: Clock,
  checksum: Checksum,
  selection: Pick<Selection, "model" | "namespace">,
): AsyncGenerator<ListedRequest> {
  const writer = new ByteWriter().byte(Call.LIST);
  writeSelection(writer, selection);
  const { response, sum, patience } = await link.begin(TRIED, writer.done());
  let frames = 0;
  let isEnded = false;
  try {
    for await (const bytes of framesOf(piecesOf(response, patience, clock))) {
      const { payload, isIntact } = readFrame(bytes, sum + BigInt(frames++), checksum);
      if (!isIntact) throw new BadBytes("what arrived is not what was sent");
      const reader = new ByteReader(payload);
      const reply = reader.byte();
      if (reply === Reply.FAILED) {
        throw link.failure(TRIED, readCode(reader), reader.isAtEnd ? undefined : reader.text());
      }
      if (reply !== Reply.DONE) throw new BadBytes(`the reply ${reply} is no page`);
      const page = new ByteReader(reader.blob());
      while (!page.isAtEnd && !isEnded) {
        if (page.byte() === 0) isEnded = true;
        else yield readListed(page);
      }
      if (isEnded) return;
    }
    throw new BadBytes("it ended before the list did");
  } catch (error) {
    if (error instanceof CacheError) throw error;
    throw link.unavailable(TRIED, `the list broke off: ${messageOf(error)}`, error);
  }
}

/** The frames in what comes in pieces, each as a whole. */
async function* framesOf(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let rest: Uint8Array = new Uint8Array();
  let isStarted = false;
  for await (const piece of pieces) {
    rest = rest.byteLength === 0 ? piece : joined([rest, piece], rest.byteLength + piece.byteLength);
    if (!isStarted) {
      if (rest.byteLength < START_BYTES) continue;
      checkStart(rest);
      rest = rest.subarray(START_BYTES);
      isStarted = true;
    }
    for (let length = frameLength(rest, 0); length !== undefined; length = frameLength(rest, 0)) {
      if (length > MOST_MESSAGE_BYTES) throw new BadBytes(`a page of ${length} bytes`);
      if (length > rest.byteLength) break;
      yield rest.subarray(0, length);
      rest = rest.subarray(length);
    }
  }
}
