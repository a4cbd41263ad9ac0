/**
 * What follows the encoder, as `modules.json` of Sentence Transformers says. A module that is not there at all would
 * give other vectors than its makers', with nobody the wiser: what is not known is refused by name.
 *
 * @module
 */

import type { JsonObject } from "../files/model_files.ts";

/** What is done with what the encoder gives. */
export interface SentenceModules {
  /** Whether the vector is cut to length 1. */
  readonly normalises: boolean;
}

/** For models that say nothing: the mean, of length 1. What users of exports without these files do by hand. */
export const USUAL_MODULES: SentenceModules = { normalises: true };

/**
 * Reads `modules.json`.
 *
 * @param graphPools Whether the graph has it all inside, up to the text's vector; only that it normalises is looked at.
 * @throws Error naming the module that cannot be followed.
 */
export function readModules(text: string, graphPools: boolean): SentenceModules {
  const modules = parse(text).map(({ type }) => nameOf(type));
  const normalises = modules.at(-1) === "Normalize";
  const expected = ["Transformer", "Pooling", ...normalises ? ["Normalize"] : []];
  if (!graphPools) {
    const odd = modules.find((name) => !expected.includes(name));
    if (odd !== undefined) throw new Error(`modules.json has a module that is not supported: ${odd}`);
    if (modules.join() !== expected.join()) {
      throw new Error(`modules.json does not say ${expected.join(", ")}: ${modules.join(", ")}`);
    }
  }
  return { normalises };
}

function parse(text: string): JsonObject[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`modules.json is not JSON: ${(error as Error).message}`, { cause: error });
  }
  if (!Array.isArray(value) || !value.every((module) => typeof module?.type === "string")) {
    throw new Error(`modules.json holds no list of modules: ${text.slice(0, 100)}`);
  }
  return value;
}

/** `sentence_transformers.models.Pooling` is `Pooling`; a module from elsewhere keeps its whole name. */
function nameOf(type: unknown): string {
  const parts = (type as string).split(".");
  return parts[0] === "sentence_transformers" ? parts.at(-1)! : parts.join(".");
}
