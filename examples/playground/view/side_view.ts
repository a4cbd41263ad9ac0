/// <reference lib="dom" />
/** One answer: its text as it comes, what differs in it, how likely each piece was, and what might have stood there. */

import { age, counted, duration, percent } from "../../../src/runtime/readable.ts";
import type { Fate } from "../answerer.ts";
import type { Alternative, Piece } from "../pieces.ts";
import type { Side } from "../question.ts";
import { make } from "./elements.ts";

/** Where an answer is. */
export type SideState = "waiting" | "coming" | "done" | "stopped" | "failed";

/** What an answer is shown with. */
export interface SideOptions {
  readonly side: Side;
  readonly model: string;
  readonly prompt: string;
  /** Tells its answer from others on the page. */
  readonly id: string;
  /** Sample 2 of 3, where there are several. */
  readonly sample: string | undefined;
}

/** How long an answer took, in milliseconds. */
export interface Times {
  /** Until it began. */
  readonly waited: number;
  /** From there on. */
  readonly took: number;
}

/** Shorter waits are not worth a word, in milliseconds. */
const LONG = 1000;

/** From 0, where nothing else was likely, to this, where it was a surprise. */
const SURPRISES = 5;

/** One answer. */
export class SideView {
  readonly element: HTMLElement;
  readonly pieces: Piece[] = [];
  readonly #text: HTMLElement;
  readonly #verdict: HTMLElement;
  readonly #facts: HTMLElement;
  readonly #place: HTMLElement;
  readonly #alternatives: HTMLElement;
  readonly #spans: HTMLElement[] = [];
  #state: SideState = "waiting";
  #problem = "";
  #parting: number | undefined;
  /** The piece that was chosen to be looked at. */
  #chosen: number | undefined;

