/**
 * The models of a suite behind both caches: every answer is looked up by the content identity of the view that would
 * give it, and a model is leased, and so loaded, only for what is missing. A suite that ran before touches none.
 *
 * @module
 */

import type { CacheStatus } from "../cache/call_options.ts";
import type { ScoreAnswer, ScoreQuestion, View } from "../model/backend.ts";
import { ModelError } from "../model/error.ts";
import { continuation } from "../probe/view_respondent.ts";
import type { Embedder, Respondent, Subject } from "../probe/subject.ts";
import { type ResolvedModel, viewIdentity } from "../warm/identity.ts";
import { CacheError } from "../store/error.ts";
import type { Lease } from "../warm/lease.ts";
import { parseModelName } from "../warm/spec.ts";
import type { Activity } from "./activity.ts";
import type { CacheDirectives } from "./cache_directives.ts";
import { embeddingsOf } from "./embeddings.ts";
import { askModel } from "./local_model.ts";
import type { ServerParts } from "./parts.ts";

/** The endpoint in the cache's scope. */
const ENDPOINT = "/score";

/** Questions to a lease: what was answered is stored after so many, and other requests get a turn at the model. */
const BATCH = 32;

/** Numbers that the answers of a batch may have: to store or to read more at once would keep everybody else waiting. */
const BATCH_NUMBERS = 8192;

/** What a suite has asked, and what of it was known. */
export class Tally {
  hits = 0;
  misses = 0;
  /** Of the misses, how many a model was asked for here: another request's call may have answered the others. */
  passes = 0;

  /** Counts what became of some questions. */
  count(statuses: readonly CacheStatus[]): void {
    for (const { outcome, shared = false } of statuses) {
      if (outcome === "hit") this.hits++;
      else this.misses++;
      if (outcome !== "hit" && !shared) this.passes++;
    }
  }
}

/** Whom a suite questions, and who counts. */
export interface ProbeSubjectOptions {
  readonly parts: ServerParts;
  readonly base: ResolvedModel;
  readonly ft: ResolvedModel;
  /** Whether both are one set of weights, so that what lies between and beside them can be asked too. */
  readonly isDifferential: boolean;
  /** What the request says to the response cache. */
  readonly directives: CacheDirectives;
  readonly signal: AbortSignal;
  /** Ends the suite for a reason that would meet every other question too. */
  readonly end: (reason: unknown) => void;
  readonly tally: Tally;
}

/** A view, and how it comes from a lease. */
interface Side {
  /** What is leased for it. */
  readonly model: ResolvedModel;
  readonly identity: string;
  readonly viewOf: (lease: Lease) => View;
}

/** The models of a suite. */
export function probeSubject(options: ProbeSubjectOptions): Subject {
  const { parts, base, ft, isDifferential } = options;
  const { adapter } = ft;
  const activity = parts.activity.runInParts();
  const whole = (model: ResolvedModel): Respondent =>
    respondent({ ...options, activity }, { model, identity: model.identity, viewOf: ({ view }) => view });
  const sides = { base: whole(base), adapter: whole(ft) };
  const embedder = (name: string): Promise<Embedder | undefined> => findEmbedder(options, name);
  if (!isDifferential || adapter === undefined) return { ...sides, scaled: undefined, noise: undefined, embedder };
  return {
    ...sides,
    scaled: (scale) => {
      // Two names of one view share its answers.
      if (scale === 0) return sides.base;
      if (scale === ft.scale) return sides.adapter;
      const identity = viewIdentity(parts.runtime, ft.base, adapter, { scale });
      return respondent({ ...options, activity }, {
        model: ft,
        identity,
        viewOf: ({ backend }) => backend.adapterView(adapter, { scale }),
      });
    },
    noise: (noise) => {
      const identity = viewIdentity(parts.runtime, ft.base, adapter, { noise });
      return respondent({ ...options, activity }, {
        model: ft,
        identity,
        viewOf: ({ backend }) => backend.nullView(adapter, noise),
      });
    },
    embedder,
  };
}

