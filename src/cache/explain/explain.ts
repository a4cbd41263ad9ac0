/**
 * Why a request was no hit: the stored requests that resemble it most, and what differs. A program that changed one
 * timestamp in its prompt pays for every answer anew and sees nothing of it; here it is seen.
 *
 * @module
 */

import { hexOf } from "../../runtime/hex.ts";
import type { RequestRecord } from "../../store/store.ts";
import { compareBodies, type Comparison, type Difference } from "./differences.ts";
import { excerptOf, wholeCharacter } from "./excerpt.ts";
import { decodeText } from "../json.ts";

/** The request to explain. */
export interface AskedRequest extends Omit<RequestRecord, "body" | "sketch"> {
  /** The body less what the key ignores, as `JSON.parse` gives it. */
  readonly body: unknown;
}

/** A stored request that resembles the one asked. */
export interface NearRequest {
  /** The stored request's key, in hexadecimal. */
  readonly key: string;
  /** The namespace it was stored in. */
  readonly namespace: string;
  /** Who was asked. */
  readonly provider: string;
  /** The path at the provider, without query. */
  readonly endpoint: string;
  /** Content identity of a local model, else `null`. */
  readonly identity: string | null;
  /**
   * What differs: members of the scope first (`endpoint`, without `$`), then the body, in the order of sorted names; 20
   * at most.
   */
  readonly differences: readonly Difference[];
  /** How many differences there are in all. */
  readonly differenceCount: number;
  /** The share of both requests, by characters, that is the same; 0 to 1. */
  readonly similarity: number;
}

/** What a store knows about a request. */
export interface Explanation {
  /** Whether the very request is stored. Its answers may have expired, or be fewer than were asked for. */
  readonly stored: boolean;
  /** Other stored requests, the one that differs least first. */
  readonly nearest: readonly NearRequest[];
}

/** Bytes of bodies that are compared at most, beyond the first: some 20 ms of work. */
const MAX_COMPARED = 1 << 20;

/** What {@link explainText} shows at most: of all, of a path and of a key in UTF-16 code units, and differences. */
const [MAX_TEXT, MAX_PATH, SHOWN_KEY, MAX_NAMED] = [600, 100, 12, 3];

const SCOPE = ["namespace", "provider", "endpoint", "identity"] as const;

/**
 * Orders stored requests by how little they differ from one. Those with a body that cannot be read are left out, and so
 * are the later ones of `candidates` when the bodies are very large: the nearest by sketch come first.
 */
export function rank(asked: AskedRequest, candidates: readonly RequestRecord[]): Explanation {
  const key = hexOf(asked.key);
  const nearest: NearRequest[] = [];
  let stored = false;
  let compared = 0;
  for (const candidate of candidates) {
    if (hexOf(candidate.key) === key) {
      stored = true;
      continue;
    }
    if (compared > 0 && compared + candidate.body.byteLength > MAX_COMPARED) break;
    compared += candidate.body.byteLength;
    const near = nearRequest(asked, candidate);
    if (near !== undefined) nearest.push(near);
  }
  nearest.sort((a, b) => b.similarity - a.similarity || a.differenceCount - b.differenceCount);
  return { stored, nearest };
}

/**
 * An explanation for people, 600 UTF-16 code units at most: a line for each near request as far as there is room, the
 * nearest first, with up to three of its differences. `standing` is what there is to say of the request itself.
 */
export function explainText(
  { stored, nearest }: Explanation,
  standing: string = stored ? "The request itself is stored." : "",
): string {
  const lines = standing === "" ? [] : [standing];
  if (nearest.length === 0 && !stored) lines.push("No stored request resembles it.");
  let room = MAX_TEXT - lines.join("").length;
  for (const near of nearest) {
    const line = lineOf(near, room);
    if (line === undefined) break;
    lines.push(line);
    room -= line.length + 1;
  }
  return lines.join("\n");
}

function nearRequest(asked: AskedRequest, candidate: RequestRecord): NearRequest | undefined {
  const { key, namespace, provider, endpoint, identity } = candidate;
  const bodies = comparison(candidate.body, asked.body);
  if (bodies === undefined) return undefined;
  const differences = SCOPE.flatMap((name) => scopeDifference(name, candidate[name], asked[name]));
  let { count, differing, size } = bodies;
  for (const name of SCOPE) {
    const length = (candidate[name]?.length ?? 0) + (asked[name]?.length ?? 0);
    size += length;
    if (candidate[name] === asked[name]) continue;
    count++;
    differing += length;
  }
  return {
    key: hexOf(key),
    namespace,
    provider,
    endpoint,
    identity,
    differences: [...differences, ...bodies.differences],
    differenceCount: count,
    similarity: 1 - differing / size,
  };
}

/** `undefined` for a stored body that is no request of ours: it cannot be compared, and somebody else may be to blame. */
function comparison(body: Uint8Array, asked: unknown): Comparison | undefined {
  try {
    return compareBodies(JSON.parse(decodeText(body)), asked);
  } catch {
    return undefined;
  }
}

function scopeDifference(path: string, stored: string | null, asked: string | null): Difference[] {
  if (stored === asked) return [];
  if (stored === null) return [{ path, kind: "added", asked: excerptOf(asked) }];
  if (asked === null) return [{ path, kind: "missing", stored: excerptOf(stored) }];
  return [{ path, kind: "changed", stored: excerptOf(stored), asked: excerptOf(asked) }];
}

/** A near request in `room` code units, with as many of its differences as fit; `undefined` when not even one does. */
function lineOf({ key, similarity, differences, differenceCount }: NearRequest, room: number): string | undefined {
  // Rounded down: what is not the same must not read 100 %.
  const percent = (Math.floor(similarity * 1000) / 10).toFixed(1);
  const opening = `Stored request ${key.slice(0, SHOWN_KEY)} is ${percent} % the same`;
  for (let named = Math.min(differences.length, MAX_NAMED); named > 0; named--) {
    const more = differenceCount > named ? `; and ${differenceCount - named} more` : "";
    const line = `${opening}: ${differences.slice(0, named).map(inWords).join("; ")}${more}.`;
    if (line.length <= room) return line;
  }
  return differenceCount === 0 && opening.length < room ? `${opening}.` : undefined;
}

function inWords({ path, stored = "absent", asked = "absent", offset }: Difference): string {
  const place = path.length > MAX_PATH ? `…${path.slice(wholeCharacter(path, path.length - MAX_PATH))}` : path;
  return `${place}${offset === undefined ? "" : ` from ${offset} on`} was ${stored}, now ${asked}`;
}
