/**
 * What the routes of `/cache` need of the store behind them. How its calls look on the wire is the store room's business;
 * here they are bytes.
 *
 * @module
 */

/** A store that answers messages of remote stores. */
export interface StoreService {
  /**
   * Answers the calls in a message.
   *
   * @param owner the id of the key whose entries it is about; `undefined` where all share them.
   * @throws TypeError when it is no message, or none of this version.
   */
  answer(owner: string | undefined, message: Uint8Array): Promise<Uint8Array<ArrayBuffer>>;
  /**
   * Answers a call for a list, as fast as it is read.
   *
   * @throws TypeError as {@link answer} does.
   */
  list(owner: string | undefined, message: Uint8Array): ReadableStream<Uint8Array<ArrayBuffer>>;
}
