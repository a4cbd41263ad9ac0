/**
 * Takes the pictures of docs/dashboard.md: a server that has seen thirty days of work, in a real Chromium.
 *
 * deno run -A tests/dashboard/take_pictures.ts [folder, docs/pictures when left out]
 */

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { seededRandom } from "../support/random.ts";
import { launchChromium } from "../browser/support/chromium.ts";
import { type BusyServer, chatAnswer, messageAnswer, startBusyServer } from "./busy_server.ts";

const DAY = 86_400_000;
const DAYS = 30;
const EARLIER = Math.min(3 * 3_600_000, Date.now() % DAY);
const folder = process.argv[2] ?? "docs/pictures";
const random = seededRandom(7);
const upTo = (most: number): number => Math.floor(random() * most);

const QUESTIONS = [
  "Does the second paragraph follow from the first? Answer yes or no, then say why in one sentence.",
  "Grade this answer from 1 to 5 for helpfulness: “Restart the router and hold the button for ten seconds.”",
  "Translate into plain English: “Force majeure shall excuse performance for the duration thereof.”",
  "Which of these two summaries is closer to the source?",
  "List three reasons why this test could be flaky.",
  "Is the following statement supported by the table? The revenue of 2024 exceeded that of 2023.",
];
const MODELS = ["gpt-4o-mini", "gpt-4o", "claude-sonnet-4-5"];

function request(model: string, number: number): object {
  const content = `${QUESTIONS[number % QUESTIONS.length]} (case ${number})`;
  const system = "You are a careful grader. Answer briefly.";
  return model.startsWith("claude")
    ? { model, max_tokens: 256, system, messages: [{ role: "user", content }] }
    : { model, temperature: 0, messages: [{ role: "system", content: system }, { role: "user", content }] };
}

function pathFor(model: string): string {
  return model.startsWith("claude") ? "/anthropic/v1/messages" : "/openai/v1/chat/completions";
}

async function work(busy: BusyServer, from: number, to: number, asks: number): Promise<void> {
  await Promise.all(Array.from({ length: asks }, () => {
    const model = MODELS[Math.floor(random() ** 2 * MODELS.length)]!;
    // Evaluations repeat what they asked yesterday and add a little.
    const number = random() < 0.12 ? from + upTo(Math.max(1, to - from)) : upTo(Math.max(1, from));
    return busy.ask(pathFor(model), request(model, number), { "x-api-key": "k", Authorization: "Bearer k" });
  }));
}

const browser = await launchChromium();
if (browser === undefined) throw new Error("Cannot take pictures: Chromium is not installed");
await mkdir(folder, { recursive: true });
const fresh = await startBusyServer({ port: 8790 });
const busy = await startBusyServer({ maxLoadedModels: 2, maxRamBytes: 200_000_000, keepAlive: "5m" });
try {
  busy.upstream.answer = async ({ path, body }) => {
    await sleep(150 + upTo(900));
    const sizes = [900 + upTo(4000), 120 + upTo(900)] as const;
    const text = "Yes. The second paragraph restates the first with one more example, so it adds no new claim.";
    return path.startsWith("/v1/messages")
      ? messageAnswer(body.model, text, sizes)
      : chatAnswer(body.model, text, sizes);
  };
  for (let day = DAYS - 1; day >= 0; day--) {
    // Today's work was done some time ago, if it is late enough for that.
    busy.shift = day === 0 ? -EARLIER : -day * DAY;
    const isWeekend = [0, 6].includes(new Date(Date.now() + busy.shift).getUTCDay());
    const asked = (DAYS - day) * 12;
    await work(busy, asked, asked + 40, isWeekend ? 12 + upTo(20) : 90 + upTo(120));
  }
  // The last hour, minute by minute.
  for (let minute = Math.min(57, Math.floor(EARLIER / 60_000)); minute > 0; minute -= 1 + upTo(3)) {
    busy.shift = -minute * 60_000;
    await work(busy, 400, 430, 4 + upTo(18));
  }
  const verse = (model: string, prompt: string): Promise<number> =>
    busy.ask("/v1/completions", { model, prompt, max_tokens: 12, seed: 1 });
  busy.shift = -14 * 60_000;
  await verse("kjv-tiny-draft", "And it came to pass");
  busy.shift = -9 * 60_000;
  await verse("kjv-tiny", "In the beginning");
  await verse("kjv-tiny+fortunes", "In the beginning");
  busy.shift = -4 * 60_000;
  await verse("kjv-tiny-tuned", "And the LORD");
  busy.shift = -40_000;
  for (const prompt of ["And God said", "And God said", "Let there be", "In the beginning"]) {
    await verse("kjv-tiny", prompt);
  }
  busy.shift = 0;
  await verse("kjv-tiny", "And the earth was");
  await busy.ask(pathFor("gpt-4o"), request("gpt-4o", 500), { Authorization: "Bearer k" });

  const shots: readonly (readonly [name: string, path: string, scheme: "light" | "dark", isPhone: boolean])[] = [
    ["overview", "/", "light", false],
    ["overview-dark", "/", "dark", false],
    ["phone", "/", "dark", true],
    ["request", "first", "light", false],
    ["explain", "explain", "light", false],
  ];
  for (const [name, path, colorScheme, isPhone] of shots) {
    const context = await browser.newContext({
      colorScheme,
      viewport: isPhone ? { width: 390, height: 844 } : { width: 1440, height: 900 },
      deviceScaleFactor: 1,
      reducedMotion: "reduce",
    });
    const page = await context.newPage();
    page.on("console", (message) => message.type() === "error" && console.error(name, message.text()));
    if (path === "first" || path === "explain") {
      await page.goto(`${busy.server.url}/dashboard/requests?model=gpt-4o`);
      await page.locator(".stored a").first().click();
      if (path === "explain") {
        await page.getByRole("link", { name: "Explain a change to it" }).click();
        const box = page.getByLabel("Request", { exact: true });
        const text = await box.inputValue();
        await box.fill(
          text.replace("Answer briefly.", "Answer at length.").replace('"temperature": 0', '"temperature": 0.7'),
        );
        await page.getByRole("button", { name: "Explain" }).click();
        await page.locator(".finding").scrollIntoViewIfNeeded();
      }
    } else await page.goto(`${busy.server.url}${path}`);
    await page.screenshot({ path: join(folder, `${name}.png`) });
    await context.close();
  }
  const page = await browser.newPage({ colorScheme: "light", viewport: { width: 1440, height: 900 } });
  await page.goto(fresh.server.url);
  await page.screenshot({ path: join(folder, "first-run.png") });
} finally {
  await browser.close();
  await busy[Symbol.asyncDispose]();
  await fresh[Symbol.asyncDispose]();
}
