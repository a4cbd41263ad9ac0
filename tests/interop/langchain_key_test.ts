/** What LangChain's words for a question are taken for. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readLangChainRequest } from "../../src/interop/langchain_key.ts";

const read = (llmKey: string, prompt = "Human: Hi", isVouchedFor = false) =>
  readLangChainRequest(prompt, llmKey, isVouchedFor);

describe("readLangChainRequest", () => {
  it("reads the settings, each under its own name", async () => {
    const tools = [{ name: 'a "quoted", {odd} [name]:\\', parameters: { type: "object" } }];
    const llmKey = `_model:"base_chat_model",_type:"openai",fetch:undefined,model:"gpt-4o",temperature:0,tools:${
      JSON.stringify(tools)
    }`;
    assert.deepEqual(await read(llmKey), {
      body: {
        model: "gpt-4o",
        prompt: "Human: Hi",
        llm: { _model: "base_chat_model", _type: "openai", model: "gpt-4o", temperature: 0, tools },
      },
      provider: "openai",
      bypass: undefined,
    });
  });

  it("finds the model's name wherever classes put it", async () => {
    for (const name of ["model", "model_name", "modelName", "model_id", "modelId"]) {
      assert.equal((await read(`_type:"some",${name}:"m"`)).body.model, "m");
    }
  });

  it("leaves out who asks", async () => {
    const [one, two] = await Promise.all(["sk-1", "sk-2"].map((key) => read(`apiKey:"${key}",model:"m"`)));
    assert.deepEqual(one, two);
    assert.doesNotMatch(JSON.stringify(one), /sk-/);
  });

  it("keeps of what may be secret that it is not the same", async () => {
    const withHeaders = (value: string) => read(`defaultHeaders:{"X-Auth":"${value}"},model:"m"`);
    const [one, same, other] = await Promise.all(["alpha", "alpha", "beta"].map(withHeaders));
    assert.deepEqual(one, same);
    assert.notDeepEqual(one, other);
    assert.doesNotMatch(JSON.stringify([one, other]), /alpha|beta/);
    const nested = await read('model:"m",tools:[{"type":"mcp","authorization":"alpha","headers":{"a":"beta"}}]');
    assert.doesNotMatch(JSON.stringify(nested), /alpha|beta/);
  });

  it("does not take a tool's parameter of such a name for a secret that does not count", async () => {
    const tool = (type: string) =>
      read(`model:"m",tools:[{"parameters":{"properties":{"apiKey":{"type":"${type}"}}}}]`);
    assert.notDeepEqual(await tool("string"), await tool("number"));
  });

  it("refuses a key that it cannot read, and keeps nothing of its text", async () => {
    for (const llmKey of ["secret", 'model:"m",{', "model:m", 'a:b:"c"']) {
      const { body, bypass } = await read(llmKey, "Human: Hi", true);
      assert.equal(bypass, "LangChain's key for the model cannot be read");
      assert.doesNotMatch(JSON.stringify(body), /secret|"m"/);
    }
  });

  it("refuses a question without a model, unless the caller has said which it is", async () => {
    const llmKey = '_model:"base_chat_model",_type:"fake-list"';
    assert.match((await read(llmKey)).bypass!, /which model this is/);
    assert.equal((await read(llmKey, "Human: Hi", true)).bypass, undefined);
  });

  it("refuses a prompt in which a part that is no text may be hidden", async () => {
    const llmKey = '_model:"base_chat_model",model:"m"';
    for (const part of ["[image]", "[text-plain file]", "[inlineData]", "[input_audio]"]) {
      assert.match((await read(llmKey, `Human: see${part}`)).bypass!, /leaving out what a part/);
    }
    for (const text of ["a[i] = 1", "[INST]", "[1]", '[{"id":"1"}]', "[x] done", "[a b]"]) {
      assert.equal((await read(llmKey, `Human: ${text}`)).bypass, undefined, text);
    }
    assert.equal((await read('_model:"base_llm",model:"m"', "see [image]")).bypass, undefined);
  });

  it("refuses tools and schemas of which JSON tells only that they are there", async () => {
    const tool = '{"lc":1,"type":"not_implemented","id":["langchain","tools","DynamicStructuredTool"]}';
    assert.match((await read(`model:"m",tools:[${tool}]`)).bypass!, /bindTools/);
    const format = '{"json_schema":{"schema":{"def":{"type":"object"},"type":"object"}}}';
    assert.match((await read(`model:"m",response_format:${format}`)).bypass!, /JSON Schema/);
    const field = '{"json_schema":{"schema":{"type":"object","properties":{"def":{"type":"string"}}}}}';
    assert.equal((await read(`model:"m",response_format:${field}`)).bypass, undefined);
    const told = 'ls_structured_output_format:{"schema":{"type":"object"}}';
    assert.equal((await read(`${told},model:"m",response_format:${format}`)).bypass, undefined);
  });
});
