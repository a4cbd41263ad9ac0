/** From the answers that are stored, one by one, to the questions that somebody asked. */

import type { Asked } from "./page_models.ts";
import type { Question } from "./question.ts";

/** A stored answer. */
export interface Answered {
  readonly question: Question;
  /** When it was generated, in milliseconds since 1970. */
  readonly created: number;
}

/** As many samples as can be asked for together. */
export const MOST_SAMPLES = 5;

/**
 * Questions, the one with the newest answer first. Samples of one question have seeds in a row; both sides' answers have
 * the same.
 */
export function groupAnswered(answered: readonly Answered[]): Asked[] {
  const alike = Map.groupBy(
    answered,
    ({ question: { prompt, maxTokens, temperature } }) => JSON.stringify([prompt, maxTokens, temperature]),
  );
  return [...alike.values()].flatMap(inRows).sort((one, other) => other.created - one.created);
}

function inRows(alike: readonly Answered[]): Asked[] {
  const rows: Asked[] = [];
  for (const { question, created } of alike.toSorted((one, other) => one.question.seed - other.question.seed)) {
    const last = rows.at(-1);
    const place = last && question.seed - last.question.seed;
    if (last === undefined || place === undefined || place > last.samples || place >= MOST_SAMPLES) {
      rows.push({ question, samples: 1, created });
    } else {
      rows[rows.length - 1] = {
        ...last,
        samples: Math.max(last.samples, place + 1),
        created: Math.max(last.created, created),
      };
    }
  }
  return rows;
}
