import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SingleFlight } from "../../src/cache/flow/single_flight.ts";
import { gate } from "../support/gate.ts";

describe("SingleFlight", () => {
  it("runs the work once for all who come while it runs", async () => {
    const flights = new SingleFlight<number>();
    const door = gate();
    let runs = 0;
    const work = async (): Promise<number> => {
      await door.pass();
      return ++runs;
    };
    const callers = Array.from({ length: 10 }, () => flights.run("k", { size: 1, work }));
    door.open();
    const landed = await Promise.all(callers);
    assert.equal(runs, 1);
    assert.deepEqual(landed.map(({ value }) => value), Array(10).fill(1));
    assert.deepEqual(landed.map(({ led }) => led), [true, ...Array(9).fill(false)]);
  });

  it("runs the work again for who comes later", async () => {
    const flights = new SingleFlight<number>();
    let runs = 0;
    const work = (): Promise<number> => Promise.resolve(++runs);
    assert.equal((await flights.run("k", { size: 1, work })).value, 1);
    assert.equal((await flights.run("k", { size: 1, work })).value, 2);
  });

  it("keeps keys apart", async () => {
    const flights = new SingleFlight<string>();
    const work = (value: string) => () => Promise.resolve(value);
    const [a, b] = await Promise.all([
      flights.run("a", { size: 1, work: work("a") }),
      flights.run("b", { size: 1, work: work("b") }),
    ]);
    assert.deepEqual([a, b], [{ value: "a", led: true }, { value: "b", led: true }]);
  });

  it("shares the leader's error, and forgets it", async () => {
    const flights = new SingleFlight<number>();
    const failure = new Error("no credit");
    const callers = [1, 2, 3].map(() => flights.run("k", { size: 1, work: () => Promise.reject(failure) }));
    for (const result of await Promise.allSettled(callers)) {
      assert.equal(result.status === "rejected" && result.reason, failure);
    }
    assert.equal((await flights.run("k", { size: 1, work: () => Promise.resolve(5) })).value, 5);
  });

  it("takes a throw of the work as its rejection", async () => {
    const flights = new SingleFlight<number>();
    const work = (): Promise<number> => {
      throw new RangeError("at once");
    };
    await assert.rejects(flights.run("k", { size: 1, work }), RangeError);
    assert.equal((await flights.run("k", { size: 1, work: () => Promise.resolve(5) })).led, true);
  });

  it("lets who wants more wait, and then fly once for all of those", async () => {
    const flights = new SingleFlight<string>();
    const door = gate();
    const runs: string[] = [];
    const work = (name: string) => async () => {
      runs.push(name);
      await door.pass();
      return name;
    };
    const small = flights.run("k", { size: 2, work: work("small") });
    const large = flights.run("k", { size: 5, work: work("large") });
    const between = flights.run("k", { size: 3, work: work("between") });
    const smaller = flights.run("k", { size: 1, work: work("smaller") });
    await door.reached;
    assert.deepEqual(runs, ["small"]);
    door.open();
    assert.deepEqual(await Promise.all([small, large, between, smaller]), [
      { value: "small", led: true },
      { value: "large", led: true },
      { value: "large", led: false },
      { value: "small", led: false },
    ]);
    assert.deepEqual(runs, ["small", "large"]);
  });

  it("does not pass a failed flight on to who wants more", async () => {
    const flights = new SingleFlight<number>();
    const small = flights.run("k", { size: 1, work: () => Promise.reject(new Error("lost")) });
    const large = flights.run("k", { size: 2, work: () => Promise.resolve(2) });
    await assert.rejects(small, /lost/);
    assert.equal((await large).value, 2);
  });

  it("lets those fly again whom a landed value does not suit, once for all of them", async () => {
    const flights = new SingleFlight<string>();
    let runs = 0;
    const first = flights.run("k", { size: 5, work: () => Promise.resolve("too large") });
    const suits = (value: string): boolean => value !== "too large";
    const others = [1, 2].map(() => flights.run("k", { size: 1, work: () => Promise.resolve(`run ${++runs}`), suits }));
    assert.deepEqual(await Promise.all([first, ...others]), [
      { value: "too large", led: true },
      { value: "run 1", led: true },
      { value: "run 1", led: false },
    ]);
  });

  it("counts as landed only when those who waited for a flight have landed too", async () => {
    const flights = new SingleFlight<number>();
    const door = gate();
    let landed = 0;
    const work = async (): Promise<number> => {
      await door.pass();
      return ++landed;
    };
    const callers = [
      flights.run("k", { size: 1, work }),
      flights.run("k", { size: 2, work }),
      flights.run("k", { size: 3, work }),
    ];
    const all = flights.landed().then(() => landed);
    door.open();
    assert.equal(await all, 3);
    await Promise.all(callers);
  });

  it("says when all flights have landed", async () => {
    const flights = new SingleFlight<number>();
    await flights.landed();
    const doors = [gate(), gate()];
    const order: string[] = [];
    const callers = doors.map((door, index) =>
      flights.run(`${index}`, {
        size: 1,
        work: async () => {
          await door.pass();
          order.push(`landed ${index}`);
          if (index === 0) throw new Error("crashed");
          return index;
        },
      })
    );
    const all = flights.landed().then(() => order.push("all"));
    doors[1]!.open();
    await callers[1];
    doors[0]!.open();
    await assert.rejects(callers[0]!);
    await all;
    assert.deepEqual(order, ["landed 1", "landed 0", "all"]);
  });

  it("tells when one flight has landed, however it did", async () => {
    const flights = new SingleFlight<number>();
    await flights.landing("k");
    const door = gate();
    const work = async (): Promise<number> => {
      await door.pass();
      throw new Error("crashed");
    };
    const flown = flights.run("k", { size: 1, work });
    const landing = flights.landing("k").then(() => flights.has("k"));
    await assert.rejects(flights.landing("k", AbortSignal.abort(new Error("enough"))), /enough/);
    door.open();
    assert.equal(await landing, false);
    await assert.rejects(flown, /crashed/);
  });

  describe("with a signal", () => {
    it("lets go of who gives up, and of the work when nobody is left", async () => {
      const flights = new SingleFlight<number>();
      const aborters = [new AbortController(), new AbortController()];
      const seen: AbortSignal[] = [];
      const work = ({ signal }: { signal: AbortSignal }): Promise<number> => {
        seen.push(signal);
        return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      };
      const callers = aborters.map(({ signal }) => flights.run("k", { size: 1, work, signal }));
      await Promise.resolve();
      aborters[0]!.abort(new Error("first"));
      await assert.rejects(callers[0]!, /first/);
      assert.equal(seen[0]!.aborted, false);
      aborters[1]!.abort(new Error("second"));
      await assert.rejects(callers[1]!, /second/);
      assert.equal(seen[0]!.reason.message, "second");
      assert.equal(flights.has("k"), false);
      await flights.landed();
    });

    it("goes on for one who gave none", async () => {
      const flights = new SingleFlight<number>();
      const door = gate();
      const aborter = new AbortController();
      const work = async ({ signal }: { signal: AbortSignal }): Promise<number> => {
        await door.pass();
        assert.equal(signal.aborted, false);
        return 7;
      };
      const left = flights.run("k", { size: 1, work, signal: aborter.signal });
      const stayed = flights.run("k", { size: 1, work });
      aborter.abort();
      await assert.rejects(left, { name: "AbortError" });
      door.open();
      assert.deepEqual(await stayed, { value: 7, led: false });
    });

    it("begins anew for who comes after all have left, though the old work still runs", async () => {
      const flights = new SingleFlight<string>();
      const door = gate();
      const aborter = new AbortController();
      const deaf = async (): Promise<string> => {
        await door.pass();
        return "old";
      };
      const left = flights.run("k", { size: 1, work: deaf, signal: aborter.signal });
      aborter.abort();
      await assert.rejects(left);
      const next = flights.run("k", { size: 1, work: () => Promise.resolve("new") });
      assert.deepEqual(await next, { value: "new", led: true });
      door.open();
      await flights.landed();
      assert.equal(flights.has("k"), false);
    });

    it("ends the wait of one who wants more than what flies", async () => {
      const flights = new SingleFlight<number>();
      const door = gate();
      const aborter = new AbortController();
      const work = async (): Promise<number> => {
        await door.pass();
        return 1;
      };
      const small = flights.run("k", { size: 1, work });
      const large = flights.run("k", { size: 2, work, signal: aborter.signal });
      aborter.abort();
      await assert.rejects(large, { name: "AbortError" });
      door.open();
      assert.equal((await small).value, 1);
    });
  });
});
