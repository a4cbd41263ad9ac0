/**
 * What the tabs of a site call what they share: a lock, whose holder keeps the directory, and the channels to him.
 *
 * @module
 */

import { hexOf } from "../../runtime/hex.ts";

/** Who holds it is the only one to open the directory's files. */
export function lockName(directory: string): string {
  return `warmcache:${directory}`;
}

/** Where questions to the leader are sent: only he listens. */
export function questionsChannel(directory: string): string {
  return `warmcache:${directory}:questions`;
}

/** Where it is said, and asked, who the leader is: everybody listens. */
export function newsChannel(directory: string): string {
  return `warmcache:${directory}:news`;
}

/** Where the leader answers a client: only that client listens. */
export function answersChannel(directory: string, client: string): string {
  return `warmcache:${directory}:answers:${client}`;
}

/** Where a store is, for people. */
export function locationOf(directory: string): string {
  return `opfs:${directory}`;
}

/** A name that nobody else has. */
export function newName(): string {
  return hexOf(crypto.getRandomValues(new Uint8Array(16)));
}
