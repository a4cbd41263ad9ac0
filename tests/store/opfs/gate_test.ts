/** A gate, through which many pass, or one alone. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Gate } from "../../../src/store/opfs/gate.ts";

describe("a gate", () => {
  it("lets many pass, and one alone once they are through", async () => {
    const gate = new Gate();
    const log: string[] = [];
    const first = Promise.withResolvers<void>();
    const passing = [
      gate.pass(async () => {
        await first.promise;
        log.push("first");
      }),
      gate.pass(() => log.push("second")),
    ];
    const alone = gate.alone(() => Promise.resolve(log.push("alone")));
    const late = gate.pass(() => log.push("late"));
    first.resolve();
    await Promise.all([...passing, alone, late]);
    assert.deepEqual(log, ["second", "first", "alone", "late"]);
  });

  it("lets several be alone one after the other", async () => {
    const gate = new Gate();
    let inside = 0;
    await Promise.all(Array.from({ length: 5 }, () =>
      gate.alone(async () => {
        assert.equal(++inside, 1);
        await Promise.resolve();
        inside--;
      })));
  });

  it("opens again for whoever comes after a failure", async () => {
    const gate = new Gate();
    await assert.rejects(gate.alone(() => Promise.reject(new Error("alone"))), { message: "alone" });
    await assert.rejects(gate.pass(() => Promise.reject(new Error("passing"))), { message: "passing" });
    assert.equal(await gate.alone(() => Promise.resolve(1)), 1);
    assert.equal(await gate.pass(() => 2), 2);
  });
});
