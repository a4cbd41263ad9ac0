/**
 * Long sums in pieces: a text of a thousand tokens has as many distributions over as many as 150,000 tokens, and nobody
 * could give the request up, or be answered, while they are summed up in one go.
 *
 * @module
 */

import { turn } from "../worker/turn.ts";

/** So many numbers are summed up in some tens of milliseconds. */
const NUMBERS_A_TURN = 2 ** 22;

/**
 * To be told of work that was done, by how many numbers it took; now and then it lets others have their turn.
 *
 * @throws The signal's reason, from what it returns.
 */
export function pace(signal: AbortSignal | undefined): (numbers: number) => Promise<void> {
  let sinceTurn = 0;
  return async (numbers) => {
    sinceTurn += numbers;
    if (sinceTurn < NUMBERS_A_TURN) return;
    sinceTurn = 0;
    await turn();
    signal?.throwIfAborted();
  };
}
