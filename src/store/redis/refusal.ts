/**
 * What Redis says instead of an answer, and what can be done about it: some refusals pass by themselves (a server that
 * is starting, a failover), others have to be dealt with by people, who are told how.
 *
 * @module
 */

import { CacheError } from "../error.ts";

/** An error that Redis replied with. */
export class Refusal {
  /** Its first word, such as `OOM`. */
  readonly code: string;
  /** All of it. */
  readonly message: string;

  constructor(message: string) {
    this.message = message;
    // Servers before Redis 7 put the code of what failed in a script behind a hyphen, in the middle of their message.
    const inside = /(?:^|\s-?)([A-Z]{3,}) /.exec(message.replace(/^ERR /, ""));
    this.code = inside?.[1] ?? "ERR";
  }

  /** Whether the same may well be granted a little later. */
  get passes(): boolean {
    return PASSING.has(this.code);
  }

  /** Whether another connection may lead to a server that grants it. */
  get isMisplaced(): boolean {
    return this.code === "READONLY" || this.code === "MASTERDOWN";
  }

  /** What became of it for the caller. */
  toError(tried: string, location: string): CacheError {
    const advice = this.message.includes("invalid bulk length")
      ? TOO_LONG
      : ADVICE[this.code] ?? "see the server's log";
    return new CacheError("unavailable", `Cannot ${tried} in Redis at ${location}: ${this.message}; ${advice}`);
  }
}

const PASSING: ReadonlySet<string> = new Set([
  "LOADING",
  "CLUSTERDOWN",
  "TRYAGAIN",
  "MASTERDOWN",
  "BUSY",
  "READONLY",
  "NOREPLICAS",
]);

/** What to do, by code; sources: https://redis.io/docs/latest/develop/reference/protocol-spec/ and the messages themselves. */
const ADVICE: Record<string, string> = {
  LOADING: "it is reading its data and will be there soon",
  CLUSTERDOWN: "some slots have no master: see `redis-cli --cluster check`",
  TRYAGAIN: "slots are being moved: it passes",
  MOVED: "it is a node of a Cluster: open the store with `cluster: true`",
  ASK: "it is a node of a Cluster: open the store with `cluster: true`",
  CROSSSLOT: "it is a node of a Cluster: open the store with `cluster: true`",
  MASTERDOWN: "it is a replica without a master: connect to the master",
  READONLY: "it is a replica: connect to the master",
  BUSY: "a script of somebody else is running: wait, or end it by SCRIPT KILL",
  OOM: "it is full: raise maxmemory, or let it evict (maxmemory-policy allkeys-lru), or remove answers",
  MISCONF: "it cannot write its snapshot to disk: free some space there, and see its log",
  NOREPLICAS: "it has fewer replicas than min-replicas-to-write asks for",
  NOAUTH: "it wants a password: set one (WARMCACHE_REDIS_PASSWORD)",
  WRONGPASS: "the user name or the password is wrong (WARMCACHE_REDIS_PASSWORD)",
  NOPERM: "the ACL user may not do that: docs/redis.md lists what has to be allowed",
  WRONGTYPE: "somebody else uses a key of this name: choose another keyPrefix",
};

const TOO_LONG = "it takes no value as long as this one: raise proto-max-bulk-len";

/** Whether an error is about who we are, which no waiting changes. */
export function isAboutCredentials({ code }: Refusal): boolean {
  return code === "NOAUTH" || code === "WRONGPASS" || code === "NOPERM";
}
