/**
 * A request with a list of inputs is several requests in one. Each input is looked up by itself, so that a text is
 * bought once, in whatever company it is asked for; this is what embeddings and moderations have in common.
 *
 * @module
 */

import { encodeText, isJsonObject, type JsonObject } from "../json.ts";

/** A request, divided into requests for one input each. */
export interface InputList {
  /** Bodies of the requests for one input each: every different input once, in the order in which they first appear. */
  readonly items: readonly JsonObject[];
  /** For each place in the request's list, which of {@link items} stands there. */
  readonly places: readonly number[];
  /** The body that asks for these of {@link items}, in this order. A list stays a list, a single input stays one. */
  gather(items: readonly number[]): JsonObject;
}

/** Why an answer cannot be told apart into the answers of its inputs. */
export interface InputFault {
  /** What is wrong, for people. */
  readonly fault: string;
}

/** Divides a request that has one input, which is not in a list. */
export function singleInput(body: JsonObject): InputList {
  return { items: [body], places: [0], gather: () => ({ ...body }) };
}

/** Divides a request by its list of inputs: texts, or lists of tokens. */
export function listedInputs(body: JsonObject, inputs: readonly (string | readonly number[])[]): InputList {
  const items: JsonObject[] = [];
  const known = new Map<string, number>();
  const places = inputs.map((input) => {
    // A text may look like a list of tokens.
    const identity = typeof input === "string" ? `"${input}` : `[${input}`;
    let item = known.get(identity);
    if (item === undefined) {
      known.set(identity, item = items.length);
      items.push({ ...body, input });
    }
    return item;
  });
  return { items, places, gather: (wanted) => ({ ...body, input: wanted.map((item) => items[item]!.input) }) };
}

/** How long an input is: a text in bytes of UTF-8, a list in its members. */
export function inputLength({ input }: JsonObject): number {
  return typeof input === "string" ? encodeText(input).length : Array.isArray(input) ? input.length : 0;
}

/**
 * Divides an integer in proportion to weights, into integers that add up to it exactly: each gets the whole part of its
 * share, what is left goes by ones to those with the largest remainders, the first of equals first. Without any weight
 * all get the same.
 */
export function shareOut(total: number, weights: readonly number[]): number[] {
  const sum = weights.reduce((before, weight) => before + weight, 0);
  const divisor = BigInt(sum === 0 ? weights.length : sum);
  const products = weights.map((weight) => BigInt(total) * BigInt(sum === 0 ? 1 : weight));
  const shares = products.map((product) => Number(product / divisor));
  const left = total - shares.reduce((before, share) => before + share, 0);
  const remainders = products.map((product, index) => ({ index, remainder: product % divisor }));
  remainders.sort((a, b) => (a.remainder < b.remainder ? 1 : a.remainder > b.remainder ? -1 : a.index - b.index));
  for (const { index } of remainders.slice(0, left)) shares[index]!++;
  return shares;
}

/** Divides what one call cost among its inputs in proportion to their lengths; of what is not known, no part is. */
export function shareCost(cost: number | null, lengths: readonly number[]): (number | null)[] {
  const sum = lengths.reduce((before, length) => before + length, 0);
  return lengths.map((length) => cost === null ? null : sum === 0 ? cost / lengths.length : cost * (length / sum));
}

/**
 * Divides the usage of one call among its inputs in proportion to their lengths: integers by {@link shareOut}, so that
 * {@link addUsage} gives them back; what is no integer stays as it is.
 */
export function shareUsage(usage: JsonObject, lengths: readonly number[]): JsonObject[] {
  const shares = Object.entries(usage).map(([name, value]) => {
    if (Number.isSafeInteger(value) && (value as number) >= 0) {
      return { name, parts: shareOut(value as number, lengths) };
    }
    return { name, parts: isJsonObject(value) ? shareUsage(value, lengths) : lengths.map(() => value) };
  });
  return lengths.map((_, index) => Object.fromEntries(shares.map(({ name, parts }) => [name, parts[index]])));
}

/** The usage of one call for all these inputs. */
export function addUsage(usages: readonly JsonObject[]): JsonObject {
  return Object.fromEntries(
    Object.entries(usages[0]!).map(([name, first]) => {
      const values = usages.map((usage) => usage[name]);
      if (values.every(Number.isSafeInteger)) {
        return [
          name,
          (values as number[]).reduce((sum, value) => sum + value, 0),
        ];
      }
      return [name, values.every(isJsonObject) ? addUsage(values) : first];
    }),
  );
}
