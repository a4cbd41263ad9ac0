/**
 * The line to Redis: knows whether it is up, and fails at once while it is not, so that an outage makes misses and never
 * makes anybody wait. A connection that does not answer in time is thrown away, with all that is under way on it: whether
 * a server that has stopped answering is there again, only a new connection's handshake tells.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import { CacheError } from "../error.ts";
import type { Argument, Command, Driver, Reply } from "./driver.ts";
import { newDriver } from "./driver.ts";
import type { Keys } from "./keys.ts";
import type { Settings } from "./options.ts";
import { isAboutCredentials, Refusal } from "./refusal.ts";
import type { Script } from "./scripts.ts";
import { Silence, Watch } from "./watch.ts";

/** How long to wait before connecting anew: doubled each time, up to the second. */
const SHORTEST_WAIT: Milliseconds = 50;
const LONGEST_WAIT: Milliseconds = 2000;
/** What has held so long may break again without being waited for as long as the last time. */
const RECOVERED: Milliseconds = 10_000;
/** Connecting takes several exchanges, TLS even more. */
const CONNECTING = 3;
/** Bytes per millisecond that any line carries. */
const SLOWEST = 100;
/** Lanes of what is not about a key. */
const CONNECTION = "connection";
const EVERYWHERE = "everywhere";

/** A script to be run. */
export interface Run {
  readonly script: Script;
  readonly route: string;
  /** The first decides where it runs. */
  readonly keys: readonly string[];
  readonly args: readonly Argument[];
}

/** A connection to Redis that is made again whenever it breaks. */
export class Link {
  /** Hears that commands can be sent again. */
  onUp: () => void = () => {};
  readonly #settings: Settings;
  readonly #clock: Clock;
  readonly #keys: Keys;
  readonly #end = new AbortController();
  #driver: Driver | undefined;
  /** The next one, while it is not there yet. */
  #connecting: Driver | undefined;
  readonly #watch: Watch;
  /** Of a Cluster, models whose node does not answer. */
  readonly #broken = new Set<string>();
  /** Lanes that say nothing, while something long is still on its way there. */
  readonly #silent = new Set<string>();
  #renewing = false;
  #failures = 0;
  /** When it last did, on the monotonic clock. */
  #brokenAt = 0;
  #reason = "not connected yet";
  /** What to add to our clock for the server's. */
  #offset: Milliseconds = 0;

  constructor(settings: Settings, clock: Clock, keys: Keys) {
    this.#settings = settings;
    this.#clock = clock;
    this.#keys = keys;
    this.#watch = new Watch(clock, settings.commandTimeout);
  }

  /** Where it leads, for people. */
  get location(): string {
    return this.#settings.location;
  }

  /** The time by the server's clock, which all who use it share. */
  get now(): Milliseconds {
    return this.#clock.now() + this.#offset;
  }

  /** A moment of the server's clock by ours. */
  ours(time: Milliseconds): Milliseconds {
    return time - this.#offset;
  }

  /**
   * Connects for the first time. A server that is away is no error: it is tried again from then on.
   *
   * @throws CacheError `unavailable` when the server will not have us.
   */
  async open(): Promise<void> {
    try {
      this.#take(await this.#connect());
    } catch (error) {
      const refusal = asRefusal(error);
      if (refusal && isAboutCredentials(refusal)) {
        this.#end.abort();
        throw refusal.toError("open a store", this.location);
      }
      this.#renew(error);
    }
  }

  /** Whether commands of a model can be sent. */
  isUp(route: string): boolean {
    return this.#driver !== undefined && !this.#broken.has(route) && !this.#silent.has(this.#laneOf(route));
  }

