/**
 * Why a server could not be asked, and what can be done about it: some reasons pass by themselves, others have to be dealt
 * with by people, who are told how.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import { bytesOf } from "./reply_bytes.ts";

/** So much of what it says is shown. */
const SHOWN = 200;

/** The server cannot be reached, or does not let us in. */
export class Unreachable extends Error {
  override readonly name = "Unreachable";
  /** Whether waiting changes nothing. */
  readonly isForGood: boolean;
  /** Whether what was sent is longer than something on the way lets through. */
  readonly isTooLong: boolean;
  /** Whether the connection broke, or could not be made: the server itself has said nothing. */
  readonly isBroken: boolean;
  constructor(message: string, { isForGood = false, isTooLong = false, isBroken = false, ...options }: {
    readonly isForGood?: boolean;
    readonly isTooLong?: boolean;
    readonly isBroken?: boolean;
    readonly cause?: unknown;
  } = {}) {
    super(message, options);
    this.isForGood = isForGood;
    this.isTooLong = isTooLong;
    this.isBroken = isBroken;
  }
}

/** What an answer other than 200 means, and what to do. */
export async function refusalOf(
  response: Response,
  patience: Milliseconds,
  clock: Clock,
  withoutKey: (text: string) => string,
): Promise<Unreachable> {
  const { status } = response;
  const said = withoutKey(await messageIn(response, patience, clock)).slice(0, SHOWN);
  const message = `it answers ${status}${said === "" ? "" : ` (${said})`}`;
  if (status === 401 || status === 403) {
    return new Unreachable(`${message}: give one of its API keys (WARMCACHE_REMOTE_KEY)`, { isForGood: true });
  }
  if (status === 404 || status === 405 || (status >= 300 && status < 400)) {
    return new Unreachable(`${message}: no warmcache server of this version is there`, { isForGood: true });
  }
  // It is about this version of the program.
  if (status === 400) return new Unreachable(message, { isForGood: true });
  if (status === 413) return new Unreachable(`${message}: something on the way takes no more`, { isTooLong: true });
  return new Unreachable(message);
}

async function messageIn(response: Response, patience: Milliseconds, clock: Clock): Promise<string> {
  try {
    const { error } = JSON.parse(new TextDecoder().decode(await bytesOf(response, patience, clock)));
    return typeof error?.message === "string" ? error.message : "";
  } catch {
    // Whatever it is, it is not from a server of ours.
    return "";
  }
}
