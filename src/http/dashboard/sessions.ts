/**
 * Who is logged in: a browser's page cannot send a key with every link, so the key is shown once and a cookie stands for
 * it. Sessions live in memory, so many and no more, and end with the server.
 *
 * @module
 */

import { hexOf } from "../../runtime/hex.ts";
import type { Clock, Milliseconds, Runtime } from "../../runtime/runtime.ts";
import type { KeyHolder } from "../auth.ts";

/** How long a session lasts. */
export const SESSION_TIME: Milliseconds = 12 * 3_600_000;

/** More sessions than this there never are: the oldest ends. */
const MOST_SESSIONS = 1000;

const TOKEN_BYTES = 32;

interface Session {
  readonly holder: KeyHolder;
  /** On the monotonic clock. */
  readonly until: Milliseconds;
}

/** The sessions of a server. It keeps digests of their tokens only, so a look at its memory opens none. */
export class Sessions {
  readonly #clock: Clock;
  readonly #sha256: Runtime["sha256"];
  readonly #random: (bytes: Uint8Array<ArrayBuffer>) => void;
  readonly #sessions = new Map<string, Session>();

  /** @param random fills bytes with what nobody can guess. */
  constructor(
    clock: Clock,
    sha256: Runtime["sha256"],
    random: (bytes: Uint8Array<ArrayBuffer>) => void = (bytes) => void crypto.getRandomValues(bytes),
  ) {
    this.#clock = clock;
    this.#sha256 = sha256;
    this.#random = random;
  }

  /** Begins one, and returns its token: 256 bits of chance, in hexadecimal. */
  begin(holder: KeyHolder): string {
    const bytes = new Uint8Array(TOKEN_BYTES);
    this.#random(bytes);
    const token = hexOf(bytes);
    const now = this.#clock.monotonic();
    for (const [id, { until }] of this.#sessions) {
      // They last equally long, so those that are over come first.
      if (until > now && this.#sessions.size < MOST_SESSIONS) break;
      this.#sessions.delete(id);
    }
    this.#sessions.set(this.#idOf(token), { holder, until: now + SESSION_TIME });
    return token;
  }

  /** Whose session a token is; `undefined` when it is none, or is over. */
  holderOf(token: string | undefined): KeyHolder | undefined {
    const session = token === undefined ? undefined : this.#sessions.get(this.#idOf(token));
    return session !== undefined && session.until > this.#clock.monotonic() ? session.holder : undefined;
  }

  /** Ends one. */
  end(token: string): void {
    this.#sessions.delete(this.#idOf(token));
  }

  #idOf(token: string): string {
    return hexOf(this.#sha256(new TextEncoder().encode(token)));
  }
}
