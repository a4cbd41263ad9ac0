/** Whoever answers: a model in this page, or a server. The page knows nothing else of them. */

import type { CompletionChunk } from "./pieces.ts";
import type { Question, Side } from "./question.ts";

/** What became of a question, once its answer has ended. */
export interface Fate {
  /** `hit`: it was in the cache. `shared`: somebody else was asking the same. */
  readonly outcome: "hit" | "shared" | "generated";
  /** When a hit was generated, in milliseconds since 1970. */
  readonly created?: number;
  /** What a hit took to generate, in milliseconds, where that is known. */
  readonly saved?: number;
  /** Why a generated answer was not kept, if it was not. */
  readonly unkept?: string;
}

/** An answer as it comes. */
export interface Answer {
  /** As `/v1/completions` streams them. */
  readonly chunks: AsyncIterable<CompletionChunk>;
  /** What became of it; to be asked after the last chunk. */
  fate(): Fate;
}

/** Answers questions. */
export interface Answerer {
  /**
   * Answers a question as one side does; aborting ends it.
   *
   * @throws an error whose message is for people.
   */
  ask(side: Side, question: Question, signal: AbortSignal): Promise<Answer>;
}
