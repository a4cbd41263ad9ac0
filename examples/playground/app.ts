/// <reference lib="dom" />
/** The page: a question is put to both models, and the answers are shown side by side as they come. */

import { messageOf } from "../../src/runtime/message.ts";
import type { Answerer } from "./answerer.ts";
import { openPageModels } from "./in_page.ts";
import { ServerAnswerer } from "./on_server.ts";
import type { Asked, PageModels } from "./page_models.ts";
import { PieceReader } from "./pieces.ts";
import { type Question, sampleOf, type Side, SIDES } from "./question.ts";
import { readSettings, type Settings } from "./settings.ts";
import { find, make } from "./view/elements.ts";
import { download, offerFiles, showHistory, showSavings } from "./view/memory_view.ts";
import { PairView } from "./view/pair_view.ts";
import { showResidence } from "./view/residence_view.ts";

const SUGGESTIONS = [
  "The heart of the fool",
  "The first law of",
  "A wise man",
  "And it came to pass",
  "Blessed are they",
];

const form = find("question", HTMLFormElement);
const prompt = find("prompt", HTMLTextAreaElement);
const [temperature, tokens, seed, samples] = ["temperature", "tokens", "seed", "samples"].map((id) =>
  find(id, HTMLInputElement)
) as [HTMLInputElement, HTMLInputElement, HTMLInputElement, HTMLInputElement];
const where = find("where", HTMLSelectElement);
const problem = find("problem", HTMLElement);

/** Ends what is under way. */
let underWay = new AbortController();

/** What is asked, once it is there. */
let settings: Settings;
let models: PageModels;

try {
  settings = await readSettings();
  models = await openPageModels(settings);
  models.onResidence((residence) => showResidence(settings.names.base, residence));
  offerServer(settings);
  offerSuggestions();
  offerFiles(settings.names, (side) => void told(async () => download(await models.database(side))));
  restoreQuestion();
  listen();
  await refresh();
  find("ask", HTMLButtonElement).disabled = false;
} catch (error) {
  problem.textContent = `The playground could not begin: ${messageOf(error)}`;
}
document.documentElement.dataset.ready = "";

function listen(): void {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const question = {
      prompt: prompt.value,
      maxTokens: tokens.valueAsNumber,
      temperature: temperature.valueAsNumber,
      seed: seed.valueAsNumber,
    };
    void ask(question, samples.valueAsNumber);
  });
  prompt.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    form.requestSubmit();
  });
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.defaultPrevented) underWay.abort();
  });
  find("stop", HTMLButtonElement).addEventListener("click", () => underWay.abort());
  find("show", HTMLFieldSetElement).addEventListener("change", ({ target }) => {
    find("answers", HTMLElement).dataset.show = (target as HTMLInputElement).value;
  });
  find("cool", HTMLButtonElement).addEventListener("click", () => {
    underWay.abort();
    void told(() => models.coolDown());
  });
  find("forget", HTMLButtonElement).addEventListener("click", async () => {
    await told(() => models.forget());
    await refresh();
    prompt.focus();
  });
}

async function ask(question: Question, count: number): Promise<void> {
  underWay.abort();
  const mine = underWay = new AbortController();
  rememberQuestion(question, count);
  problem.textContent = "";
  find("opening", HTMLElement).hidden = true;
  find("answers", HTMLElement).classList.remove("is-empty");
  const pairs = Array.from({ length: count }, (_, index) => {
    return new PairView({ models: settings.names, prompt: question.prompt, index, count });
  });
  find("pairs", HTMLElement).replaceChildren(...pairs.map(({ element }) => element));
  setBusy(true);
  showAnswers();
  const answerer = where.value === "server" ? new ServerAnswerer(settings.names) : models;
  for (const [index, pair] of pairs.entries()) {
    const sample = sampleOf(question, index);
    await Promise.all(SIDES.map((side) => answer(answerer, pair, side, sample, mine.signal)));
    if (underWay !== mine) return;
    announce(pair, index, count);
  }
  setBusy(false);
  await refresh();
}

