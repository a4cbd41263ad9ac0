/** A Worker that opens caches as nobody should, and says what it was told; and a driver that is refused things. */

import { durableObjectDriver, type DurableObjectStorage, openCache, SqliteError } from "@warmcache/warmcache/edge";

interface Environment {
  readonly BENCH: { getByName(name: string): { fetch(request: Request): Promise<Response> } };
  readonly BARE: { getByName(name: string): { fetch(request: Request): Promise<Response> } };
}

const request = { model: "m", messages: [{ role: "user", content: "hello" }] };

/** A Durable Object with SQL. */
export class Bench {
  readonly #storage: DurableObjectStorage;

  constructor({ storage }: { readonly storage: DurableObjectStorage }) {
    this.#storage = storage;
  }

  async fetch(): Promise<Response> {
    const driver = durableObjectDriver(this.#storage);
    const codes: Record<string, unknown> = {};
    const attempt = (name: string, run: () => unknown): void => {
      try {
        codes[name] = run() ?? "done";
      } catch (error) {
        codes[name] = error instanceof SqliteError ? error.code : String(error);
      }
    };
    attempt("syntax", () => driver.exec("SELEC"));
    attempt("begin", () => driver.exec("BEGIN"));
    driver.exec("CREATE TABLE a (x PRIMARY KEY); INSERT INTO a VALUES (1)");
    attempt("constraint", () => driver.prepare("INSERT INTO a VALUES (?)").run(1));
    attempt("too big", () => driver.prepare("INSERT INTO a VALUES (?)").run(new Uint8Array(3 * 1024 * 1024)));
    attempt("changes", () => driver.prepare("UPDATE a SET x = 2").run());
    const { cache, kept } = await this.#cached();
    await cache.close();
    return Response.json({ codes, kept, size: driver.size!() > 0 });
  }

  /** A closed cache leaves the object's database as it is. */
  async #cached() {
    const buy = () => Promise.resolve({ choices: [{ message: { content: "a" }, finish_reason: "stop" }] });
    const first = await openCache({ storage: this.#storage });
    await first.wrap(request, buy);
    await first.close();
    const cache = await openCache({ tiers: ["memory", "sqlite"], storage: this.#storage });
    return { cache, kept: (await cache.get(request)) !== undefined };
  }
}

/** A Durable Object without SQL. */
export class Bare {
  readonly #storage: DurableObjectStorage;

  constructor({ storage }: { readonly storage: DurableObjectStorage }) {
    this.#storage = storage;
  }

  async fetch(): Promise<Response> {
    return Response.json(await refusalOf({ storage: this.#storage }));
  }
}

export default {
  async fetch(asked: Request, { BENCH, BARE }: Environment): Promise<Response> {
    if (new URL(asked.url).pathname === "/bench") return await BENCH.getByName("one").fetch(asked);
    if (new URL(asked.url).pathname === "/bare") return await BARE.getByName("one").fetch(asked);
    return Response.json({
      nothing: await refusalOf({}),
      file: await refusalOf({ backend: "file" }),
      directory: await refusalOf({ backend: "memory", directory: "x" }),
      locking: await refusalOf({ backend: "memory", locking: "shared" }),
      storage: await refusalOf({ storage: 7 }),
      misspelled: await refusalOf({ backnd: "memory" }),
      memory: await refusalOf({ backend: "memory" }),
    });
  },
};

async function refusalOf(options: object): Promise<string> {
  try {
    await (await openCache(options)).close();
    return "opened";
  } catch (error) {
    return String(error);
  }
}
