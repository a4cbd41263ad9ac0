/**
 * Answers to compress, as a model would have written them: chat completions in OpenAI's shape around text that was
 * written by people. The text is the documentation inside the npm packages that `deno.lock` pins, each paragraph used
 * once, so that everybody measures the same bytes and no answer repeats another by accident.
 */

import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { seededRandom } from "./harness.ts";

const PACKAGES = fileURLToPath(new URL("../node_modules/.deno", import.meta.url));
const SOURCES = /^(@types\+node|openai|onnxruntime-web|commander|hono|zod)@/;
const SHORTEST_PARAGRAPH = 40;
const TOOL_CALLS = 0.12;

/** `varied`: each answer is about something else. `repetitive`: one question asked of many texts, as evaluations do. */
export type Kind = "varied" | "repetitive";

/** Answers of one kind, drawn from text that no other writer has. */
export class Answers {
  readonly #kind: Kind;
  readonly #paragraphs: readonly string[];
  readonly #random: () => number;
  #at = 0;

  /** Writes answers from every `of`-th source file, from the one numbered `part` on. */
  constructor(kind: Kind, part: number, of: number) {
    this.#kind = kind;
    this.#paragraphs = shuffledFiles().filter((_, file) => file % of === part).flat();
    this.#random = seededRandom(part + 1);
  }

  /** How many characters of text are left. */
  get left(): number {
    return this.#paragraphs.slice(this.#at).reduce((sum, { length }) => sum + length, 0);
  }

  /** An answer of about `bytes` bytes of JSON. */
  next(bytes: number): Uint8Array {
    const room = Math.max(40, bytes - JSON.stringify(this.#completion("", false)).length);
    const content = this.#kind === "varied" ? this.#text(room) : this.#verdicts(room);
    return new TextEncoder().encode(JSON.stringify(this.#completion(content, this.#random() < TOOL_CALLS)));
  }

  #completion(content: string, asTool: boolean): unknown {
    const prompt = this.#number(20, 3000);
    const completion = Math.ceil(content.length / 4) + this.#number(0, 20);
    return {
      id: `chatcmpl-${this.#letters(29)}`,
      object: "chat.completion",
      created: this.#number(1_790_000_000, 1_793_000_000),
      model: "gpt-4o-mini-2024-07-18",
      choices: [{
        index: 0,
        message: asTool
          ? {
            role: "assistant",
            content: null,
            tool_calls: [{
              id: `call_${this.#letters(24)}`,
              type: "function",
              function: {
                name: "write_note",
                arguments: JSON.stringify({ title: content.slice(0, 20), text: content }),
              },
            }],
            refusal: null,
          }
          : { role: "assistant", content, refusal: null },
        logprobs: null,
        finish_reason: asTool ? "tool_calls" : "stop",
      }],
      usage: { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion },
      system_fingerprint: this.#random() < 0.8 ? "fp_72ed7ab54c" : "fp_0ba0d124f1",
    };
  }

  /** The next paragraphs, as they follow each other in their source. */
  #text(length: number): string {
    let text = this.#paragraph();
    while (text.length < length) text += `\n\n${this.#paragraph()}`;
    return text.slice(0, length);
  }

  /** What a model says that was told to grade a text and to quote it. */
  #verdicts(length: number): string {
    let text = "";
    while (text.length < length) {
      const grade = this.#number(1, 5);
      text += `**Criterion ${this.#number(1, 9)}: ${this.#pick(CRITERIA)}**\n` +
        `The response ${this.#pick(FINDINGS)}. It says: "${this.#paragraph().slice(0, this.#number(30, 120))}". ` +
        `${this.#pick(REASONS)}, so I ${this.#pick(["would", "will"])} give it ${grade} out of 5.\n\n` +
        `Score: ${grade}\n\n`;
    }
    return text.slice(0, length);
  }

  #paragraph(): string {
    const paragraph = this.#paragraphs[this.#at++];
    if (paragraph === undefined) throw new RangeError("Cannot write another answer: the packages hold no more text");
    return paragraph;
  }

  #pick(choices: readonly string[]): string {
    return choices[this.#number(0, choices.length - 1)]!;
  }

  #number(least: number, most: number): number {
    return least + Math.floor(this.#random() * (most - least + 1));
  }

  #letters(count: number): string {
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    return Array.from({ length: count }, () => alphabet[Math.floor(this.#random() * 62)]).join("");
  }
}

const CRITERIA = ["Accuracy", "Helpfulness", "Clarity and structure", "Follows the instructions", "Safety", "Tone"];
const FINDINGS = [
  "answers the question that was asked and stays on topic",
  "is mostly correct but leaves out an important detail",
  "repeats the question without adding anything to it",
  "gives a clear explanation with a suitable example",
  "makes a claim that the given context does not support",
  "is well organised, though longer than it needs to be",
];
const REASONS = [
  "A reader who knows the subject would find nothing wrong here",
  "This is not what the instructions in the prompt asked for",
  "The main point is right and the rest does little harm",
  "There is no evidence for this in the passage above",
  "Taken together, the strengths outweigh the weaknesses",
];

/** Files in random order, so that each part of them has something of every package. */
function shuffledFiles(): string[][] {
  const random = seededRandom(7);
  return paragraphs().map((file) => ({ file, order: random() })).sort((a, b) => a.order - b.order).map(({ file }) =>
    file
  );
}

/** The paragraphs of each source file; those that are in several are left to the first. */
function paragraphs(): string[][] {
  const seen = new Set<string>();
  return sourceFiles().map((file) => {
    const text = readFileSync(file, "utf8").replaceAll("\r", "");
    return (file.endsWith(".md") ? text : comments(text)).split(/\n\s*\n/).map((paragraph) => paragraph.trim())
      .filter((paragraph) => {
        if (paragraph.length < SHORTEST_PARAGRAPH || seen.has(paragraph)) return false;
        seen.add(paragraph);
        return true;
      });
  });
}

function sourceFiles(): string[] {
  const packages = readdirSync(PACKAGES).filter((name) => SOURCES.test(name)).sort();
  return packages.flatMap((name) => {
    const root = `${PACKAGES}/${name}/node_modules/${name.replace(/@[^@]*$/, "").replace("+", "/")}`;
    const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((file) => /\.(md|d\.ts)$/.test(file));
    return files.sort().map((file) => `${root}/${file}`);
  });
}

/** The prose of the documentation comments: without their frames, links and tags. */
function comments(source: string): string {
  const blocks = source.match(/\/\*\*[\s\S]*?\*\//g) ?? [];
  return blocks.map((block) =>
    block.slice(3, -2).replaceAll(/^\s*\* ?/gm, "").replaceAll(/\{@link ([^}]*)\}/g, "$1").replaceAll(/^@.*$/gm, "")
  ).join("\n\n");
}
