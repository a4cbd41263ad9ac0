/**
 * Everything a Redis store holds, looked at as a whole: to list it, to measure it, to find requests that resemble one, to
 * remove some. There is no index of it that could go out of step with what Redis evicts and expires: the keys are
 * scanned, about a hundred thousand a second, whosever they are.
 *
 * @module
 */

import { hexOf } from "../../runtime/hex.ts";
import type { RowTools } from "../sqlite/entry_row.ts";
import { NearestSketches } from "../nearest.ts";
import type { ListedRequest, Removed, RequestRecord, Selection, StoreSize } from "../store.ts";
import type { Findings, VerifyOptions } from "../verify.ts";
import type { Reply } from "./driver.ts";
import type { KeyParts, Keys, Kind } from "./keys.ts";
import type { Link } from "./link.ts";
import { Refusal } from "./refusal.ts";
import type { Script } from "./scripts.ts";
import type { Label } from "./values.ts";
import { outcomeNumber, readLabel, readRequestElement } from "./values.ts";
import { verifyList } from "./verify.ts";

/** A key that was found. */
interface Place extends KeyParts {
  readonly key: string;
}

/** Requests are read a few at a time: each may be long. */
const REQUESTS_TOGETHER = 64;

/** The contents of a store. */
export class Contents {
  readonly #link: Link;
  readonly #keys: Keys;
  readonly #tools: RowTools;
  readonly #removal: Script;

  constructor(link: Link, keys: Keys, tools: RowTools, removal: Script) {
    this.#link = link;
    this.#keys = keys;
    this.#tools = tools;
    this.#removal = removal;
  }

  /** See `Store.list`. */
  async *list({ model, namespace }: Pick<Selection, "model" | "namespace">): AsyncGenerator<ListedRequest> {
    const seen = new Set<string>();
    for await (const page of this.#places("list requests", "e", model)) {
      const fresh = page.filter(({ key }) => !seen.has(key));
      for (const { key } of fresh) seen.add(key);
      for (let first = 0; first < fresh.length; first += REQUESTS_TOGETHER) {
        for (const found of await this.#read("list requests", fresh.slice(first, first + REQUESTS_TOGETHER))) {
          const { label, request } = found;
          if (model !== undefined && label.model !== model) continue;
          if (namespace !== undefined && request.namespace !== namespace) continue;
          yield { model: label.model, request, tags: label.tags };
        }
      }
    }
  }

