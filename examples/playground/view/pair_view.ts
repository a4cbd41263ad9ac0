/// <reference lib="dom" />
/** Two answers to one question, side by side, and what is to be said of their difference. */

import { counted } from "../../../src/runtime/readable.ts";
import { difference } from "../difference.ts";
import type { Side } from "../question.ts";
import { make } from "./elements.ts";
import { SideView } from "./side_view.ts";

/** What is shown. */
export interface PairOptions {
  readonly models: Readonly<Record<Side, string>>;
  readonly prompt: string;
  readonly index: number;
  readonly count: number;
}

/** A pair of answers. */
export class PairView {
  readonly element: HTMLElement;
  readonly sides: Readonly<Record<Side, SideView>>;
  #isDue = false;

  constructor({ models, prompt, index, count }: PairOptions) {
    const sample = count > 1 ? `sample ${index + 1} of ${count}` : undefined;
    const view = (side: Side) => new SideView({ side, model: models[side], prompt, id: `${side}-${index}`, sample });
    this.sides = { base: view("base"), adapter: view("adapter") };
    this.element = make("li", { className: "pair" }, this.sides.base.element, this.sides.adapter.element);
  }

  /** Compares anew, once for all that comes before the next picture. */
  compareSoon(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      this.compare();
    });
  }

  /** Compares what is there; of an answer that is ahead of one that is still coming, only as much as that has. */
  compare(): void {
    const { base, adapter } = this.sides;
    const isWhole = base.hasEnded && adapter.hasEnded;
    const length = isWhole ? Infinity : Math.min(base.pieces.length, adapter.pieces.length);
    const texts = [base, adapter].map(({ pieces }) => pieces.slice(0, length).map(({ text }) => text));
    const found = difference(texts[0]!, texts[1]!);
    base.mark(found.base, found.parting);
    adapter.mark(found.adapter, found.parting);
  }

  /** The difference in a sentence, for those who do not see it; nothing where it cannot be told. */
  summary(): string {
    const { base, adapter } = this.sides;
    if (base.state !== "done" || adapter.state !== "done") return "";
    const [one, other] = [base, adapter].map(({ pieces }) => pieces.map(({ text }) => text));
    const { parting } = difference(one!, other!);
    const sizes = `${counted(one!.length, "token")} and ${counted(other!.length, "token")}`;
    if (parting !== undefined) return `${sizes}; they part at token ${parting + 1}.`;
    return one!.length === other!.length
      ? `${sizes}; they are the same.`
      : `${sizes}; one goes on where the other ends.`;
  }
}
