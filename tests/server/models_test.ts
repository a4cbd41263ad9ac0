/** What can be asked for, and by which names. */

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { RunningServer } from "../../src/compose/server.ts";
import { copyModel } from "../support/models.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { getJson, openai, post, testServer } from "./support.ts";

describe("/v1/models", () => {
  let server: RunningServer;
  before(async () => {
    server = await testServer({ cache: await temporaryFolder(), hub: false });
  });
  after(() => server.stop());

  it("lists bases with their dtypes, and adapters with their base", async () => {
    const { object, data } = await getJson(server, "/v1/models");
    assert.equal(object, "list");
    const created = data.map((model: { created: number }) => model.created);
    const common = { object: "model", owned_by: "local", root: "kjv-tiny" };
    assert.deepEqual(data, [
      { id: "kjv-tiny", ...common, parent: null, created: created[0], dtypes: ["fp32"] },
      { id: "kjv-tiny+fortunes", ...common, parent: "kjv-tiny", created: created[1] },
    ]);
  });

  it("knows a model by every name that requests may give it", async () => {
    for (const id of ["kjv-tiny", "kjv-tiny:fp32", "kjv-tiny+fortunes", "kjv-tiny:fp32+fortunes"]) {
      for (const name of [id, encodeURIComponent(id)]) {
        const model = await getJson(server, `/v1/models/${name}`);
        assert.deepEqual([model.id, model.root], [id, "kjv-tiny"]);
      }
    }
    for (
      const id of ["kjv-tiny:q4", "kjv-tiny:fp8", "kjv-tiny+none", "none:fp32", "../kjv-tiny", "kjv-tiny:q4+fortunes"]
    ) {
      const response = await fetch(`${server.url}/v1/models/${encodeURIComponent(id)}`);
      assert.equal(response.status, 404, id);
      assert.partialDeepStrictEqual(await response.json(), { error: { code: "model_not_found", param: "model" } });
    }
  });

  it("finds names with slashes, encoded or as they are", async () => {
    const models = await temporaryFolder();
    await mkdir(join(models, "lab"));
    await copyModel(join(models, "lab"), "kjv");
    await using own = await testServer({ models, cache: await temporaryFolder(), hub: false });
    for (const id of ["lab/kjv", "lab/kjv:fp32", "lab/kjv+fortunes", "lab/kjv:fp32+fortunes"]) {
      for (const name of [id, encodeURIComponent(id)]) {
        assert.equal((await getJson(own, `/v1/models/${name}`)).id, id, name);
      }
      assert.equal((await openai(own).models.retrieve(id)).id, id);
    }
    for (const name of ["lab", "lab/", "lab%2", "%FF", "lab%2F..%2Fkjv"]) {
      const response = await fetch(`${own.url}/v1/models/${name}`);
      assert.equal(response.status, 404, name);
      assert.deepEqual(Object.keys((await response.json()).error), ["message", "type", "param", "code"]);
    }
  });

  it("has no dtype that is not there, which is told to whoever asks for it", async () => {
    const response = await post(server, "/v1/completions", { model: "kjv-tiny:q4", prompt: "And", max_tokens: 1 });
    assert.equal(response.status, 404);
    const { error } = await response.json();
    assert.equal(error.code, "model_not_found");
    assert.match(error.message, /Cannot find dtype q4 of the model \(there are: fp32\): "kjv-tiny:q4"/);
  });
});
