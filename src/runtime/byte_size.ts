/**
 * Amounts of memory and of disk space as people write them. It stands here because every room may import this one.
 *
 * @module
 */

const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

/**
 * The number of bytes in a text such as `500000000`, `500MB`, `1.5 GiB`, `4gb`, rounded down; `undefined` when there is
 * none in it, or less than one.
 */
export function parseByteSize(text: string): number | undefined {
  const [, amount, unit = ""] = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/.exec(text.trim().toLowerCase()) ?? [];
  const bytes = Math.floor(Number(amount) * (Object.hasOwn(UNITS, unit) ? UNITS[unit]! : NaN));
  return Number.isSafeInteger(bytes) && bytes >= 1 ? bytes : undefined;
}
