/**
 * What a command prints: for people, as wide as their terminal and in colour where there is one; for programs, JSON. What
 * it is asked for goes to the output, all else to the errors, so that a pipe has the one without the other.
 *
 * @module
 */

import { messageOf } from "../runtime/message.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { type Paint, paintFor } from "./paint.ts";
import { harmless } from "./text_width.ts";

/** Nobody reads what is printed any more, as behind `| head`: no failure, but nothing is left to do. */
export class ReaderGone extends Error {
  override readonly name = "ReaderGone";
}

/** Where a command prints. */
export class Console {
  /** Whether a program reads. */
  readonly isJson: boolean;
  /** Columns of the terminal; no end where there is none. */
  readonly width: number;
  readonly paint: Paint;
  readonly #runtime: Runtime;

  constructor(runtime: Runtime, { json }: { readonly json: boolean }) {
    const { output } = runtime.terminal;
    this.#runtime = runtime;
    this.isJson = json;
    this.width = output.columns() ?? (Number(runtime.environment("COLUMNS")) || Infinity);
    this.paint = paintFor(output, runtime);
  }

  /** Whether people look at what is printed. */
  get isSeen(): boolean {
    return this.#runtime.terminal.output.isTerminal();
  }

  /** Prints lines. @throws ReaderGone */
  async print(...lines: readonly string[]): Promise<void> {
    await this.write(lines.map((line) => `${line}\n`).join(""));
  }

  /** Prints a text as it is. @throws ReaderGone */
  async write(text: string): Promise<void> {
    if (!await this.#runtime.terminal.output.write(text)) throw new ReaderGone("nobody reads the output any more");
  }

  /** Prints a value as a JSON document. @throws ReaderGone */
  async printJson(value: unknown): Promise<void> {
    await this.print(JSON.stringify(value, null, 2));
  }

  /** Says something about the work, to people only. */
  async say(...lines: readonly string[]): Promise<void> {
    if (!this.isJson) await this.#runtime.terminal.errors.write(lines.map((line) => `${line}\n`).join(""));
  }

  /** Says why the command failed. */
  async fail(error: unknown): Promise<void> {
    const { terminal } = this.#runtime;
    const message = messageOf(error);
    const { code } = (error ?? {}) as { readonly code?: unknown };
    if (this.isJson) {
      const described = { message, ...(typeof code === "string" && { code }) };
      await terminal.errors.write(`${JSON.stringify({ error: described })}\n`);
    } else {
      const paint = paintFor(terminal.errors, this.#runtime);
      await terminal.errors.write(`${paint("warmcache:", "red")} ${harmless(message)}\n`);
    }
  }
}
