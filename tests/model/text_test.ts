/** Text from tokens: TextStream, TextTokenizer, readTokenDecoder, readChatTemplate. */

import assert from "node:assert/strict";
import fs from "node:fs/promises";
import { describe, it } from "node:test";
import { readChatTemplate } from "../../src/model/text/chat_template.ts";
import { ModelError } from "../../src/model/error.ts";
import { TextStream } from "../../src/model/text/text_stream.ts";
import { readTokenDecoder } from "../../src/model/text/token_bytes.ts";
import { TextTokenizer } from "../../src/model/text/tokenizer.ts";
import { KJV_TINY, referenceCases } from "../support/models.ts";

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** What a stream shows after each piece, and at its end. */
function shown(stops: readonly string[], pieces: readonly Uint8Array[]): string[] {
  const stream = new TextStream(stops);
  const texts: string[] = [];
  for (const piece of pieces) {
    const { text, stopped } = stream.push(piece);
    texts.push(text);
    if (stopped) break;
  }
  return [...texts, stream.end()];
}

describe("TextStream", () => {
  it("shows a character when its last byte has come", () => {
    const [a, b, c, d] = utf8("😀");
    assert.deepEqual(shown([], [a, b, c, d].map((byte) => new Uint8Array([byte!]))), ["", "", "", "😀", ""]);
  });

  it("shows an unfinished character as U+FFFD at the end", () => {
    assert.deepEqual(shown([], [utf8("é").subarray(0, 1)]), ["", "\ufffd"]);
  });

  it("keeps a byte order mark", () => {
    assert.deepEqual(shown([], [utf8("\ufeffa")]), ["\ufeffa", ""]);
  });

  it("stops before a stop text that is spread over tokens", () => {
    assert.deepEqual(shown(["\n\n"], ["one", "\n", "\ntwo"].map(utf8)), ["one", "", "", ""]);
  });

  it("shows what was held back once it is no stop text", () => {
    assert.deepEqual(shown(["STOP"], ["a ST", "ART", "S"].map(utf8)), ["a ", "START", "", "S"]);
  });

  it("stops at the stop text that is complete first, wherever tokens end", () => {
    const stops = ["abcd", "bc"];
    assert.deepEqual(shown(stops, [utf8("xabcd")]).join(""), "xa");
    assert.deepEqual(shown(stops, [..."xabcd"].map(utf8)).join(""), "xa");
  });

  it("lets a stop text pass while it may not stop, and stops at one that is complete later", () => {
    const stream = new TextStream(["END"]);
    assert.deepEqual(stream.push(utf8("a END b E"), false), { text: "a END b ", stopped: false });
    assert.deepEqual(stream.push(utf8("ND c"), true), { text: "", stopped: true });
    assert.equal(stream.end(), "");
  });

  it("shows nothing of what follows a stop text in the same token", () => {
    assert.deepEqual(shown(["."], [new Uint8Array([...utf8("a.b"), 0xc3])]), ["a", ""]);
  });
});

const json = JSON.parse(await fs.readFile(`${KJV_TINY}/tokenizer.json`, "utf8"));
const config = JSON.parse(await fs.readFile(`${KJV_TINY}/tokenizer_config.json`, "utf8"));