  constructor({ side, model, prompt, id, sample }: SideOptions) {
    this.#verdict = make("span", { className: "verdict" });
    this.#text = make(
      "p",
      { className: "pieces", tabIndex: 0, role: "group", "aria-labelledby": `${id}-name`, "aria-describedby": "keys" },
      make("span", { className: "given" }, prompt),
    );
    this.#facts = make("p", { className: "sub" });
    this.#place = make("h4", { className: "place-name" });
    this.#alternatives = make("ol", { className: "alternatives" });
    const name = [make("strong", {}, model), ` ${side}`, ...sample === undefined ? [] : [`, ${sample}`]];
    this.element = make(
      "article",
      { className: `side is-${side}`, "aria-labelledby": `${id}-name` },
      make("header", {}, make("h3", { id: `${id}-name` }, ...name), this.#verdict),
      this.#text,
      this.#facts,
      make("div", { className: "likely", hidden: true }, this.#place, this.#alternatives),
    );
    this.#enter("waiting", "Waiting");
    this.#listen();
  }

  get state(): SideState {
    return this.#state;
  }

  /** Why there will be no answer; empty while there may be one. */
  get problem(): string {
    return this.#problem;
  }

  /** Whether no more of it will come. */
  get hasEnded(): boolean {
    return this.#state !== "waiting" && this.#state !== "coming";
  }

  /** Puts pieces at the end. */
  add(pieces: readonly Piece[]): void {
    if (this.#state === "waiting") this.#enter("coming", "Generating");
    for (const piece of pieces) {
      const span = make("span", { className: `piece ${surpriseOf(piece)}` }, piece.text);
      this.#spans.push(span);
      this.pieces.push(piece);
      this.#text.append(span);
    }
  }

  /** The answer is there. */
  end(fate: Fate, finishReason: string | undefined, { waited, took }: Times): void {
    const tokens = counted(this.pieces.length, "token");
    const end = finishReason === "length" ? "cut at the limit" : "ended by itself";
    if (fate.outcome === "hit") {
      this.#enter("done", "Hit");
      this.#verdict.classList.add("is-hit");
      const saved = fate.saved === undefined ? tokens : `${tokens} and ${duration(fate.saved)}`;
      const old = fate.created === undefined ? [] : [oldness(Date.now() - fate.created)];
      this.#facts.append(make("strong", {}, `Saved ${saved}`), ["", ...old, end].join(" · "));
    } else {
      this.#enter("done", fate.outcome === "shared" ? "Shared" : "Generated");
      this.#verdict.classList.add("is-miss");
      const waiting = waited < LONG ? [] : [`waited ${duration(waited)} for the model`];
      const unkept = fate.unkept === undefined ? [] : [`not kept: ${fate.unkept}`];
      this.#facts.append([`${tokens} in ${duration(took)}`, ...waiting, end, ...unkept].join(" · "));
    }
  }

  /** Nobody waits for the rest. */
  stop(): void {
    this.#enter("stopped", "Stopped");
    this.#facts.append(`${counted(this.pieces.length, "token")} · what is broken off is not kept`);
  }

  /** There will be no answer. */
  fail(message: string): void {
    this.#problem = message;
    this.#enter("failed", "Failed");
    this.#facts.append(make("span", { className: "error" }, message));
  }

  /** Shows which pieces the other side has too, and where the two part. */
  mark(common: readonly boolean[], parting: number | undefined): void {
    for (const [index, span] of this.#spans.entries()) {
      span.classList.toggle("is-different", common[index] === false);
      span.classList.toggle("is-parting", index === parting);
    }
    this.#parting = parting;
    this.#showAlternatives();
  }

  #enter(state: SideState, word: string): void {
    this.#state = state;
    this.element.dataset.state = state;
    this.#text.ariaBusy = String(state === "coming");
    this.#verdict.className = "verdict";
    this.#verdict.textContent = word;
    if (state !== "coming") this.#facts.replaceChildren();
  }

  #listen(): void {
    this.#text.addEventListener("pointerover", ({ target }) => this.#showAlternatives(this.#indexOf(target)));
    this.#text.addEventListener("pointerleave", () => this.#showAlternatives());
    this.#text.addEventListener("click", ({ target }) => this.#choose(this.#indexOf(target)));
    // Whoever goes from token to token is told of each; whoever is elsewhere is not.
    const likely = this.#place.parentElement!;
    this.#text.addEventListener("focus", () => likely.ariaLive = "polite");
    this.#text.addEventListener("blur", () => likely.ariaLive = "off");
    this.#text.addEventListener("keydown", (event) => {
      const last = this.#spans.length - 1;
      const at = this.#chosen ?? this.#parting ?? (event.key === "ArrowLeft" ? last + 1 : -1);
      const to = { ArrowLeft: Math.max(0, at - 1), ArrowRight: Math.min(last, at + 1), Home: 0, End: last }[event.key];
      if (to === undefined ? event.key !== "Escape" : last < 0) return;
      event.preventDefault();
      this.#choose(to);
    });
  }

  #indexOf(target: EventTarget | null): number | undefined {
    const index = this.#spans.indexOf(target as HTMLElement);
    return index < 0 ? undefined : index;
  }

  #choose(index: number | undefined): void {
    this.#chosen = index;
    this.#showAlternatives();
  }

  /** Those of a piece; where none is said of the one that was chosen, else of the one in which the two part. */
  #showAlternatives(index: number | undefined = this.#chosen ?? this.#parting): void {
    for (const [at, span] of this.#spans.entries()) {
      span.classList.toggle("is-looked-at", at === index && at !== this.#parting);
    }
    const piece = index === undefined ? undefined : this.pieces[index];
    const isKnown = piece !== undefined && piece.alternatives.length > 0;
    this.#place.parentElement!.hidden = !isKnown;
    if (!isKnown) return;
    this.#place.textContent = `Token ${index! + 1}${index === this.#parting ? ", where they part" : ""}`;
    this.#alternatives.replaceChildren(
      ...piece.alternatives.map((each) => alternativeView(each, each.text === piece.text)),
    );
  }
}

function alternativeView({ text, probability }: Alternative, isTaken: boolean): HTMLElement {
  const bar = make("span", { className: "bar" });
  bar.style.setProperty("--share", String(probability));
  return make(
    "li",
    { className: isTaken ? "is-taken" : "" },
    make("code", {}, shown(text)),
    bar,
    make("span", {}, probability < 0.001 ? "< 0.1\u00a0%" : percent(probability)),
    ...isTaken ? [make("span", { className: "unseen" }, "taken")] : [],
  );
}

function oldness(time: number): string {
  return time < 1000 ? "from just now" : `${age(time)} old`;
}

/** With what nobody would see. */
function shown(text: string): string {
  return text.replaceAll("\n", "⏎").replaceAll("\t", "⇥").replaceAll(/^ | $/g, "·");
}

/** How much of a surprise a piece was: each step is a bit and a half. */
function surpriseOf({ probability }: Piece): string {
  if (probability === undefined) return "";
  return `surprise-${Math.min(SURPRISES, Math.floor(-Math.log2(probability) / 1.5))}`;
}