  /** See `Store.nearest`. */
  async nearest(sketch: Uint8Array, limit: number, model?: string): Promise<RequestRecord[]> {
    const near = new NearestSketches(sketch, limit);
    const tried = "look for requests";
    const seen = new Set<string>();
    const places: Place[] = [];
    for await (const { place, label } of this.#labels(tried, model)) {
      if (seen.has(place.key)) continue;
      seen.add(place.key);
      near.offer(places.push(place) - 1, label.sketch);
    }
    const best = near.best().map(({ id }) => places[id]!);
    return (await this.#read(tried, best)).map(({ request }) => request);
  }

  /** See `Store.remove`. */
  async remove(selection: Selection): Promise<Removed> {
    const { model, keys } = selection;
    let [entries, storedBytes] = [0, 0];
    const wanted = keys && new Set(keys.map(hexOf));
    const pages = model !== undefined && wanted
      ? [[...wanted].map((hex) => this.#placeOf(this.#keys.route(model), hex))]
      : this.#places("remove answers", "e", model);
    for await (const page of pages) {
      const places = wanted ? page.filter(({ hex }) => wanted.has(hex)) : page;
      for (const removed of await this.#removeAll(places, selection)) {
        entries += removed.entries;
        storedBytes += removed.storedBytes;
      }
    }
    await this.#forgetFailures(selection, wanted);
    return { entries, storedBytes };
  }

  /** See `Store.size`. */
  async size(): Promise<StoreSize> {
    let [entries, bodyBytes, storedBytes, totalBytes] = [0, 0, 0, 0];
    const seen = new Set<string>();
    for await (const { place, label } of this.#labels("measure the store", undefined)) {
      if (seen.has(place.key)) continue;
      seen.add(place.key);
      entries += label.entries;
      bodyBytes += label.bodyBytes;
      storedBytes += label.storedBytes;
    }
    for (const kind of ["e", "f"] as const) totalBytes += await this.#memory(kind);
    return { entries, bodyBytes, storedBytes, totalBytes };
  }

  /** See `Store.verify`: every list, whole, one at a time, since each may be long. */
  async verify(options: VerifyOptions, findings: Findings): Promise<void> {
    const { model, onProgress, signal } = options;
    const tried = "verify the store";
    const seen = new Set<string>();
    for await (const page of this.#places(tried, "e", model)) {
      for (const { route, key, hex } of page) {
        signal?.throwIfAborted();
        if (seen.has(key)) continue;
        seen.add(key);
        const [reply] = await this.#link.send(tried, [{ route, key, args: ["LRANGE", key, "0", "-1"] }]);
        const elements = this.#soundReply(tried, reply!);
        const bytes = Array.isArray(elements) ? elements.filter((element) => element instanceof Uint8Array) : undefined;
        if (bytes?.length !== 0) verifyList({ key, hex, elements: bytes }, options, this.#tools, findings);
        onProgress?.({ done: seen.size, unit: "requests" });
      }
    }
  }

  /** What the keys of a kind take, by Redis's own account. */
  async #memory(kind: Kind): Promise<number> {
    const tried = "measure the store";
    const taken = new Map<string, number>();
    for await (const page of this.#places(tried, kind)) {
      const replies = await this.#link.send(
        tried,
        page.map(({ route, key }) => ({ route, key, args: ["MEMORY", "USAGE", key] })),
      );
      page.forEach(({ key }, index) => taken.set(key, Number(this.#link.granted(tried, replies[index]!) ?? 0)));
    }
    return [...taken.values()].reduce((sum, bytes) => sum + bytes, 0);
  }

  async #removeAll(places: readonly Place[], selection: Selection): Promise<Removed[]> {
    const { model, namespace, tag, outcome, createdBefore } = selection;
    const number = outcome === undefined ? undefined : outcomeNumber(outcome);
    const args = [model, namespace, tag, number, createdBefore].map((said) => said === undefined ? "" : `=${said}`);
    const runs = places.map(({ route, key, hex }) => {
      return { script: this.#removal, route, keys: [key, this.#keys.of(route, "f", hex)], args };
    });
    if (runs.length === 0) return [];
    const replies = await this.#link.run("remove answers", runs);
    return replies.map((reply) => {
      const [entries, storedBytes] = this.#link.list("remove answers", reply).map(Number);
      return { entries: entries ?? 0, storedBytes: storedBytes ?? 0 };
    });
  }

  /** Of requests that never had an answer, nothing is known but their key and model. */
  async #forgetFailures(selection: Selection, wanted: ReadonlySet<string> | undefined): Promise<void> {
    const { model, namespace, tag, outcome, createdBefore } = selection;
    if ([namespace, tag, outcome, createdBefore].some((value) => value !== undefined)) return;
    const tried = "forget failures";
    for await (const page of this.#places(tried, "f", model)) {
      const places = wanted ? page.filter(({ hex }) => wanted.has(hex)) : page;
      const commands = places.map(({ route, key }) => ({ route, key, args: ["DEL", key] }));
      if (commands.length === 0) continue;
      for (const reply of await this.#link.send(tried, commands)) this.#link.granted(tried, reply);
    }
  }

  /** All labels that can be read. */
  async *#labels(tried: string, model: string | undefined): AsyncGenerator<{ place: Place; label: Label }> {
    for await (const page of this.#places(tried, "e", model)) {
      const replies = await this.#link.send(
        tried,
        page.map(({ route, key }) => ({ route, key, args: ["LINDEX", key, "0"] })),
      );
      for (const [index, place] of page.entries()) {
        const label = labelIn(this.#soundReply(tried, replies[index]!));
        if (label && (model === undefined || label.model === model)) yield { place, label };
      }
    }
  }

  /** The requests at some places, without those that are broken or gone. */
  async #read(tried: string, places: readonly Place[]): Promise<{ label: Label; request: RequestRecord }[]> {
    if (places.length === 0) return [];
    const replies = await this.#link.send(
      tried,
      places.map(({ route, key }) => ({ route, key, args: ["LRANGE", key, "0", "1"] })),
    );
    return places.flatMap(({ hex }, index) => {
      const elements = this.#soundReply(tried, replies[index]!);
      if (!Array.isArray(elements)) return [];
      const label = labelIn(elements[0]);
      if (!label || !(elements[1] instanceof Uint8Array)) return [];
      const request = readRequestElement(new Uint8Array(elements[1]), label.sketch, this.#tools);
      return request && hexOf(request.key) === hex ? [{ label, request }] : [];
    });
  }

  /** A reply; `null` where a key of ours holds something else. */
  #soundReply(tried: string, reply: Reply | Refusal): Reply {
    return reply instanceof Refusal && reply.code === "WRONGTYPE" ? null : this.#link.granted(tried, reply);
  }

  async *#places(tried: string, kind: Kind, model?: string): AsyncGenerator<Place[]> {
    const route = model === undefined ? undefined : this.#keys.route(model);
    for await (const page of this.#link.scan(tried, this.#keys.pattern(kind, route))) {
      const places = page.flatMap((key) => {
        const parts = this.#keys.parse(key, kind);
        return parts ? [{ key, ...parts }] : [];
      });
      if (places.length > 0) yield places;
    }
  }

  #placeOf(route: string, hex: string): Place {
    return { route, hex, key: this.#keys.of(route, "e", hex) };
  }
}

function labelIn(reply: Reply | undefined): Label | undefined {
  return reply instanceof Uint8Array ? readLabel(reply) : undefined;
}
