/**
 * Questions that the cache has answered already, by their text: whoever asks the same once more sends the same bytes
 * nearly always. It is not parsed again then, nor is its key computed again ({@link ../request/sealed.ts}), which together
 * are most of what a hit takes. Nothing else is kept: whether there is an answer, and for whom, is looked up.
 *
 * @module
 */

import { LRUCache } from "lru-cache";
import type { Question } from "./question.ts";

/** In all of a process, as {@link bytesOf} counts them. */
const MOST_BYTES = 32 * 1024 * 1024;
/** Of one question: a few long ones must not drive all others out. */
const LONGEST_BYTES = MOST_BYTES / 4;

const questions = new LRUCache<string, Question>({ maxSize: MOST_BYTES, maxEntrySize: LONGEST_BYTES });

/** What a text asked before; it is for the caller to see whether it was asked in the same place. */
export function answeredBefore(text: string): Question | undefined {
  return questions.get(text);
}

/** Remembers a question that the cache has answered. */
export function rememberAnswered(question: Question): void {
  const { text, form } = question;
  if (form === "embeddings" || questions.peek(text) === question) return;
  questions.set(text, question, { size: bytesOf(text) });
}

/** The text, the body and its canonical form, of two bytes a character where one is no Latin; and what they hang on. */
function bytesOf({ length }: string): number {
  return 6 * length + 2048;
}
