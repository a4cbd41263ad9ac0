/**
 * `list`: every stored request, once.
 *
 * @module
 */

import type { ListedRequest, Selection } from "../../store/store.ts";
import { present, rejects, same, truth } from "../assertions.ts";
import type { Shelf, StoreSuite } from "./suite.ts";
import { isClosed, keyOf, MODEL } from "./values.ts";

/** Registers the tests. */
export function testList({ describe, check }: StoreSuite): void {
  describe("list", () => {
    check("of an empty store is empty", async (shelf) => {
      same(await listed(shelf), []);
    });

    check("gives each request once, whole, however many answers it has", async (shelf) => {
      await shelf.put(keyOf(1), [shelf.entry("a"), shelf.entry("b")]);
      await shelf.put(keyOf(1), [shelf.entry("c")], "append");
      await shelf.put(keyOf(2), [shelf.entry("x")], "append", "another", { namespace: "ns", identity: "sha256:1" });
      const all = await everything(shelf);
      same(all.map(({ model }) => model).toSorted(), ["another", MODEL].toSorted());
      same(plain(all.find(({ model }) => model === MODEL)), { model: MODEL, request: shelf.request(keyOf(1)) });
      const request = { ...shelf.request(keyOf(2)), namespace: "ns", identity: "sha256:1" };
      same(plain(all.find(({ model }) => model === "another")), { model: "another", request });
    });

    check("tells models apart under the same key", async (shelf) => {
      for (const model of ["m", "M", "m/2"]) await shelf.put(keyOf(1), [shelf.entry("x")], "append", model);
      same(await listed(shelf), ["M 1", "m 1", "m/2 1"]);
    });

    check("says which tags a request was given, each once, where it can tell", async (shelf) => {
      await shelf.put(keyOf(1), [shelf.entry("a")], "append", MODEL, {}, { tags: ["run", "é"] });
      await shelf.put(keyOf(1), [shelf.entry("b")], "append", MODEL, {}, { tags: ["later", "run"] });
      await shelf.put(keyOf(2), [shelf.entry("x")]);
      const tags = (await everything(shelf)).map(({ tags }) => tags);
      if (tags.every((said) => said === undefined)) return;
      same(tags.map((said) => present(said, "the tags of every request").length).toSorted(), [0, 3]);
      same(tags.flatMap((said) => [...said!]).toSorted(), ["later", "run", "é"].toSorted());
    });

    check("gives those of one model", async (shelf) => {
      for (const model of ["m", "M", "m2"]) await shelf.put(keyOf(1), [shelf.entry("x")], "append", model);
      same(await listed(shelf, { model: "m" }), ["m 1"]);
      same(await listed(shelf, { model: "nobody's" }), []);
    });

    check("gives those of one namespace, and of no other that begins or looks like it", async (shelf) => {
      const namespaces = ["a", "ab", "A", "", "a ", "a%"];
      for (const [number, namespace] of namespaces.entries()) {
        await shelf.put(keyOf(number), [shelf.entry("x")], "append", MODEL, { namespace });
      }
      for (const [number, namespace] of namespaces.entries()) {
        same(await listed(shelf, { namespace }), [`${MODEL} ${number}`], JSON.stringify(namespace));
      }
    });

    check("gives those of one model in one namespace", async (shelf) => {
      for (const [number, model] of ["m", "n"].entries()) {
        for (const [other, namespace] of ["a", "b"].entries()) {
          await shelf.put(keyOf(2 * number + other), [shelf.entry("x")], "append", model, { namespace });
        }
      }
      same(await listed(shelf, { model: "n", namespace: "a" }), ["n 2"]);
    });

    check("gives none that was removed", async (shelf) => {
      for (const number of [1, 2, 3]) await shelf.put(keyOf(number), [shelf.entry("x")]);
      await shelf.store.remove({ keys: [keyOf(2)] });
      same(await listed(shelf), [`${MODEL} 1`, `${MODEL} 3`]);
    });

    check("gives hundreds", async (shelf) => {
      const numbers = Array.from({ length: 600 }, (_, number) => number);
      await Promise.all(
        numbers.map((number) => shelf.put(keyOf(number), [shelf.entry("x")], "append", `m${number % 3}`)),
      );
      same((await listed(shelf)).length, 600);
      same((await listed(shelf, { model: "m1" })).length, 200);
    });

    check("gives all that was there before, each once, while others are put and removed", async (shelf) => {
      const there = Array.from({ length: 300 }, (_, number) => number);
      await Promise.all(there.map((number) => shelf.put(keyOf(number), [shelf.entry("x")])));
      const seen: number[] = [];
      for await (const { request } of shelf.store.list()) {
        seen.push(numberOf(request.key));
        if (seen.length % 50 !== 1) continue;
        await shelf.put(keyOf(1000 + seen.length), [shelf.entry("new")]);
        await shelf.put(keyOf(1), [shelf.entry("more")], "append");
        await shelf.store.remove({ keys: [keyOf(1000 + seen.length)] });
      }
      same(seen.filter((number) => number < 1000).toSorted((a, b) => a - b), there);
    });

    check("can be broken off", async (shelf) => {
      for (const number of [1, 2, 3]) await shelf.put(keyOf(number), [shelf.entry("x")]);
      for await (const { model } of shelf.store.list()) {
        same(model, MODEL);
        break;
      }
      await shelf.put(keyOf(4), [shelf.entry("x")]);
      same((await listed(shelf)).length, 4);
    });

    check("gives records that are the caller's to change", async (shelf) => {
      await shelf.put(keyOf(1), [shelf.entry("x")]);
      const [{ request }] = await everything(shelf) as [ListedRequest];
      for (const bytes of [request.key, request.body, request.sketch]) bytes.fill(0);
      same(plain((await everything(shelf))[0]), { model: MODEL, request: shelf.request(keyOf(1)) });
      truth((await shelf.look(keyOf(1))).bodies.length === 1, "its answer is still found");
    });

    check("of a closed store fails with `closed`", async (shelf) => {
      await shelf.put(keyOf(1), [shelf.entry("x")]);
      await shelf.store.close();
      await rejects(() => everything(shelf), isClosed);
    });
  });
}

type Range = Pick<Selection, "model" | "namespace">;

async function everything({ store }: Shelf, range?: Range): Promise<ListedRequest[]> {
  return await Array.fromAsync(store.list(range));
}

/** Models and the numbers of keys, in order. */
async function listed(shelf: Shelf, range?: Range): Promise<string[]> {
  return (await everything(shelf, range)).map(({ model, request }) => `${model} ${numberOf(request.key)}`).toSorted();
}

function numberOf(key: Uint8Array): number {
  return new DataView(key.buffer, key.byteOffset).getUint32(0);
}

/** Its own properties only, however the store makes records. */
function plain(listed: ListedRequest | undefined): ListedRequest {
  const { model, request } = present(listed, "what was listed");
  const { key, namespace, provider, endpoint, identity, body, sketch } = request;
  return { model, request: { key, namespace, provider, endpoint, identity, body, sketch } };
}
