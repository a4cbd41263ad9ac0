/**
 * The first few of many, without sorting all of them: a vocabulary has 150,000 tokens and a list shows twenty.
 *
 * @module
 */

/**
 * The ids of the `count` highest logits (all, if there are fewer), highest first; the lower id first where they are
 * equal. Tokens that cannot come, at minus infinity, are not listed.
 */
export function likeliest(logits: ArrayLike<number>, count: number): number[] {
  const byLikelihood = (one: number, other: number): number => logits[other]! - logits[one]! || one - other;
  let kept: number[] = [];
  let atLeast = -Infinity;
  for (let id = 0; id < logits.length && count > 0; id++) {
    if (logits[id]! <= atLeast) continue;
    kept.push(id);
    if (kept.length < 2 * count + CUT_SLACK) continue;
    kept = kept.sort(byLikelihood).slice(0, count);
    atLeast = logits[kept.at(-1)!]!;
  }
  return kept.sort(byLikelihood).slice(0, count);
}

/** Candidates gathered beyond twice the count before they are sorted and cut. */
const CUT_SLACK = 64;