  /**
   * Sends commands together, and waits for all replies.
   *
   * @throws CacheError `unavailable`, at once, while the server is away; `unavailable` when nobody knows what became of
   * them; `closed`.
   */
  async send(tried: string, commands: readonly Command[]): Promise<(Reply | Refusal)[]> {
    const driver = this.#up(tried, commands);
    const patience = this.#settings.commandTimeout + bytesOf(commands) / SLOWEST;
    try {
      const replies = await Promise.all(commands.map((command) => this.#one(driver, command, patience)));
      if (this.#failures > 0 && this.#clock.monotonic() - this.#brokenAt > RECOVERED) this.#failures = 0;
      return replies;
    } catch {
      throw this.#unavailable(tried);
    }
  }

  /**
   * Runs scripts together, as {@link send} does.
   *
   * @throws as {@link send} does.
   */
  async run(tried: string, runs: readonly Run[]): Promise<(Reply | Refusal)[]> {
    const replies = await this.send(tried, runs.map((run) => evaluate("EVALSHA", run, run.script.digest)));
    const unknown = runs.flatMap((_, index) => {
      const reply = replies[index]!;
      return reply instanceof Refusal && reply.code === "NOSCRIPT" ? [index] : [];
    });
    if (unknown.length === 0) return replies;
    const again = await this.send(
      tried,
      unknown.map((index) => {
        const run = runs[index]!;
        return evaluate("EVAL", run, run.script.source);
      }),
    );
    unknown.forEach((index, place) => replies[index] = again[place]!);
    return replies;
  }

  /**
   * {@link send}s one command.
   *
   * @throws as {@link send} does, and when Redis refuses.
   */
  async ask(tried: string, command: Command): Promise<Reply> {
    return this.granted(tried, (await this.send(tried, [command]))[0]!);
  }

  /**
   * A reply that is no refusal.
   *
   * @throws CacheError `unavailable`
   */
  granted(tried: string, reply: Reply | Refusal): Reply {
    if (reply instanceof Refusal) throw reply.toError(tried, this.location);
    return reply;
  }

  /**
   * A reply that is a list.
   *
   * @throws CacheError `unavailable` when it is a refusal, or anything else that makes no sense.
   */
  list(tried: string, reply: Reply | Refusal): readonly Reply[] {
    const granted = this.granted(tried, reply);
    return Array.isArray(granted) ? granted : this.granted(tried, NONSENSE) as never;
  }

  /**
   * All keys that match a pattern, a page at a time; some may come twice.
   *
   * @throws as {@link ask} does.
   */
  async *scan(tried: string, pattern: string): AsyncGenerator<string[]> {
    const driver = this.#up(tried, []);
    const { commandTimeout, isCluster } = this.#settings;
    let lane = EVERYWHERE;
    try {
      const nodes = await this.#watch.answer(lane, driver.everywhere(), CONNECTING * commandTimeout);
      for (const [index, send] of nodes.entries()) {
        if (!isCluster) lane = this.#laneOf("");
        else lane = `${EVERYWHERE} ${index}`;
        let cursor = "0";
        do {
          const asked = send(["SCAN", cursor, "MATCH", pattern, "COUNT", "1000"]);
          const reply = await this.#watch.answer(lane, asked, commandTimeout);
          this.#hear(driver, lane);
          const [next = null, found = []] = this.list(tried, reply);
          cursor = textOf(next);
          if (!/^\d+$/.test(cursor) || Array.isArray(next)) this.granted(tried, NONSENSE);
          const keys = this.list(tried, found);
          if (keys.length > 0) yield keys.map(textOf);
        } while (cursor !== "0");
      }
    } catch (error) {
      if (error instanceof CacheError) throw error;
      this.#miss(driver, lane, undefined, error);
      throw this.#unavailable(tried);
    }
  }

  /** Waits until the server is there, for so long at most. */
  async settle(patience: Milliseconds): Promise<void> {
    const until = this.#clock.monotonic() + patience;
    while (!this.#driver && !this.#end.signal.aborted && this.#clock.monotonic() < until) {
      await this.#clock.sleep(SHORTEST_WAIT);
    }
  }

  /** Lets go of the server. */
  close(): void {
    this.#end.abort();
    this.#connecting?.destroy();
    this.#driver?.destroy();
    this.#driver = undefined;
  }

  #up(tried: string, commands: readonly Command[]): Driver {
    if (this.#end.signal.aborted) throw new CacheError("closed", `Cannot ${tried} in Redis: the store was closed`);
    if (!this.#driver || commands.some(({ route }) => !this.isUp(route))) throw this.#unavailable(tried);
    return this.#driver;
  }

  async #one(driver: Driver, command: Command, patience: Milliseconds): Promise<Reply | Refusal> {
    const lane = this.#laneOf(command.route);
    try {
      const reply = await this.#watch.answer(lane, driver.send(command), patience);
      this.#hear(driver, lane);
      // It still answers what it can, while the server that took its place is looked for.
      if (reply instanceof Refusal && reply.isMisplaced) this.#renew(reply);
      return reply;
    } catch (error) {
      this.#miss(driver, lane, command.route, error);
      throw error;
    }
  }

  /** Where replies come one after another: whose silence says something about the others. */
  #laneOf(route: string): string {
    return this.#settings.isCluster ? route : "";
  }

  #hear(driver: Driver, lane: string): void {
    this.#watch.heard(lane);
    if (this.#silent.size > 0 && driver === this.#driver && this.#silent.delete(lane)) this.onUp();
  }

  /** Takes note of what did not come. */
  #miss(driver: Driver, lane: string, route: string | undefined, error: unknown): void {
    if (driver !== this.#driver) {
      // Of a Cluster, the same node may well be silent to the connection that came after, too.
      if (!this.#settings.isCluster || route === undefined || !this.#driver || this.#broken.has(route)) return;
      this.#broken.add(route);
      return void this.#probe(this.#driver, route);
    }
    if (!(error instanceof Silence) || error.isHopeless) return this.#breakDown(driver, route, error);
    // What is long takes its time, and must not have to begin again because somebody asked for something meanwhile.
    this.#reason = error.message;
    this.#silent.add(lane);
  }

  #unavailable(tried: string): CacheError {
    const advice = /certificate|issuer|altname|\btls\b|\bssl\b/i.test(this.#reason)
      ? "check that its certificate bears the host's name, and is signed by an authority that `tls.ca` names"
      : "check that it runs and can be reached";
    const message =
      `Cannot ${tried} in Redis at ${this.location}: ${this.#reason}; it is tried again until it answers: `;
    return new CacheError("unavailable", message + advice);
  }

  async #connect(): Promise<Driver> {
    const { isCluster, commandTimeout } = this.#settings;
    const driver = this.#connecting = newDriver(this.#settings);
    try {
      await this.#watch.answer(CONNECTION, driver.connect(), CONNECTING * commandTimeout);
      await this.#watch.answer(CONNECTION, this.#greet(driver), CONNECTING * commandTimeout).catch((error) => {
        // One node's silence is not the Cluster's.
        if (!isCluster || error instanceof Refusal) throw error;
      });
      return driver;
    } catch (error) {
      driver.destroy();
      throw error;
    } finally {
      this.#connecting = undefined;
    }
  }

  /** Sees that we may read, and what time it is there. */
  async #greet(driver: Driver): Promise<void> {
    const route = "0".repeat(16);
    const key = this.#keys.of(route, "e", "0".repeat(64));
    const reply = await driver.send({ route, key, args: ["LRANGE", key, "0", "0"] });
    if (reply instanceof Refusal && isAboutCredentials(reply)) throw reply;
    const sent = this.#clock.now();
    const time = await driver.send({ route, key, args: ["TIME"] });
    const halfway = (sent + this.#clock.now()) / 2;
    const [seconds = NaN, micros = NaN] = Array.isArray(time) ? time.map((part) => Number(textOf(part))) : [];
    const offset = Math.round(seconds * 1000 + micros / 1000 - halfway);
    // Who may not ask for the time relies on his own clock.
    if (Number.isFinite(offset)) this.#offset = offset;
  }

  #take(driver: Driver): void {
    const old = this.#driver;
    this.#driver = driver;
    this.#silent.clear();
    driver.onBroken = (error) => this.#breakDown(driver, undefined, error);
    for (const route of [...this.#broken]) void this.#probe(driver, route);
    // What is under way on the other nodes of a Cluster may still be answered.
    if (old) void this.#clock.sleep(this.#settings.commandTimeout, { background: true }).then(() => old.destroy());
    this.onUp();
  }

  /** Sees whether the node of a model answers again, so that nobody who asks for something has to find out. */
  async #probe(driver: Driver, route: string): Promise<void> {
    const key = this.#keys.of(route, "e", "0".repeat(64));
    try {
      await this.#one(driver, { route, key, args: ["LRANGE", key, "0", "0"] }, this.#settings.commandTimeout);
      if (driver === this.#driver && this.#broken.delete(route)) this.onUp();
    } catch {
      // It stays broken, and the next connection is asked.
    }
  }

  /** Stops using what did not answer. */
  #breakDown(driver: Driver, route: string | undefined, error: unknown): void {
    if (driver !== this.#driver) return;
    if (!this.#settings.isCluster) {
      this.#driver = undefined;
      this.#silent.clear();
      driver.destroy();
    } else if (route !== undefined) {
      this.#broken.add(route);
    }
    this.#renew(error);
  }

  #renew(error: unknown): void {
    this.#reason = error instanceof Refusal || error instanceof Error ? error.message : String(error);
    this.#brokenAt = this.#clock.monotonic();
    if (this.#renewing || this.#end.signal.aborted) return;
    this.#renewing = true;
    void this.#connectAgain();
  }

  async #connectAgain(): Promise<void> {
    const { signal } = this.#end;
    while (!signal.aborted) {
      const wait = Math.min(SHORTEST_WAIT * 2 ** this.#failures, LONGEST_WAIT);
      this.#failures++;
      try {
        await this.#clock.sleep(wait, { signal, background: true });
        const driver = await this.#connect();
        this.#renewing = false;
        if (signal.aborted) driver.destroy();
        else this.#take(driver);
        return;
      } catch (error) {
        this.#reason = error instanceof Refusal || error instanceof Error ? error.message : String(error);
      }
    }
  }
}

function bytesOf(commands: readonly Command[]): number {
  return commands.reduce((sum, { args }) => sum + args.reduce((bytes, { length }) => bytes + length, 0), 0);
}

/** What stands for a reply that is none to what was asked: there is no Redis behind it. */
export const NONSENSE: Refusal = new Refusal("ERR its reply makes no sense");

function evaluate(command: "EVAL" | "EVALSHA", { route, keys, args }: Run, body: string): Command {
  return { route, key: keys[0]!, args: [command, body, String(keys.length), ...keys, ...args] };
}

function asRefusal(error: unknown): Refusal | undefined {
  if (error instanceof Refusal) return error;
  return error instanceof Error ? new Refusal(error.message) : undefined;
}

const decoder = new TextDecoder();

/** A reply that is a string. */
export function textOf(reply: Reply): string {
  return reply instanceof Uint8Array ? decoder.decode(reply) : String(reply);
}
