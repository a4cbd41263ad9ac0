/** What the other examples run: a small evaluation, of twelve calls to a model. */

import type { ResponseCache } from "@warmcache/warmcache";
import type OpenAI from "openai";
import process from "node:process";

const MODEL = process.env.MODEL ?? "gpt-4o-mini";

const QUESTIONS = [
  ["What is 17 + 25?", "42"],
  ["What is the capital of Australia?", "Canberra"],
  ["Which planet is nearest to the sun?", "Mercury"],
  ["How many sides does a hexagon have?", "6"],
  ["Which metal is liquid at room temperature?", "Mercury"],
  ["In which year did the Berlin Wall fall?", "1989"],
  ["What is the chemical symbol of gold?", "Au"],
] as const;

const PUZZLE = "A bat and a ball cost 110 cents. The bat costs 100 cents more than the ball. What does the ball cost?";

/** What came of it. */
export interface Score {
  right: number;
  asked: number;
  /** What the model said to the puzzle most often, and how often. */
  verdict: string;
  votes: number;
  samples: number;
}

/** Asks every question once, and one puzzle five times. */
export async function evaluate(cache: ResponseCache, client: OpenAI): Promise<Score> {
  const ask = (body: OpenAI.ChatCompletionCreateParamsNonStreaming) => client.chat.completions.create(body);

  // One call of the function for all that is not in the cache yet.
  const requests = QUESTIONS.map(([question]) => requestFor(question, 0));
  const answers = await cache.wrapMany(requests, (missing) => Promise.resolve(missing.map(ask)));
  const right = answers.filter((answer, index) => textOf(answer) === QUESTIONS[index]![1]).length;

  // Five answers to one request: what is stored counts, only the rest is asked for.
  const puzzle = requestFor(PUZZLE, 1);
  const said = await cache.wrapSamples(
    puzzle,
    5,
    (count) => Promise.resolve(Array.from({ length: count }, () => ask(puzzle))),
  );
  const byText = Object.entries(Object.groupBy(said, textOf)).map(([text, same]) => [text, same!.length] as const);
  const [[verdict, votes]] = byText.toSorted(([, a], [, b]) => b - a) as [[string, number]];

  return { right, asked: QUESTIONS.length, verdict, votes, samples: said.length };
}

function requestFor(question: string, temperature: number): OpenAI.ChatCompletionCreateParamsNonStreaming {
  const messages = [
    { role: "system", content: "Answer with one word or one number, without a full stop." },
    { role: "user", content: question },
  ] as const;
  return { model: MODEL, temperature, messages: [...messages] };
}

function textOf(answer: OpenAI.ChatCompletion): string {
  return answer.choices[0]?.message.content?.trim() ?? "";
}
