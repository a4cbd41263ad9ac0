/** In what two answers differ: where they part, and what of the rest they have in common. */

/** Two answers, compared piece by piece. */
export interface Difference {
  /** The first piece in which they differ; `undefined` where one is the beginning of the other, or both are the same. */
  readonly parting: number | undefined;
  /** Of each piece, whether the other answer has it too, in the same order. */
  readonly base: readonly boolean[];
  readonly adapter: readonly boolean[];
}

/** Fewer pieces than these in a row are alike by chance: every text has its commas. */
const LEAST_RUN = 2;

/**
 * Compares by a longest common subsequence. What is common after the texts have parted is marked so only where several
 * pieces in a row are.
 */
export function difference(base: readonly string[], adapter: readonly string[]): Difference {
  let same = 0;
  while (same < base.length && same < adapter.length && base[same] === adapter[same]) same++;
  const common = {
    base: base.map((_, index) => index < same),
    adapter: adapter.map((_, index) => index < same),
  };
  for (const { at, to, length } of commonRuns(base.slice(same), adapter.slice(same))) {
    if (length < LEAST_RUN) continue;
    common.base.fill(true, same + at, same + at + length);
    common.adapter.fill(true, same + to, same + to + length);
  }
  return { parting: same < base.length && same < adapter.length ? same : undefined, ...common };
}

/** Pieces in a row that both have: from `at` on in one, from `to` on in the other. */
interface Run {
  readonly at: number;
  readonly to: number;
  length: number;
}

function commonRuns(one: readonly string[], other: readonly string[]): Run[] {
  const width = other.length + 1;
  // Of the rest from each place on, how many pieces are common.
  const common = new Uint16Array((one.length + 1) * width);
  for (let at = one.length - 1; at >= 0; at--) {
    for (let to = other.length - 1; to >= 0; to--) {
      common[at * width + to] = one[at] === other[to]
        ? common[(at + 1) * width + to + 1]! + 1
        : Math.max(common[(at + 1) * width + to]!, common[at * width + to + 1]!);
    }
  }
  const runs: Run[] = [];
  for (let at = 0, to = 0; at < one.length && to < other.length;) {
    if (one[at] === other[to]) {
      const last = runs.at(-1);
      if (last !== undefined && last.at + last.length === at && last.to + last.length === to) last.length++;
      else runs.push({ at, to, length: 1 });
      at++;
      to++;
    } else if (common[(at + 1) * width + to]! >= common[at * width + to + 1]!) at++;
    else to++;
  }
  return runs;
}