function respondent(
  { parts, directives, signal, end, tally, activity }: ProbeSubjectOptions & {
    readonly activity: Pick<Activity, "run">;
  },
  { model, identity, viewOf }: Side,
): Respondent {
  const { name, provider = "local" } = model.base;
  const scope = { ...directives, provider, endpoint: ENDPOINT, identity, signal };

  /** Looks bodies up, some at a time, and has `ask` answer those that are missing; answers have so many numbers. */
  const answered = async <B extends object, T extends object>(
    bodies: readonly B[],
    numbers: number,
    ask: (view: View, missing: readonly B[], wanted: AbortSignal) => AsyncIterable<T>,
  ): Promise<T[]> => {
    const answers: T[] = [];
    const size = Math.max(1, Math.min(BATCH, Math.floor(BATCH_NUMBERS / numbers)));
    for (let from = 0; from < bodies.length; from += size) {
      const statuses: CacheStatus[] = [];
      const produce = async (missing: readonly B[], { signal: wanted }: { readonly signal: AbortSignal }) => {
        const view = (_: View, lease: Lease): AsyncIterable<T> => ask(viewOf(lease), missing, wanted);
        const asked = askModel({ ...parts, activity }, model, { signal: wanted }, view);
        return await answersUntil(asked, missing.length);
      };
      const found = parts.cache.wrapMany(bodies.slice(from, from + size), produce, { ...scope, statuses });
      answers.push(...await unlessNothingMayBeAsked(found, end));
      tally.count(statuses);
      // What is known in memory comes at once, batch after batch, and nobody else would have a turn.
      await new Promise<void>((resolve) => parts.clock.afterTurn(resolve));
      signal.throwIfAborted();
    }
    return answers;
  };

  return {
    score: <Q extends ScoreQuestion>(questions: readonly Q[]) => {
      const bodies = questions.map((question) => ({ model: name, ...question }));
      const numbers = Math.max(
        ...questions.map((question) => question.kind === "nextToken" ? question.options.topK : 1),
      );
      return answered<Q, ScoreAnswer<Q>>(bodies, numbers, (view, missing, wanted) => view.scoreMany(missing, wanted));
    },
    generate: async (prompts, { maxTokens, seed }) => {
      const bodies = prompts.map((prompt) => ({
        model: name,
        kind: "generate",
        prompt,
        max_tokens: maxTokens,
        seed,
      }));
      const answers = await answered(bodies, 1, async function* (view, missing, wanted) {
        for (const { prompt } of missing) yield { text: await continuation(view, prompt, { maxTokens, seed }, wanted) };
      });
      return answers.map(({ text }) => text);
    },
  };
}

async function findEmbedder(
  { parts, directives, signal, end, tally }: ProbeSubjectOptions,
  name: string,
): Promise<Embedder | undefined> {
  let model: ResolvedModel;
  try {
    model = await parts.backends.identify(parseModelName(name));
  } catch (error) {
    if (error instanceof ModelError && error.code === "model_not_found") return undefined;
    throw error;
  }
  return {
    embed: async (texts) => {
      const statuses: CacheStatus[] = [];
      const found = embeddingsOf(parts, model, texts, { ...directives, signal }, statuses);
      const vectors = await unlessNothingMayBeAsked(found, end);
      tally.count(statuses);
      return vectors;
    },
  };
}

/**
 * All answers there are; when a question fails, it and those after it fail, and those before it stay answered: an
 * endpoint was paid for them.
 */
async function answersUntil<T>(asked: AsyncIterable<T>, count: number): Promise<(T | Promise<never>)[]> {
  const answers: (T | Promise<never>)[] = [];
  try {
    for await (const answer of asked) answers.push(answer);
  } catch (error) {
    if (answers.length === 0) throw error;
    while (answers.length < count) answers.push(Promise.reject(error));
  }
  return answers;
}

/**
 * A suite that is to be answered from the cache alone fails as a whole, since no probe of it could be asked elsewhere; so
 * does one for which the queue has no room, since that says nothing of its models, and what was answered is kept.
 */
async function unlessNothingMayBeAsked<T>(found: Promise<T>, end: ProbeSubjectOptions["end"]): Promise<T> {
  try {
    return await found;
  } catch (error) {
    const isMissing = error instanceof CacheError && error.code === "replay_miss";
    if (isMissing || (error instanceof ModelError && error.code === "queue_full")) end(error);
    throw error;
  }
}
