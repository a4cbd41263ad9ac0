/**
 * A long day of a server, made from a seed: runs of requests for one model each, the models of unequal popularity, with
 * clients that go away and Workers that die in between; how often least-recently-used would load for it; and whoever
 * sends it.
 */

import { ModelError, type ModelErrorCode } from "../../src/model/error.ts";
import type { Clock } from "../../src/runtime/runtime.ts";
import type { BackendCache, Lease } from "../../src/warm/backend_cache.ts";
import { parseModelName } from "../../src/warm/spec.ts";
import { randomBelow } from "../support/random.ts";

/** One request of a trace. */
export interface TraceRequest {
  /** Number of its model, the most popular one is 0. */
  readonly model: number;
  readonly withAdapter: boolean;
  /** When its client goes away, in milliseconds after it came; absent: it stays. */
  readonly leavesAfter?: number;
  /** The Worker dies while it works for this one. */
  readonly isFatal: boolean;
}

/** What a trace is like. */
export interface TraceOptions {
  readonly seed: number;
  readonly requests: number;
  readonly models: number;
  /** How many runs of requests are mixed at any time. 2 when left out. */
  readonly runs?: number;
  /** Longest run; half as long on average. 80 when left out. */
  readonly longestRun?: number;
}

/** One request in so many has its Worker die, its client leave. */
const [FATAL, LEAVING] = [400, 25];
const LONGEST_STAY = 60;

/** Makes a trace. */
export function makeTrace({ seed, requests, models, runs = 2, longestRun = 80 }: TraceOptions): TraceRequest[] {
  const below = randomBelow(seed);
  // Zipf's law: the n-th is asked for 1/n as often as the first.
  const shares = Array.from({ length: models }, (_, rank) => 1 / (rank + 1));
  const popular = (): number => {
    let left = shares.reduce((sum, share) => sum + share) * below(1e6) / 1e6;
    return Math.max(0, shares.findIndex((share) => (left -= share) < 0));
  };
  const begin = (): { model: number; left: number } => ({ model: popular(), left: 1 + below(longestRun) });
  const running = Array.from({ length: runs }, begin);
  return Array.from({ length: requests }, () => {
    const at = below(runs);
    if (running[at]!.left-- === 0) running[at] = begin();
    return {
      model: running[at]!.model,
      withAdapter: below(4) === 0,
      isFatal: below(FATAL) === 0,
      ...(below(LEAVING) === 0 && { leavesAfter: below(LONGEST_STAY) }),
    };
  });
}

/**
 * How many loads the trace takes with so many places, one request after the other. A Worker that dies has to be loaded
 * anew here too; loads do not fail and nobody leaves.
 */
export function leastRecentlyUsedLoads(trace: readonly TraceRequest[], places: number): number {
  const resident = new Set<number>();
  let loads = 0;
  for (const { model, isFatal } of trace) {
    if (!resident.delete(model)) {
      loads++;
      const [least] = resident;
      if (resident.size === places) resident.delete(least!);
    }
    if (!isFatal) resident.add(model);
  }
  return loads;
}

/** Where a trace is played. */
export interface TraceWorld {
  readonly cache: BackendCache;
  readonly clock: Clock;
  /** Has the model answer, and throws where the answer is not right. */
  work(request: TraceRequest, lease: Lease, signal: AbortSignal): Promise<void>;
  /** Has the Worker behind a lease die. */
  kill(lease: Lease): void;
}

/** What became of the requests. */
export interface Tally {
  answered: number;
  /** Their clients went away. */
  left: number;
  /** Refused, by the code that they heard. */
  readonly refused: Map<ModelErrorCode, number>;
}

/** Name of a request's model. */
export function nameOf({ model, withAdapter }: Pick<TraceRequest, "model" | "withAdapter">): string {
  return `model-${model}${withAdapter ? "+fortunes" : ""}`;
}

/**
 * Sends a trace, by so many clients that each wait for an answer before they send on. Rejects when a request ends in
 * any other way than a request may.
 */
export async function playTrace(
  world: TraceWorld,
  trace: readonly TraceRequest[],
  clients: number,
  progress: (done: number, tally: Tally) => void = () => {},
): Promise<Tally> {
  const tally: Tally = { answered: 0, left: 0, refused: new Map() };
  let [next, done] = [0, 0];
  const client = async (): Promise<void> => {
    for (let request; (request = trace[next++]) !== undefined;) {
      await send(world, request, tally);
      progress(++done, tally);
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  return tally;
}

class Left extends Error {}

async function send(world: TraceWorld, request: TraceRequest, tally: Tally): Promise<void> {
  const leaving = new AbortController();
  const answered = new AbortController();
  if (request.leavesAfter !== undefined) {
    const { signal } = answered;
    world.clock.sleep(request.leavesAfter, { signal }).then(() => leaving.abort(new Left()), () => {});
  }
  try {
    const { signal } = leaving;
    await using lease = await world.cache.lease(parseModelName(nameOf(request)), { signal });
    if (request.isFatal) world.kill(lease);
    await world.work(request, lease, signal);
    tally.answered++;
  } catch (error) {
    if (error instanceof Left) tally.left++;
    else if (error instanceof ModelError) tally.refused.set(error.code, (tally.refused.get(error.code) ?? 0) + 1);
    else throw error;
  } finally {
    answered.abort();
  }
}
