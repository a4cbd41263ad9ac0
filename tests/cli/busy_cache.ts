/**
 * A cache that has seen thirty days of work, always the same: two programs and a chat, in four models, with names and
 * texts that a terminal finds hard. Its clock is its own, so that ages and days do not change.
 */

import type { ResponseCache } from "../../src/cache/response_cache.ts";
import { openCacheOn } from "../../src/compose/open_cache.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { Clock, Runtime } from "../../src/runtime/runtime.ts";
import { seededRandom } from "../support/random.ts";

/** Now, for whoever looks at it. */
export const NOW: number = Date.UTC(2026, 10, 22, 12);
const DAY = 86_400_000;
const DAYS = 30;

const QUESTIONS = [
  "Does the second paragraph follow from the first? Answer yes or no, then say why in one sentence.",
  "Grade this answer from 1 to 5 for helpfulness: “Restart the router and hold the button for ten seconds.”",
  "フランス革命の原因を三つ挙げてください。それぞれ一文で説明してください。",
  "Which of these two summaries is closer to the source? 👩‍🔬🧪",
  "List three reasons why this test could be flaky.\n\n\u001b[31mred\u001b[0m \u202egnitirw\u202c",
  "Is the following statement supported by the table? The revenue of 2024 exceeded that of 2023.",
];

interface Asked {
  readonly model: string;
  readonly share: number;
  readonly microdollars: number;
  readonly namespace?: string;
}

const MODELS: readonly Asked[] = [
  { model: "gpt-4o-mini", share: 0.6, microdollars: 220 },
  { model: "claude-sonnet-4-5-20250929", share: 0.25, microdollars: 5200, namespace: "nightly" },
  { model: "通义千问-max", share: 0.1, microdollars: 900 },
  { model: "organisation/a-local-model-with-a-long-name+adapter", share: 0.05, microdollars: 0 },
];

/** A machine on which it is some time. */
export async function machineAt(now: () => number): Promise<Runtime> {
  const runtime = await loadRuntime();
  const clock: Clock = { ...runtime.clock, now, monotonic: now };
  return { ...runtime, clock, environment: () => undefined };
}

/** A question of the cache's. */
export function question(model: string, number: number): object {
  const content = `${QUESTIONS[number % QUESTIONS.length]} (case ${number})`;
  return {
    model,
    temperature: 0,
    messages: [{ role: "system", content: "You are a careful grader." }, { role: "user", content }],
  };
}

/** Fills a folder. @param scale how many times as many requests. */
export async function fillCache(directory: string, scale = 1): Promise<void> {
  const random = seededRandom(11);
  let now = NOW - DAYS * DAY;
  const cache = await openCacheOn(await machineAt(() => now), { directory, claimDuration: 0 });
  try {
    for (let day = DAYS - 1; day >= 0; day--) {
      const isWeekend = [0, 6].includes(new Date(NOW - day * DAY).getUTCDay());
      const asks = Math.round(scale * (isWeekend ? 3 : 10 + 14 * random()));
      for (let each = 0; each < asks; each++) {
        now = NOW - day * DAY - Math.floor(random() * 6 * 3_600_000);
        await ask(cache, random, (DAYS - day) * 5 * scale, (latency) => now += latency);
      }
    }
  } finally {
    await cache.close();
  }
}

async function ask(
  cache: ResponseCache,
  random: () => number,
  known: number,
  take: (latency: number) => void,
): Promise<void> {
  let place = random();
  const { model, microdollars, namespace } = MODELS.find(({ share }) => (place -= share) < 0) ?? MODELS[0]!;
  const number = Math.floor(random() ** 2 * known);
  const [sizes, ending] = [random(), random()];
  const answer = {
    model,
    choices: [{
      index: 0,
      message: { role: "assistant", content: `Yes. It restates the first (case ${number}) and adds no new claim.` },
      finish_reason: ending < 0.08 ? "length" : ending < 0.1 ? "content_filter" : "stop",
    }],
    usage: { prompt_tokens: 200 + Math.floor(900 * sizes), completion_tokens: 20 + Math.floor(300 * sizes) },
  };
  const cost = microdollars === 0 ? {} : { costMicrodollars: Math.round(microdollars * (0.5 + sizes)) };
  const options = { ...cost, ...namespace !== undefined && { namespace } };
  await cache.wrap(question(model, number), () => {
    take(500 + Math.floor(9000 * sizes));
    return Promise.resolve(answer);
  }, options);
}
