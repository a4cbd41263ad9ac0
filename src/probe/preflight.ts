/**
 * A look at both sides before the first probe: a model whose answers are no numbers would be found to differ from its
 * base by any amount at all.
 *
 * @module
 */

import { ModelError } from "../model/error.ts";
import { refuseUniform } from "./next_tokens.ts";
import type { Subject } from "./subject.ts";

const PROMPT = "The";

/**
 * Why the numbers of a side cannot be trusted; `undefined` when both are sound.
 *
 * @throws whatever else keeps a side from answering: it is not there, cannot be loaded, has no room.
 */
export async function preflight(subject: Subject, signal: AbortSignal | undefined): Promise<string | undefined> {
  const question = { kind: "nextToken", prompt: { text: PROMPT }, options: { topK: 2 } } as const;
  for (const side of ["base", "adapter"] as const) {
    try {
      for (const answer of await subject[side].score([question], signal)) {
        refuseUniform(answer, PROMPT);
        const broken = answer.logprobs.find((logprob) => !Number.isFinite(logprob));
        if (broken !== undefined) throw new RangeError(`A log-probability is not finite: ${broken}`);
      }
    } catch (error) {
      const isAnswer = error instanceof RangeError || (error instanceof ModelError && error.code === "invalid_request");
      if (!isAnswer) throw error;
      return `${side}: ${error.message}`;
    }
  }
  return undefined;
}