describe("TextTokenizer", () => {
  const tokenizer = new TextTokenizer(json, config);

  it("encodes as the reference does", async () => {
    for (const { prompt, prompt_ids: ids } of await referenceCases()) {
      assert.deepEqual(tokenizer.encode(prompt, { addSpecialTokens: true }), ids);
    }
  });

  it("gives each token its own bytes, which joined are the text, whatever the text", () => {
    for (const text of ["Thou shalt not steal.", "naïve 😀 漢字\n\ttab", "\u0000\u007f\u0080\u00ad", " "]) {
      const ids = tokenizer.encode(text, { addSpecialTokens: true });
      assert.deepEqual(new Uint8Array(ids.flatMap((id) => [...tokenizer.token(id).bytes])), utf8(text));
      assert.equal(tokenizer.decode(ids), text);
    }
  });

  it("shows part of a character as U+FFFD and keeps its byte", () => {
    const ids = tokenizer.encode("😀", { addSpecialTokens: true });
    assert.ok(ids.length > 1);
    assert.match(tokenizer.token(ids[0]!).text, /\ufffd/);
    assert.equal(tokenizer.token(ids[0]!).bytes[0], 0xf0);
  });

  it("names a special token and gives it no bytes", () => {
    assert.deepEqual(tokenizer.token(0), { text: "<|endoftext|>", bytes: new Uint8Array() });
    assert.deepEqual(tokenizer.encode("<|endoftext|>", { addSpecialTokens: true }), [0]);
  });

  it("reads an added token as its decoder does, where that replaces: Gemma's runs of spaces are some", () => {
    const spaces = { id: 5, content: "\u2581\u2581", special: false, normalized: false };
    const added = (decoder: object, token = spaces) => {
      return new TextTokenizer({ ...json, added_tokens: [...json.added_tokens, token], decoder }, config).token(5);
    };
    const replace = { type: "Replace", pattern: { String: "\u2581" }, content: " " };
    assert.deepEqual(added(replace), { text: "  ", bytes: utf8("  ") });
    // Byte-level tokens are written in other characters, but not those that were added.
    assert.deepEqual(added(json.decoder, { ...spaces, content: " é" }), { text: " é", bytes: utf8(" é") });
  });

  it("says nothing for an id beyond its vocabulary", () => {
    assert.deepEqual(tokenizer.token(9_999), { text: "", bytes: new Uint8Array() });
  });

  describe("of Llama's family, as transformers writes what stands around a text anew", () => {
    const llama = { tokenizer_class: "LlamaTokenizerFast", bos_token: "<|endoftext|>", eos_token: "<|endoftext|>" };
    const encode = (more: object, addSpecialTokens = true) => {
      return new TextTokenizer(json, { ...llama, ...more }).encode("God", { addSpecialTokens });
    };
    const plain = tokenizer.encode("God", { addSpecialTokens: true });

    it("puts the beginning before it unless told otherwise, the end after it when told", () => {
      assert.deepEqual(encode({}), [0, ...plain]);
      assert.deepEqual(encode({ add_bos_token: true, add_eos_token: true }), [0, ...plain, 0]);
      assert.deepEqual(encode({ add_bos_token: false }), plain);
      assert.deepEqual(encode({ bos_token: { content: "<|endoftext|>" } }), [0, ...plain]);
      assert.deepEqual(encode({}, false), plain);
    });

    it("leaves the tokenizer's own where the token is none of its, and that of other families", () => {
      assert.deepEqual(encode({ bos_token: "<s>" }), plain);
      assert.deepEqual(encode({ bos_token: undefined }), plain);
      assert.deepEqual(encode({ tokenizer_class: "GPT2Tokenizer", add_bos_token: true }), plain);
    });
  });

  it("refuses a decoder whose tokens have no bytes of their own, by name", () => {
    assert.throws(
      () => new TextTokenizer({ ...json, decoder: { type: "WordPiece" } }, {}),
      /not supported: "WordPiece"/,
    );
    assert.throws(() => new TextTokenizer({ ...json, decoder: null }, {}), /not supported: null/);
  });
});

describe("readTokenDecoder", () => {
  it("reads SentencePiece tokens with byte fallback, as Llama 2 writes them", () => {
    const decode = readTokenDecoder({
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "\u2581" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        { type: "Strip", content: " ", start: 1, stop: 0 },
      ],
    });
    assert.deepEqual(decode("\u2581God\u2581"), utf8(" God "));
    assert.deepEqual(decode("<0xF0>"), new Uint8Array([0xf0]));
  });

  it("reads a metaspace", () => {
    assert.deepEqual(readTokenDecoder({ type: "Metaspace", replacement: "_" })("_God"), utf8(" God"));
    assert.deepEqual(readTokenDecoder({ type: "Metaspace" })("<0xF0>"), utf8("<0xF0>"));
  });

  it("refuses a replacement by regular expression", () => {
    const decoder = { type: "Replace", pattern: { Regex: "a+" }, content: "b" };
    assert.throws(() => readTokenDecoder(decoder), /pattern that is not supported: {"Regex":"a\+"}/);
  });
});

