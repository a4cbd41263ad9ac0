/** What a server says of settings that cannot work: at once, and what to do. */

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { temporaryFolder } from "../support/temporary.ts";
import { post, testServer } from "./support.ts";

describe("startServer", () => {
  it("says which address is taken", async () => {
    await using first = await testServer({ cache: await temporaryFolder() });
    const port = Number(new URL(first.url).port);
    const second = testServer({ port, cache: await temporaryFolder() });
    await assert.rejects(second, { message: new RegExp(`^Cannot listen on 127.0.0.1:${port}: the address is in use`) });
  });

  it("says why answers cannot be kept, and serves all the same", async () => {
    const file = join(await temporaryFolder(), "file");
    await writeFile(file, "");
    await using server = await testServer({ cache: file });
    assert.match(server.cacheProblem!, /file/);
    const response = await post(server, "/v1/completions", { model: "kjv-tiny", prompt: "In", max_tokens: 1 });
    assert.equal(response.status, 200);
    await response.body!.cancel();
  });

  it("finds no problem with a folder it can make", async () => {
    await using server = await testServer({ cache: join(await temporaryFolder(), "new") });
    assert.equal(server.cacheProblem, undefined);
    assert.deepEqual(server.models.map(({ id }) => id), ["kjv-tiny", "kjv-tiny+fortunes"]);
  });
});
