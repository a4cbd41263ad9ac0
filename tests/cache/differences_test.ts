import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { compareBodies, type Difference, differences } from "../../src/cache/explain/differences.ts";
import { seededRandom } from "../support/random.ts";

function said(...texts: string[]): { role: string; content: string }[] {
  return texts.map((content, index) => ({ role: index % 2 === 0 ? "user" : "assistant", content }));
}

function tool(name: string, description = `Does ${name}.`): unknown {
  return { type: "function", function: { name, description, parameters: { type: "object", properties: {} } } };
}

function paths(found: readonly Difference[]): string[] {
  return found.map(({ kind, path }) => `${kind} ${path}`);
}

describe("differences", () => {
  it("finds none between equal values, whatever the order of names", () => {
    const stored = { model: "m", messages: said("a", "b"), stop: null, seed: 0, logit_bias: {} };
    const asked = { logit_bias: {}, seed: -0, stop: null, messages: said("a", "b"), model: "m" };
    assert.deepEqual(differences(stored, asked), []);
  });

  it("says what was changed, what is missing and what was added, seen from the stored request", () => {
    const found = differences({ seed: 1, temperature: 0, stop: ["a"] }, { temperature: 0.5, stop: ["a"], top_p: 1 });
    assert.deepEqual(found, [
      { path: "$.seed", kind: "missing", stored: "1" },
      { path: "$.temperature", kind: "changed", stored: "0", asked: "0.5" },
      { path: "$.top_p", kind: "added", asked: "1" },
    ]);
  });

  it("tells null from absent, and one type from another", () => {
    assert.deepEqual(differences({ stop: null }, {}), [{ path: "$.stop", kind: "missing", stored: "null" }]);
    assert.deepEqual(differences({ stop: "a" }, { stop: ["a"] }), [
      { path: "$.stop", kind: "changed", stored: '"a"', asked: '["a"]' },
    ]);
    assert.deepEqual(paths(differences({ a: {} }, { a: [] })), ["changed $.a"]);
    assert.deepEqual(paths(differences("1", 1)), ["changed $"]);
  });

  it("keeps names apart that every object has", () => {
    const stored = JSON.parse('{"__proto__":{"a":1},"constructor":1}');
    assert.deepEqual(paths(differences(stored, {})), ["missing $.__proto__", "missing $.constructor"]);
    assert.deepEqual(paths(differences({}, stored)), ["added $.__proto__", "added $.constructor"]);
    assert.deepEqual(differences(stored, structuredClone(stored)).filter(({ kind }) => kind === "changed"), []);
  });

  it("returns as many as were asked for, 20 by default", () => {
    const stored = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`name${index}`, index]));
    assert.equal(differences(stored, {}).length, 20);
    assert.equal(differences(stored, {}, { limit: 3 }).length, 3);
    assert.equal(differences(stored, {}, { limit: 100 }).length, 50);
  });

  it("refuses a limit that is no positive integer", () => {
    for (const limit of [0, -1, 1.5, NaN]) {
      assert.throws(() => differences({}, {}, { limit }), /RangeError: .*positive integer.*: /);
    }
  });

  describe("of lists", () => {
    it("is one where one message was inserted, in the asked request's place", () => {
      const found = differences({ messages: said("a", "b", "c") }, {
        messages: [said("a")[0], { role: "system", content: "new" }, ...said("a", "b", "c").slice(1)],
      });
      assert.deepEqual(found, [
        { path: "$.messages[1]", kind: "added", asked: '{"role":"system","content":"new"}' },
      ]);
    });

    it("is one where one tool was removed, in the stored request's place", () => {
      const tools = ["a", "b", "c", "d"].map((name) => tool(name));
      assert.deepEqual(paths(differences({ tools }, { tools: tools.toSpliced(1, 1) })), ["missing $.tools[1]"]);
    });

    it("is one where a tool's description changed", () => {
      const tools = ["a", "b", "c"].map((name) => tool(name));
      assert.deepEqual(differences({ tools }, { tools: tools.with(1, tool("b", "Does more.")) }), [{
        path: "$.tools[1].function.description",
        kind: "changed",
        stored: '"Does b."',
        asked: '"Does more."',
        offset: 5,
      }]);
    });

    it("finds insertions, removals and changes in several places", () => {
      const stored = { messages: said("a", "b", "c", "d", "e", "f", "g", "h") };
      const messages: unknown[] = [...stored.messages];
      messages.splice(6, 1, { role: "user", content: "G" });
      messages.splice(4, 1);
      messages.splice(1, 0, { role: "user", content: "new" });
      assert.deepEqual(paths(differences(stored, { messages })), [
        "added $.messages[1]",
        "missing $.messages[4]",
        "changed $.messages[6].content",
      ]);
    });

    it("pairs what is most alike where an insertion and a change meet", () => {
      const question = "What does the second paragraph of the contract say about rent?";
      const stored = { messages: said("Be brief.", "Yes.", question) };
      const asked = {
        messages: [...said("Be kind.", "Yes.", "An example.", "Its answer."), {
          role: "user",
          content: question.replace("rent", "costs"),
        }],
      };
      assert.deepEqual(paths(differences(stored, asked)), [
        "changed $.messages[0].content",
        "added $.messages[2]",
        "added $.messages[3]",
        "changed $.messages[4].content",
      ]);
    });

    it("counts equal elements that are there more than once", () => {
      assert.deepEqual(paths(differences(["a", "a", "b", "a"], ["a", "b", "a"])), ["missing $[1]"]);
      assert.deepEqual(paths(differences(["a"], ["a", "a", "a"])), ["added $[1]", "added $[2]"]);
    });

    it("is a removal and an addition where an element moved", () => {
      const tools = ["a", "b", "c", "d"].map((name) => tool(name));
      const found = differences({ tools }, { tools: [...tools.slice(1), tools[0]] });
      assert.deepEqual(paths(found), ["missing $.tools[0]", "added $.tools[3]"]);
    });

    it("has the place from which long lists of tokens differ", () => {
      const stored = Array.from({ length: 20_000 }, (_, index) => index);
      const [found, ...others] = differences({ prompt: stored }, {
        prompt: stored.map((token) => token < 5000 ? token : -token),
      });
      assert.deepEqual(others, []);
      assert.deepEqual(
        { ...found, stored: found!.stored!.slice(0, 15), asked: found!.asked!.slice(0, 15) },
        { path: "$.prompt", kind: "changed", stored: "[5000,5001,5002", asked: "[-5000,-5001,-5", offset: 5000 },
      );
    });

    it("is none for random lists and their copies, and explains every random edit", () => {
      const random = seededRandom(6);
      for (let round = 0; round < 500; round++) {
        const stored = Array.from({ length: Math.floor(random() * 12) }, () => ({ x: Math.floor(random() * 5) }));
        const asked = stored.filter(() => random() < 0.8).flatMap((one) =>
          random() < 0.2 ? [{ x: 9 }, one] : random() < 0.2 ? [{ x: 7 }] : [one]
        );
        assert.deepEqual(differences(stored, structuredClone(stored)), []);
        const found = differences(stored, asked, { limit: 100 });
        const grown = found.filter(({ kind }) => kind === "added").length;
        const shrunk = found.filter(({ kind }) => kind === "missing").length;
        assert.equal(stored.length + grown - shrunk, asked.length);
        assert.equal(found.length === 0, JSON.stringify(stored) === JSON.stringify(asked));
      }
    });
  });

  describe("has excerpts that", () => {
    it("begin shortly before the place where texts differ", () => {
      const [found] = differences(
        `${"Be brief. ".repeat(40)}Now it is 10:00. Go on.`,
        `${"Be brief. ".repeat(40)}Now it is 11:30. Go on.`,
      );
      assert.deepEqual(found, {
        path: "$",
        kind: "changed",
        stored: '…" Now it is 10:00. Go on."',
        asked: '…" Now it is 11:30. Go on."',
        offset: 411,
      });
    });

    it("are never longer than 80 code units, whatever has to be escaped", () => {
      const texts = ["x".repeat(500), "\n".repeat(500), "\u0001".repeat(500), "é😀".repeat(200), '"'.repeat(90)];
      for (const text of texts) {
        const values = [text, { [text]: text }, [text, text], [[[text]]], Array.from(text), { a: { b: [text] } }];
        for (const value of values) {
          for (const other of [null, `${text}!`, [value, 1]]) {
            for (const { stored = "", asked = "" } of differences({ value }, { value: other })) {
              assert.ok(stored.length <= 80 && asked.length <= 80, `${stored} ${asked}`);
              assert.ok(stored.isWellFormed() && asked.isWellFormed());
            }
          }
        }
      }
    });

    it("show the place where texts differ even after characters that are escaped", () => {
      const [found] = differences(`${"\u0001".repeat(50)}a`, `${"\u0001".repeat(50)}b`);
      assert.match(found!.stored!, /a"$/);
      assert.match(found!.asked!, /b"$/);
    });

    it("do not cut a character in two", () => {
      const [found] = differences("one 😀 two", "one 😁 two");
      assert.deepEqual(found, {
        path: "$",
        kind: "changed",
        stored: '"one 😀 two"',
        asked: '"one 😁 two"',
        offset: 4,
      });
    });

    it("show where the longer text goes on", () => {
      const [found] = differences("A prompt.", "A prompt. And more.");
      assert.deepEqual([found!.stored, found!.asked, found!.offset], ['"A prompt."', '"A prompt. And more."', 9]);
    });

    it("shorten long names in paths", () => {
      const [found] = differences({ ["n".repeat(10_000)]: 1 }, {});
      assert.equal(found!.path, `$.${"n".repeat(64)}…`);
    });
  });

  describe("of large requests", () => {
    it("come out of nesting as deep as a request may be", () => {
      const nested = (depth: number, end: unknown): unknown => {
        let value = end;
        for (let level = 0; level < depth; level++) value = level % 2 === 0 ? [value] : { a: value };
        return value;
      };
      const [found, ...others] = differences(nested(512, 1), nested(512, 2));
      assert.deepEqual([found!.stored, found!.asked, others.length], ["1", "2", 0]);
      assert.throws(() => differences(nested(20_000, 1), nested(20_000, 2)), /TypeError: .*deeper than 512/);
    });

    it("need not compare everything with everything", () => {
      const body = (offset: number): unknown[] =>
        Array.from({ length: 900 }, (_, index) => said(`${index + offset} ${"words ".repeat(100)}`));
      assert.equal(compareBodies(body(0), body(10_000)).count, 900);
      assert.equal(compareBodies(body(0), body(10_000).slice(0, 899)).count, 900);
    });
  });
});

