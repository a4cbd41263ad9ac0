/**
 * How many streams of events are open at once. Each holds a connection, and what it has still to send, for as long as
 * its reader likes; so their number is what bounds the memory they take together.
 *
 * @module
 */

import { ApiError } from "../api_error.ts";
import type { WatchedRequest } from "../operations/request_watch.ts";

/** Counts the streams that are open. */
export class StreamLimit {
  readonly #most: number;
  #open = 0;

  constructor(most: number) {
    this.#most = most;
  }

  /** How many there are. */
  get open(): number {
    return this.#open;
  }

  /**
   * Counts the stream that a request is to be answered with until that is over. Before anything is asked or bought for it.
   *
   * @throws ApiError 503, and not 429: it is the server that cannot, whoever asks.
   */
  begin(watched: Pick<WatchedRequest, "whenOver">): void {
    if (this.#open >= this.#most) {
      const message = `Cannot open another stream of events, ${this.#open} are open and no more may be: ask again`;
      throw new ApiError(503, "server_error", message, { code: "too_many_streams", headers: { "Retry-After": "1" } });
    }
    this.count(watched);
  }

  /** The same for one that is there, and may be paid for: it is not refused, however many there are. */
  count(watched: Pick<WatchedRequest, "whenOver">): void {
    this.#open++;
    watched.whenOver(() => this.#open--);
  }
}
