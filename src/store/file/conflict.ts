/**
 * What `git` leaves of a file that two branches have changed, each in its own way: both ways, line by line, between
 * marks. Who takes each time the same side has that branch's file.
 *
 * Marks: https://git-scm.com/docs/git-merge#_how_conflicts_are_presented
 *
 * @module
 */

/** In whose lines one is; `base` is what both sides had before, which `git` shows if asked to. */
type Place = "both" | "ours" | "base" | "theirs";

/** Which place each mark ends, and which it begins. JSON has no line that begins so. */
const MARKS: readonly (readonly [mark: RegExp, from: readonly Place[], to: Place])[] = [
  [/^<{7}(?: |$)/, ["both"], "ours"],
  [/^\|{7}(?: |$)/, ["ours"], "base"],
  [/^={7}$/, ["ours", "base"], "theirs"],
  [/^>{7}(?: |$)/, ["theirs"], "both"],
];

/** The two files of which a text is the conflict; `undefined` where there is none, or it is not whole. */
export function sidesOf(text: string): readonly [ours: string, theirs: string] | undefined {
  const [ours, theirs]: [string[], string[]] = [[], []];
  let [place, isConflict]: [Place, boolean] = ["both", false];
  for (const line of text.split(/\r?\n/)) {
    const mark = MARKS.find(([mark]) => mark.test(line));
    if (mark) {
      const [, from, to] = mark;
      if (!from.includes(place)) return undefined;
      [place, isConflict] = [to, true];
      continue;
    }
    if (place === "both" || place === "ours") ours.push(line);
    if (place === "both" || place === "theirs") theirs.push(line);
  }
  return isConflict && place === "both" ? [ours.join("\n"), theirs.join("\n")] : undefined;
}
