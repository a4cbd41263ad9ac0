/**
 * What is wrong with a suite, found before anything is loaded: a typing error must not cost a model's load first.
 *
 * @module
 */

import * as z from "zod";
import { nearestName } from "./nearest_name.ts";

/** A suite that means nothing. */
export class SpecError extends TypeError {
  override readonly name = "SpecError";
  /** Where, as `suite[2].prompts`. */
  readonly path: string;

  constructor(path: readonly PropertyKey[], problem: string) {
    const at = pathOf(path);
    super(`Cannot run a suite${at === "" ? "" : `, ${at}`}: ${problem}`);
    this.path = at;
  }
}

/**
 * Reads a value with a schema.
 *
 * @param at Where the value stands in the suite.
 * @throws SpecError for the first thing wrong; a field nobody knows comes with the nearest that there is.
 */
export function readSpec<S extends z.ZodType>(schema: S, value: unknown, at: readonly PropertyKey[]): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  const path = [...at, ...issue.path];
  if (issue.code === "unrecognized_keys") {
    const name = issue.keys[0]!;
    throw new SpecError([...path, name], `unknown field${suggestion(name, fieldNames(schema))}`);
  }
  const received = issue.path.reduce<unknown>(
    (of, step) => (of as Record<PropertyKey, unknown> | null | undefined)?.[step],
    value,
  );
  if (received === undefined && issue.code === "invalid_type") throw new SpecError(path, "it is missing");
  throw new SpecError(path, `${issue.message}: received ${shown(received)}`);
}

/** `; did you mean …? known: …` */
export function suggestion(name: string, known: readonly string[]): string {
  const nearest = nearestName(name, known);
  return `${nearest === undefined ? "" : `; did you mean ${nearest}?`} (known: ${known.join(", ")})`;
}

/** Names of all fields, also of those of parts. */
function fieldNames(schema: unknown): string[] {
  if (schema instanceof z.ZodObject) {
    const names = Object.entries(schema.shape).flatMap(([name, part]) => [name, ...fieldNames(part)]);
    return [...new Set(names)];
  }
  if (schema instanceof z.ZodArray) return fieldNames(schema.element);
  const isWrapped = schema instanceof z.ZodOptional || schema instanceof z.ZodNullable ||
    schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault;
  return isWrapped ? fieldNames(schema.unwrap()) : [];
}

function pathOf(path: readonly PropertyKey[]): string {
  const steps = path.map((step, at) =>
    typeof step === "number" ? `[${step}]` : `${at === 0 ? "" : "."}${shortened(String(step))}`
  );
  return steps.join("");
}

/** A value as messages show it. */
export function shown(value: unknown): string {
  return shortened(JSON.stringify(value) ?? String(value));
}

function shortened(text: string): string {
  return text.length <= 80 ? text : `${text.slice(0, 80)}…`;
}
