/**
 * The names that a server answers to. A page of `evil.example` whose name has been made to mean this machine is, to its
 * browser, a page of ours (DNS rebinding); the `Host` of its requests still says `evil.example`.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-7.2
 * @module
 */

/** Names of any length are refused sooner or later; what is remembered of them is bounded. */
const MOST_REMEMBERED = 64;

/** A name or an address, and a port, in the characters of which they are made: what else is in it may mean something. */
const HOST = /^(\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253})(?::\d{1,5})?$/i;

const LOOPBACK_ADDRESS = /^127(?:\.\d{1,3}){3}$/;
const ADDRESS = /^(?:\[.+\]|\d{1,3}(?:\.\d{1,3}){3})$/;

/** Which names are a server's own. */
export interface HostRules {
  /** What it listens on. */
  readonly host: string;
  /** Other names that it is reached by, without port. */
  readonly allowedHosts: readonly string[];
  /** Whether requests need a key, which a page that has made its name mean this machine has not. */
  readonly hasKeys: boolean;
}

/** The names of one server. */
export class OwnHosts {
  readonly #own: ReadonlySet<string>;
  readonly #takesAny: boolean;
  readonly #takesAddresses: boolean;
  /** As they stand in requests. */
  readonly #remembered = new Set<string>();

  /** @throws TypeError for what is no name and no address, one with a port or a scheme among them. */
  constructor({ host, allowedHosts, hasKeys }: HostRules) {
    for (const each of allowedHosts) {
      if (typeof each === "string" && hostnameOf(bracketed(each)) === bracketed(each).toLowerCase()) continue;
      const what = "a name or an address is needed, without scheme and port";
      throw new TypeError(`Cannot allow a host (${what}): ${JSON.stringify(each)}`);
    }
    this.#own = new Set([host, ...allowedHosts].map((each) => bracketed(each).toLowerCase()));
    this.#takesAny = hasKeys && allowedHosts.length === 0;
    this.#takesAddresses = hasKeys;
  }

  /** Whether a `Host` is the server's. */
  has(host: string): boolean {
    if (this.#remembered.has(host)) return true;
    const name = hostnameOf(host);
    if (name === undefined || !this.#isOwn(name)) return false;
    if (this.#remembered.size < MOST_REMEMBERED) this.#remembered.add(host);
    return true;
  }

  #isOwn(name: string): boolean {
    // No name was looked up for an address, so none was made to mean another.
    return this.#takesAny || isLoopback(name) || this.#own.has(name) || this.#takesAddresses && ADDRESS.test(name);
  }
}

/** The name in a `Host`, in lower case, or the address, with its brackets; `undefined` when there is none in it. */
function hostnameOf(host: string): string | undefined {
  return HOST.exec(host)?.[1]?.toLowerCase().replace(/\.$/, "");
}

/** Whether a name means this machine wherever it is looked up (RFC 6761 section 6.3). */
function isLoopback(name: string): boolean {
  return name === "localhost" || name.endsWith(".localhost") || name === "[::1]" || LOOPBACK_ADDRESS.test(name);
}

/** An address of IPv6 as it stands in a `Host`. */
function bracketed(name: string): string {
  return name.includes(":") && !name.startsWith("[") ? `[${name}]` : name;
}
