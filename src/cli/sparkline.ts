/**
 * A row of bars, a sign each: how much there was on each of some days.
 *
 * @module
 */

const BARS = "▁▂▃▄▅▆▇█";

/** Bars as high as amounts are, the highest amount a whole one. What is little is told from nothing, which is a blank. */
export function sparkline(amounts: readonly number[]): string {
  const most = Math.max(...amounts);
  return amounts.map((amount) => amount <= 0 ? " " : BARS[Math.ceil(amount / most * BARS.length) - 1]).join("");
}
