/**
 * Which optional parts a suite was told of: a misspelled one would be a part that nobody looks at.
 *
 * @module
 */

/**
 * Refuses parts that a suite does not know.
 *
 * @throws TypeError
 */
export function refuseUnknownFacets(tried: string, facets: readonly string[], known: readonly string[]): void {
  const odd = facets.find((facet) => !known.includes(facet));
  if (odd === undefined) return;
  throw new TypeError(`Cannot ${tried}: unknown facet: ${odd} (known: ${known.join(", ")})`);
}
