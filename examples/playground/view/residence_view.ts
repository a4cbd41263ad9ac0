/// <reference lib="dom" />
/** The line that says what is warm, on what, and how far it is. */

import { bytes } from "../../../src/runtime/readable.ts";
import type { Residence } from "../residence.ts";
import { find, make } from "./elements.ts";

/** Shows how the model is. */
export function showResidence(model: string, residence: Residence): void {
  const { state, device, bytes: done, memory, problem, delay, adapters = [] } = residence;
  find("status", HTMLElement).dataset.state = state;
  const progress = find("progress", HTMLProgressElement);
  progress.hidden = state !== "loading";
  const isHere = done !== undefined && done.done === done.all;
  if (done !== undefined && !isHere) progress.value = done.done / done.all;
  else progress.removeAttribute("value");
  find("cool", HTMLButtonElement).hidden = state !== "warm";

  const name = make("strong", {}, model);
  const parts: Record<Residence["state"], (Node | string)[]> = {
    cold: [
      name,
      ` is cold. What the cache has needs no model; all else loads ${
        done ? bytes(done.all) : "it"
      } first, to run on ${device}.`,
    ],
    loading: isHere
      ? [name, ` is here (${bytes(done.all)}), and is being made ready …`]
      : ["Loading ", name, done === undefined ? " …" : `: ${bytes(done.done)} of ${bytes(done.all)}`],
    warm: [
      name,
      ` is warm on ${device}`,
      adapters.length > 0 ? `, with ${adapters.join(", ")} beside it` : "",
      memory === undefined ? "." : `: ${bytes(memory)}.`,
    ],
    failed: [name, ` could not be loaded: ${problem}`],
  };
  find("residence", HTMLElement).replaceChildren(...parts[state], delay === undefined ? "" : ` (${delay})`);
}