describe("readChatTemplate", () => {
  const messages = [{ role: "user", content: "Hail" }];

  it("renders messages, special tokens and the beginning of the model's turn", () => {
    const render = readChatTemplate({
      bos_token: { content: "<s>" },
      chat_template:
        "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}",
    })!;
    assert.equal(render(messages), "<s>[user]Hail[assistant]");
  });

  it("takes the one named default of several", () => {
    const render = readChatTemplate({
      chat_template: [{ name: "tools", template: "no" }, { name: "default", template: "{{ messages[0].content }}" }],
    })!;
    assert.equal(render(messages), "Hail");
  });

  it("takes tool_use of several for conversations with tools, default where there is none", () => {
    const named = (...names: string[]) => ({ chat_template: names.map((name) => ({ name, template: name })) });
    const tools = { variables: { tools: [{ type: "function" }] } };
    assert.equal(readChatTemplate(named("default", "tool_use"))!(messages, tools), "tool_use");
    assert.equal(readChatTemplate(named("default", "tool_use"))!(messages, { variables: { tools: [] } }), "default");
    assert.equal(readChatTemplate(named("default", "rag"))!(messages, tools), "default");
    assert.throws(() => readChatTemplate(named("rag", "other"))!(messages), {
      code: "invalid_request",
      parameter: "messages",
      message: /rag, other/,
    });
  });

  it("refuses a conversation, and not the model, when it is tool_use that is no template", () => {
    const both = [{ name: "default", template: "fine" }, { name: "tool_use", template: "{% if %}" }];
    const render = readChatTemplate({ chat_template: both })!;
    assert.equal(render(messages), "fine");
    assert.throws(() => render(messages, { variables: { tools: [{}] } }), { code: "invalid_request" });
    assert.throws(() => readChatTemplate({ chat_template: "{% if %}" }));
  });

  it("hands messages to the template as they are, with names, tools' answers and calls", () => {
    const template = "{% for m in messages %}{{ m | tojson }}{% endfor %}";
    const conversation = [
      { role: "user", content: "Hail", name: "Ann" },
      { role: "assistant", content: null, tool_calls: [{ id: "1", function: { name: "f", arguments: "{}" } }] },
      { role: "tool", content: "42", tool_call_id: "1" },
    ];
    const rendered = readChatTemplate({}, template)!(conversation);
    assert.deepEqual(JSON.parse(`[${rendered.replaceAll("}{", "},{")}]`), conversation);
  });

  it("gives the template further variables, but none that it is told otherwise", () => {
    const render = readChatTemplate({}, "{% if enable_thinking %}<think>{% endif %}{{ bos_token }}")!;
    assert.equal(render(messages, { variables: { enable_thinking: true, bos_token: "<b>" } }), "<think><b>");
    for (const name of ["messages", "add_generation_prompt", "strftime_now"]) {
      assert.throws(() => render(messages, { variables: { [name]: 1 } }), {
        code: "invalid_request",
        parameter: "variables",
        message: new RegExp(name),
      });
    }
  });

  it("says that there are no tools and no documents, as transformers does", () => {
    const source = "{% if tools is not none or documents is not none %}[TOOLS]{% endif %}{{ messages[0].content }}";
    const render = readChatTemplate({}, source)!;
    assert.equal(render(messages), "Hail");
    assert.equal(render(messages, { variables: { tools: [{}] } }), "[TOOLS]Hail");
  });

  it("takes a template as it is written, from its first space on", () => {
    assert.equal(readChatTemplate({}, "  {% if true %}a{% endif %}")!(messages), "a");
    assert.equal(readChatTemplate({}, "  {{ 'a' }}")!(messages), "  a");
    assert.equal(readChatTemplate({}, "\n\na")!(messages), "\n\na");
  });

  it("does not begin the model's turn where that is not wanted", () => {
    const render = readChatTemplate(
      {},
      "{{ messages[0].content }}{% if add_generation_prompt %}[assistant]{% endif %}",
    )!;
    assert.equal(render(messages, { addGenerationPrompt: false }), "Hail");
    assert.equal(render(messages, { addGenerationPrompt: true }), "Hail[assistant]");
  });

  describe("with a last message to go on with", () => {
    const going = { continueFinalMessage: true };
    const said = (content: string | null) => [...messages, { role: "assistant", content }];
    const source = (content: string) =>
      `{% for m in messages %}[{{ m.role }}]${content}</s>\n{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}`;

    it("ends where that message's text ends, spaces included", () => {
      const render = readChatTemplate({}, source("{{ m.content }}"))!;
      assert.equal(render(said("To be, or "), going), "[user]Hail</s>\n[assistant]To be, or ");
      assert.equal(render(said("Hail"), going), "[user]Hail</s>\n[assistant]Hail");
    });

    it("ends without spaces where the template trims messages", () => {
      const render = readChatTemplate({}, source("{{ m.content | trim }}"))!;
      assert.equal(render(said("To be, or "), going), "[user]Hail</s>\n[assistant]To be, or");
    });

    it("refuses a message without text, a template that drops it, and a turn to be begun as well", () => {
      const render = readChatTemplate({}, source("{{ m.content }}"))!;
      assert.throws(() => render(said(null), going), { parameter: "messages", message: /no text to go on with: null/ });
      assert.throws(() => readChatTemplate({}, "nothing")!(said("a"), going), {
        message: /leaves out the last message/,
      });
      assert.throws(() => render(said("a"), { ...going, addGenerationPrompt: true }), {
        parameter: "continueFinalMessage",
      });
    });
  });

  it("is undefined for a model without one", () => {
    assert.equal(readChatTemplate({}), undefined);
  });

  it("prefers chat_template.jinja", () => {
    assert.equal(readChatTemplate({ chat_template: "old" }, "new")!([]), "new");
  });

  it("does not tell a template the date: answers are kept", () => {
    const guarded = "\n{% if strftime_now is defined %}{{ strftime_now('%Y') }}{% else %}no date{% endif %}";
    assert.equal(readChatTemplate({}, guarded)!([]), "\nno date");
    assert.throws(() => readChatTemplate({}, "{{ strftime_now('%Y') }}")!([]), {
      code: "invalid_request",
      parameter: "messages",
      message: /strftime_now/,
    });
  });

  it("reports what a template refuses as a bad request", () => {
    const render = readChatTemplate({ chat_template: "{{ raise_exception('roles must alternate') }}" })!;
    assert.throws(() => render(messages), (error: unknown) => {
      assert.ok(error instanceof ModelError);
      assert.deepEqual([error.code, error.parameter], ["invalid_request", "messages"]);
      assert.match(error.message, /roles must alternate/);
      return true;
    });
  });
});
