/**
 * Amounts of memory and disk space, for people.
 *
 * @module
 */

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** Bytes in the largest unit of which there is one, such as `350 MiB` or `1.5 GiB`. */
export function size(bytes: number): string {
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log2(Math.max(bytes, 1)) / 10));
  return `${(bytes / 2 ** (10 * power)).toFixed(power < 3 ? 0 : 1)} ${UNITS[power]}`;
}
