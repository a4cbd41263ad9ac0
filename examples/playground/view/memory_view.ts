/// <reference lib="dom" />
/** What the cache keeps in this browser: what it saved, and what was asked before. */

import { age, bytes, count, counted, duration } from "../../../src/runtime/readable.ts";
import type { Asked, Savings } from "../page_models.ts";
import type { Side } from "../question.ts";
import { find, make } from "./elements.ts";

/** Shows what was saved. */
export function showSavings(savings: Savings): void {
  const { hits, lookups, tokens, waiting, entries, place, isInFiles } = savings;
  const facts = [
    { name: "Answers from the cache", value: `${count(hits)} of ${count(lookups)}`, isWarm: hits > 0 },
    { name: "Not generated again", value: counted(tokens, "token"), isWarm: tokens > 0 },
    { name: "Not waited for again", value: duration(waiting), isWarm: waiting > 0 },
    { name: "Kept", value: entries === null ? "unknown" : counted(entries, "answer"), under: sizeOf(savings) },
  ];
  find("saved", HTMLElement).replaceChildren(...facts.map(({ name, value, isWarm, under = "" }) =>
    make(
      "div",
      { className: isWarm === undefined ? "" : isWarm ? "is-warm" : "is-none" },
      make("dt", {}, name),
      make("dd", {}, make("strong", {}, value), make("span", { className: "under" }, under)),
    )
  ));
  find("place", HTMLElement).textContent = place;
  find("along", HTMLElement).hidden = !isInFiles || !entries;
}

function sizeOf({ storedBytes, ratio }: Savings): string {
  if (storedBytes === null || storedBytes === 0) return "";
  return `${bytes(storedBytes)}${ratio === null || ratio < 1.05 ? "" : `, ${ratio.toFixed(1)} times shorter`}`;
}

/** Has a button for each side's file; `take` is called with the side. */
export function offerFiles(names: Readonly<Record<Side, string>>, take: (side: Side) => void): void {
  for (const button of find("along", HTMLElement).querySelectorAll("button")) {
    const side = button.dataset.side as Side;
    button.textContent = names[side];
    button.addEventListener("click", () => take(side));
  }
}

/** Has the browser save a file. */
export function download(file: File): void {
  const url = URL.createObjectURL(file);
  make("a", { href: url, download: file.name }).click();
  URL.revokeObjectURL(url);
}

/** Shows what was asked before; `again` is called with what is to be asked again. */
export function showHistory(asked: readonly Asked[], again: (asked: Asked) => void): void {
  find("no-history", HTMLElement).hidden = asked.length > 0;
  find("forget", HTMLButtonElement).hidden = asked.length === 0;
  find("history", HTMLElement).replaceChildren(...asked.map((each) => {
    const { question: { prompt, temperature, maxTokens, seed }, samples, created } = each;
    const facts = [
      Date.now() - created < 1000 ? "just now" : `${age(Date.now() - created)} ago`,
      `temperature ${temperature}`,
      `${maxTokens} tokens`,
      `seed ${seed}`,
      ...samples > 1 ? [`${samples} samples`] : [],
    ];
    const button = make(
      "button",
      { className: "again", type: "button" },
      make("strong", {}, prompt),
      make("span", {}, facts.join(" · ")),
    );
    button.addEventListener("click", () => again(each));
    return make("li", {}, button);
  }));
}
