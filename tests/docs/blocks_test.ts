/** How blocks of code in Markdown are read, and that none slips through. */

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { type Block, blocksOf, pages, ROOT } from "./blocks.ts";

const fenced = (language: string, code: string): string => `\`\`\`${language}\n${code}\n\`\`\``;

function only(text: string): Block {
  const blocks = blocksOf("docs/page.md", text);
  assert.equal(blocks.length, 1);
  return blocks[0]!;
}

describe("blocksOf", () => {
  it("has programs run where nothing is said", () => {
    for (const language of ["ts", "sh", "python"]) {
      const block = only(`# Title\n\n${fenced(language, "a")}\n`);
      assert.deepEqual(block.mark, { kind: "run", given: "", status: 0 });
      assert.equal(block.line, 3);
      assert.equal(block.code, "a\n");
    }
  });

  it("leaves what is no program alone", () => {
    for (const language of ["", "text", "json", "yaml"]) assert.equal(only(fenced(language, "a")).mark, undefined);
  });

  it("takes a first line of a file's name for that file", () => {
    assert.deepEqual(only(fenced("ts", "// eval.ts\na")).mark, { kind: "file", name: "eval.ts" });
    assert.deepEqual(only(fenced("python", "# ask.py\na")).mark, { kind: "file", name: "ask.py" });
    assert.equal(only(fenced("ts", "// see eval.ts\na")).mark?.kind, "run");
  });

  it("reads what the comment before says", () => {
    const mark = (comment: string, language = "sh") => only(`<!-- ${comment} -->\n\n${fenced(language, "a")}`).mark;
    assert.deepEqual(mark("not run: it wants a GPU"), { kind: "not run", reason: "it wants a GPU" });
    assert.deepEqual(mark("run by tests/a_test.ts"), { kind: "run by", test: "tests/a_test.ts" });
    assert.deepEqual(mark("given:\nconst b = 1;", "ts"), { kind: "run", given: "const b = 1;\n", status: 0 });
    assert.deepEqual(mark("fails: 2"), { kind: "run", given: "", status: 2 });
    assert.deepEqual(mark("server"), { kind: "server" });
    assert.deepEqual(mark("printed", "text"), { kind: "printed" });
    assert.deepEqual(mark("file: a.json", "json"), { kind: "file", name: "a.json" });
    assert.deepEqual(mark("made by deno task schema"), { kind: "run", given: "", status: 0 });
  });

  it("refuses a mark without its reason", () => {
    assert.throws(
      () => only(`<!-- not run -->\n\n${fenced("ts", "a")}`),
      /docs\/page\.md:3: "not run" has to say more/,
    );
  });

  it("takes a list's indentation off", () => {
    assert.equal(only(`- item\n\n  \`\`\`sh\n  a\n    b\n  \`\`\`\n`).code, "a\n  b\n");
  });
});

describe("the manual", () => {
  const blocks = pages().flatMap((page) => blocksOf(page));

  it("has as many blocks as fences", () => {
    const fences = pages().flatMap((page) => readFileSync(`${ROOT}${page}`, "utf8").match(/^ *```/gm) ?? []);
    assert.equal(fences.length, blocks.length * 2);
  });

  it("names its programs' languages as the tests do", () => {
    const others = blocks.filter(({ language }) => /^(ts|typescript|js|sh|bash|shell|python|py)\b/.test(language));
    assert.deepEqual(
      others.filter(({ language }) => !/^(ts|sh|python)$/.test(language)).map(({ page, line }) => [page, line]),
      [],
    );
  });

  it("names tests that are there, where another test runs a block", () => {
    for (const { page, line, mark } of blocks) {
      if (mark?.kind === "run by") assert.ok(existsSync(`${ROOT}${mark.test}`), `${page}:${line}: ${mark.test}`);
    }
  });
});
