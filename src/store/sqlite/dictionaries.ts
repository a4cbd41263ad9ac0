/**
 * The dictionaries of a database: what its answers have in common, kept once. They never change; a row names the one it
 * was compressed with, and as long as a row does, it is kept.
 *
 * @module
 */

import { CodecError } from "../../codec/error.ts";
import { Dictionary } from "../../codec/dictionary.ts";
import type { Milliseconds } from "../../runtime/runtime.ts";
import type { Connection } from "./connection.ts";

/** Dictionaries, read when they are first needed. */
export class Dictionaries {
  readonly #connection: Connection;
  readonly #known = new Map<number, Dictionary>();

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /**
   * The dictionary that an id stands for; `undefined` when there is none, or its content is not what the id says.
   *
   * @throws SqliteError
   */
  find(id: number): Dictionary | undefined {
    const known = this.#known.get(id);
    if (known !== undefined) return known;
    const row = this.#connection.statement("SELECT content FROM dictionary WHERE id = ?").get(id);
    if (!(row?.[0] instanceof Uint8Array)) return undefined;
    try {
      const dictionary = new Dictionary(row[0], this.#connection.tools.sha256, id);
      this.#known.set(id, dictionary);
      return dictionary;
    } catch (error) {
      if (error instanceof CodecError) return undefined;
      throw error;
    }
  }

  /** Stores a dictionary; has to be called in a write transaction. */
  add({ id, content }: Dictionary, now: Milliseconds): void {
    const digest = this.#connection.tools.sha256(content);
    this.#connection.statement("INSERT OR REPLACE INTO dictionary (id, digest, content, created) VALUES (?, ?, ?, ?)")
      .run(id, digest, content, now);
  }

  /** Stores a dictionary unless it is there, as it has to be; has to be called in a write transaction. */
  keep(dictionary: Dictionary, now: Milliseconds): void {
    const { id, content } = dictionary;
    const stored = this.#connection.statement("SELECT content FROM dictionary WHERE id = ?").get(id)?.[0];
    const isThere = stored instanceof Uint8Array && stored.byteLength === content.byteLength &&
      content.every((byte, index) => byte === stored[index]);
    if (!isThere) this.add(dictionary, now);
  }

  /** Whether there are others than one, or any where that is `null`. */
  hasOthers(id: number | null): boolean {
    return this.#connection.statement("SELECT 1 FROM dictionary WHERE id IS NOT ? LIMIT 1").get(id) !== undefined;
  }

  /** Removes all others, which no row may need any more; has to be called in a write transaction. */
  removeOthers(id: number | null): void {
    this.#connection.statement("DELETE FROM dictionary WHERE id IS NOT ?").run(id);
  }
}
