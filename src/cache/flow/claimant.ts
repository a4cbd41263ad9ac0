/**
 * One call among all processes that share a store: whoever claims a request calls, the others wait for what it stores. A
 * claim expires unless its holder renews it, so that calls may take as long as they take and a holder that dies keeps
 * nobody waiting.
 *
 * @module
 */

import { hexOf } from "../../runtime/hex.ts";
import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import { CacheError } from "../../store/error.ts";
import type { ClaimReply, Claims, FailureRecord } from "../../store/store.ts";
import type { FailureMemory } from "./failures.ts";
import type { Journal } from "../ledger/journal.ts";
import type { CacheRequest } from "../request/request.ts";
import type { Lookup } from "./shelf.ts";

/** How often those who wait look: at first after so long, then less and less often. */
const FIRST_LOOK: Milliseconds = 20;
const RAREST_LOOK: Milliseconds = 250;
/** A holder renews its claim this often within the time that it lasts. */
const RENEWALS = 3;

/** What came of asking to be the one who calls. */
export type Turn =
  /** It is this caller's turn; `release` has to be called when the answer is stored, or there is none. */
  | { readonly release: () => Promise<void> }
  /** Somebody else has called, and this was found afterwards. */
  | { readonly found: Lookup }
  /** Somebody else has called, and failed. */
  | { readonly failure: CacheError };

const UNCLAIMED: Turn = { release: () => Promise.resolve() };

/** How to wait for one's turn. */
export interface Waiting {
  /** Looks the request up again. */
  readonly look: () => Promise<Lookup>;
  /** The request's last failure so far: later ones are those of whom this caller waits for. */
  readonly before: FailureRecord | undefined;
  /** Called before the first wait for somebody else. */
  readonly onWait: () => void;
  readonly signal: AbortSignal;
}

/** A name that nobody else has. `crypto.randomUUID` would take a secure context in browsers. */
function holderName(): string {
  return hexOf(crypto.getRandomValues(new Uint8Array(16)));
}

/** Claims requests in one cache's name. */
export class Claimant {
  readonly #claims: Claims | undefined;
  readonly #failures: FailureMemory;
  readonly #clock: Clock;
  readonly #journal: Journal;
  readonly #duration: Milliseconds;
  readonly #holder: string = holderName();

  /** `duration` is how long a claim lasts without being renewed; 0 for no claims. */
  constructor(
    claims: Claims | undefined,
    failures: FailureMemory,
    clock: Clock,
    journal: Journal,
    duration: Milliseconds,
  ) {
    this.#claims = duration === 0 ? undefined : claims;
    this.#failures = failures;
    this.#clock = clock;
    this.#journal = journal;
    this.#duration = duration;
  }

  /**
   * Waits for a request's turn. A store that cannot say whose turn it is lets everybody go on, and is counted.
   *
   * @throws what `look` throws; the signal's reason; CacheError `closed`.
   */
  async turn(request: CacheRequest, waiting: Waiting): Promise<Turn> {
    const { onWait, signal } = waiting;
    let isFirst = true;
    for (let wait = FIRST_LOOK;; wait = Math.min(wait * 2, RAREST_LOOK)) {
      const reply = await this.#claim(request);
      if (reply === undefined) return UNCLAIMED;
      if (reply.granted) return await this.#take(request, waiting);
      if (isFirst) onWait();
      isFirst = false;
      await this.#clock.sleep(Math.max(1, Math.min(wait, reply.expires - this.#clock.now())), { signal });
      const news = await this.#news(request, waiting);
      if (news !== undefined) return news;
    }
  }

  /** Goes on with a claim that was granted, unless there is nothing to call for any more. */
  async #take(request: CacheRequest, waiting: Waiting): Promise<Turn> {
    const release = this.#keepRenewing(request);
    try {
      // Who had it before has stored the answer, or failed, before he gave it up.
      const news = await this.#news(request, waiting);
      if (news === undefined) return { release };
      await release();
      return news;
    } catch (error) {
      await release();
      throw error;
    }
  }

  /** What has become of the request since this caller looked; `undefined` when nothing has. */
  async #news(request: CacheRequest, { look, before }: Waiting): Promise<Turn | undefined> {
    const found = await look();
    if (found.outcome === "hit") return { found };
    const news = await this.#failures.since(request, before);
    if (news === undefined) return undefined;
    // An answer that is nobody else's: everybody calls for one of his own, and need not wait for the others.
    return news.failure === undefined ? UNCLAIMED : { failure: news.failure };
  }

  async #claim({ model, key }: CacheRequest): Promise<ClaimReply | undefined> {
    try {
      return await this.#claims?.claim(model, key, this.#holder, this.#duration);
    } catch (error) {
      if (error instanceof CacheError && error.code === "closed") throw error;
      this.#journal.tallies.count(model, "unclaimed");
      this.#journal.remember(error);
      return undefined;
    }
  }

  async #release({ model, key }: CacheRequest): Promise<void> {
    try {
      await this.#claims?.release(model, key, this.#holder);
    } catch {
      // It expires.
    }
  }

  /** Renews a claim until the function that it returns is called, which gives it up. */
  #keepRenewing(request: CacheRequest): () => Promise<void> {
    const { model, key } = request;
    const ended = new AbortController();
    const renew = async (): Promise<void> => {
      for (;;) {
        await this.#clock.sleep(this.#duration / RENEWALS, { signal: ended.signal, background: true });
        try {
          await this.#claims?.claim(model, key, this.#holder, this.#duration);
        } catch (error) {
          // It lasts for two more tries.
          this.#journal.remember(error);
        }
      }
    };
    // Only its end rejects it.
    const renewing = renew().catch(() => {});
    return async () => {
      ended.abort();
      // A claim renewed after it was given up would keep the others waiting.
      await renewing;
      await this.#release(request);
    };
  }
}