describe("compareBodies", () => {
  it("counts all differences, those not returned too", () => {
    const { differences: found, count } = compareBodies([1, 2, 3], [4, 5, 6], { limit: 2 });
    assert.deepEqual([found.length, count], [2, 3]);
  });

  it("says how much differs, beside how much there is", () => {
    const long = "A long prompt that both have. ".repeat(20);
    const { differing, size } = compareBodies({ prompt: `${long}10:00` }, { prompt: `${long}10:05` });
    assert.deepEqual([differing, size > 2 * long.length, size < 2 * long.length + 60], [2, true, true]);
  });

  it("finds less to differ in texts with some other words than in other texts", () => {
    const stored = "one two three four five six seven eight nine ten eleven twelve";
    const { differing: few } = compareBodies(stored, stored.replace("two", "2").replace("eleven", "11"));
    const { differing: all } = compareBodies(stored, stored.toUpperCase());
    assert.ok(few * 4 < all, `${few}, ${all}`);
  });

  it("never finds more to differ than there is", () => {
    const random = seededRandom(7);
    const value = (depth: number): unknown => {
      const kind = Math.floor(random() * (depth > 3 ? 3 : 5));
      const count = Math.floor(random() * 4);
      if (kind === 0) return Math.floor(random() * 9);
      if (kind === 1) return "some words that differ".slice(Math.floor(random() * 20));
      if (kind === 2) return random() < 0.5 ? null : true;
      if (kind === 3) return Array.from({ length: count }, () => value(depth + 1));
      return Object.fromEntries(Array.from({ length: count }, (_, index) => [`n${index}`, value(depth + 1)]));
    };
    for (let round = 0; round < 1000; round++) {
      const [stored, asked] = [value(0), value(0)];
      const { differing, size, count } = compareBodies(stored, asked);
      assert.ok(differing <= size && (count > 0) === (differing > 0), JSON.stringify([stored, asked]));
    }
  });
});
