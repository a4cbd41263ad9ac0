/** Runs the examples of a page as its readers do: from top to bottom, each in the place that the ones before left. */

import assert from "node:assert/strict";
import { blocksOf, keptBy } from "./blocks.ts";
import type { Desk, Ended } from "./desk.ts";

/** Runs a page from top to bottom. */
export async function runPage(page: string, desk: Desk): Promise<void> {
  for (const { name, content } of keptBy(page)) await desk.keep(name, content);
  const named = new Set<string>();
  let last: Ended | undefined;
  for (const block of blocksOf(page)) {
    const { line, mark, code } = block;
    const place = `${page}:${line}`;
    if (mark?.kind === "file") {
      await desk.keep(mark.name, code);
      if (/\.(ts|py)$/.test(mark.name)) named.add(mark.name);
    }
    if (mark?.kind === "server" || mark?.kind === "run") {
      for (const name of named) if (code.includes(name)) named.delete(name);
    }
    if (mark?.kind === "server") await desk.serve(block);
    if (mark?.kind === "run") {
      last = await desk.run(block, mark.given);
      assert.equal(last.code, mark.status, `${place} ended with ${last.code}\n${last.output}${last.errors}`);
    }
    if (mark?.kind === "printed") {
      assert.ok(last, `${place}: nothing was run before`);
      const said = `${last.output}${last.errors}`;
      assert.ok(isLike(said, code), `${place}: what is printed is\n${said}`);
    }
  }
  for (const name of named) {
    const { code, output, errors } = await desk.runFile(name);
    assert.equal(code, 0, `${page}: ${name} ended with ${code}\n${output}${errors}`);
  }
}

/** Whether a program said this, `…` being anything. */
function isLike(said: string, written: string): boolean {
  const parts = written.trim().split("…").map((part) => RegExp.escape(part));
  // Headers end their lines with a carriage return, which no terminal shows.
  return new RegExp(`^${parts.join("[^]*?")}$`).test(said.replaceAll("\r", "").trim());
}