async function answer(
  answerer: Answerer,
  pair: PairView,
  side: Side,
  question: Question,
  signal: AbortSignal,
): Promise<void> {
  const view = pair.sides[side];
  const asked = performance.now();
  let begun: number | undefined;
  try {
    signal.throwIfAborted();
    const { chunks, fate } = await answerer.ask(side, question, signal);
    const reader = new PieceReader();
    for await (const chunk of chunks) {
      begun ??= performance.now();
      view.add(reader.read(chunk));
      pair.compareSoon();
    }
    signal.throwIfAborted();
    const now = performance.now();
    view.end(fate(), reader.finishReason, { waited: (begun ?? now) - asked, took: now - (begun ?? now) });
  } catch (error) {
    if (signal.aborted) view.stop();
    else view.fail(messageOf(error));
  }
  pair.compare();
}

/** Tells those who do not see it. */
function announce(pair: PairView, index: number, count: number): void {
  const failed = SIDES.map((side) => pair.sides[side]).find(({ state }) => state === "failed");
  const which = count > 1 ? `Sample ${index + 1}: ` : "";
  find("news", HTMLElement).textContent = which + (failed === undefined ? pair.summary() : failed.problem);
}

/** Where they begin out of sight, as on a phone, one would not know that they come. */
function showAnswers(): void {
  const answers = find("answers", HTMLElement);
  const { top } = answers.getBoundingClientRect();
  if (top < 0 || top > innerHeight / 2) answers.scrollIntoView({ block: "start" });
}

/** One button takes the other's place, and the focus with it. */
function setBusy(isBusy: boolean): void {
  const buttons = [find("ask", HTMLButtonElement), find("stop", HTMLButtonElement)];
  const [hidden, shown] = isBusy ? buttons : buttons.toReversed();
  const hadFocus = document.activeElement === hidden;
  shown!.hidden = false;
  if (hadFocus) shown!.focus({ preventScroll: true });
  hidden!.hidden = true;
}

async function refresh(): Promise<void> {
  await told(async () => {
    const [savings, asked] = await Promise.all([models.savings(), models.history()]);
    showSavings(savings);
    showHistory(asked, askAgain);
  });
}

/** Does something, and says why it could not be done. */
async function told(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    problem.textContent = messageOf(error);
  }
}

function askAgain({ question, samples: count }: Asked): void {
  fill(question, count);
  form.requestSubmit();
}

function fill(question: Question, count: number): void {
  prompt.value = question.prompt;
  tokens.valueAsNumber = question.maxTokens;
  temperature.valueAsNumber = question.temperature;
  seed.valueAsNumber = question.seed;
  samples.valueAsNumber = count;
}

/** The address has the question, so that it is still there when the page is loaded anew, and can be sent to others. */
function rememberQuestion({ prompt, maxTokens, temperature, seed }: Question, count: number): void {
  const words = { prompt, tokens: maxTokens, temperature, seed, samples: count };
  const query = new URLSearchParams(Object.entries(words).map(([name, value]) => [name, String(value)]));
  history.replaceState(null, "", `?${query}`);
}

function restoreQuestion(): void {
  for (const [name, value] of new URLSearchParams(location.search)) {
    const field = form.elements.namedItem(name);
    if (field instanceof HTMLInputElement || field instanceof HTMLTextAreaElement) field.value = value;
  }
}

function offerServer({ server }: Settings): void {
  const [, option] = where.options;
  option!.disabled = server === undefined;
  find("about-server", HTMLElement).textContent = server === undefined
    ? "Started with --server, this page also asks a server."
    : `The server is the one at ${server}.`;
}

function offerSuggestions(): void {
  find("suggestions", HTMLElement).replaceChildren(...SUGGESTIONS.map((text) => {
    const button = make("button", { type: "button" }, text);
    button.addEventListener("click", () => {
      prompt.value = text;
      form.requestSubmit();
    });
    return make("li", {}, button);
  }));
}
