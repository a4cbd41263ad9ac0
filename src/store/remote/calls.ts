/**
 * The calls that a client makes, and what comes of them: their numbers on the wire.
 *
 * @module
 */

/** What a frame asks for: its first byte. */
export const Call = {
  /** Nothing: whether the server is there, and lets us in. */
  HELLO: 0,
  LOOKUP: 1,
  PUT: 2,
  REMOVE: 3,
  NEAREST: 4,
  CLAIM: 5,
  RELEASE: 6,
  RECORD_FAILURE: 7,
  LAST_FAILURE: 8,
  ADD_AMOUNTS: 9,
  READ_AMOUNTS: 10,
  SIZE: 11,
  LIST: 12,
} as const;

/** What came of a call: the first byte of the frame that replies. */
export const Reply = {
  /** It was done; what it gave follows. */
  DONE: 0,
  /** The store failed: a code and a message follow. */
  FAILED: 1,
  /** It is against the contract: a message follows. */
  REFUSED: 2,
  /** What arrived is not what was sent. */
  DAMAGED: 3,
  /** There is no room for it in this message: it has to be asked for once more. */
  LATER: 4,
} as const;

/** How late a put is: sent at once, after it had to wait, or once more, since nobody knows what became of it. */
export const Lateness = { NONE: 0, WAITED: 1, AGAIN: 2 } as const;

/** Where a put says so: behind what it is. */
export const LATENESS_AT = 1;
/** Bytes of the id of what is to happen once. */
export const ID_BYTES = 16;

/** So many requests are looked up in one call; the server answers no more of them. */
export const MOST_WANTS = 256;

/** Where calls are sent to, beneath the server's address. */
export const CALLS_PATH = "cache/v1/calls";
/** Where requests are listed, in a reply that comes in parts. */
export const LIST_PATH = "cache/v1/list";
