/**
 * What was read may be kept only if nobody in this process wrote meanwhile: a copy made of it afterwards would bring back
 * what has been replaced or removed. So whoever reads in order to keep says so, and whoever writes voids it.
 *
 * @module
 */

/** One request being read. */
export class Reading {
  /** Somebody wrote to it since: what was read must not be kept. */
  isVoid = false;
}

/** All requests being read, by their places ({@link ../place.ts}). */
export class Readings {
  readonly #open = new Map<string, Set<Reading>>();

  /** Begins before the first byte is read. {@link Readings.end} has to follow. */
  begin(place: string): Reading {
    const reading = new Reading();
    const there = this.#open.get(place);
    if (there === undefined) this.#open.set(place, new Set([reading]));
    else there.add(reading);
    return reading;
  }

  /** Ends a reading: what was read has been kept, or never will be. */
  end(place: string, reading: Reading): void {
    const there = this.#open.get(place);
    there?.delete(reading);
    if (there?.size === 0) this.#open.delete(place);
  }

  /** One request was, or is being, written to. */
  void(place: string): void {
    for (const reading of this.#open.get(place) ?? []) reading.isVoid = true;
  }

  /** Any request may have been written to. */
  voidAll(): void {
    for (const there of this.#open.values()) {
      for (const reading of there) reading.isVoid = true;
    }
  }
}
