/** The three official clients, seen alike: each asks its provider for all at once, or for a stream. */

import Anthropic from "@anthropic-ai/sdk";
import { GoogleGenAI } from "@google/genai";
import OpenAI from "openai";

/** What was said, and which tools were called with what. */
export interface Said {
  readonly text: string;
  readonly calls: readonly { readonly name: unknown; readonly input: unknown }[];
}

/** One client: asks for all at once, or for a stream. */
export interface Client {
  whole(prompt: string): Promise<{ readonly answer: object } & Said>;
  stream(prompt: string, signal?: AbortSignal): Promise<Said>;
}

/** How a client gets to its provider. */
export interface Reach {
  /** Where the provider is, without a slash at the end and without the version of its interface. */
  readonly url: string;
  readonly apiKey?: string;
  readonly maxRetries?: number;
  readonly fetch?: typeof fetch;
  readonly headers?: Record<string, string>;
}

function options({ apiKey = "secret", maxRetries = 0, fetch, headers = {} }: Reach) {
  return { apiKey, maxRetries, defaultHeaders: headers, ...(fetch && { fetch }) };
}

/** The tool that each of them offers. */
const TOOL = { name: "umbrella", description: "Opens it.", parameters: { type: "object", properties: {} } };
const callOf = (name: unknown, text: unknown): Said["calls"][number] => ({ name, input: JSON.parse(String(text)) });

function openaiChat(reach: Reach): Client {
  const client = new OpenAI({ ...options(reach), baseURL: `${reach.url}/v1` });
  const tools = [{ type: "function" as const, function: TOOL }];
  const ask = (content: string) => ({ model: "gpt-4o-mini", tools, messages: [{ role: "user" as const, content }] });
  const said = ({ choices: [choice] }: OpenAI.Chat.ChatCompletion): Said => ({
    text: choice!.message.content ?? "",
    calls: (choice!.message.tool_calls ?? []).flatMap((call) =>
      call.type === "function" ? [callOf(call.function.name, call.function.arguments)] : []
    ),
  });
  return {
    whole: async (prompt) => {
      const answer = await client.chat.completions.create(ask(prompt));
      return { answer, ...said(answer) };
    },
    stream: async (prompt, signal) =>
      said(await client.chat.completions.stream(ask(prompt), signal ? { signal } : {}).finalChatCompletion()),
  };
}

function openaiResponses(reach: Reach): Client {
  const client = new OpenAI({ ...options(reach), baseURL: `${reach.url}/v1` });
  const tools = [{ type: "function" as const, strict: null, ...TOOL }];
  const ask = (input: string) => ({ model: "gpt-4o-mini", tools, input });
  const said = ({ output_text, output }: OpenAI.Responses.Response): Said => ({
    text: output_text,
    calls: output.flatMap((item) => item.type === "function_call" ? [callOf(item.name, item.arguments)] : []),
  });
  return {
    whole: async (prompt) => {
      const answer = await client.responses.create(ask(prompt));
      return { answer, ...said(answer) };
    },
    stream: async (prompt, signal) =>
      said(await client.responses.stream(ask(prompt), signal ? { signal } : {}).finalResponse()),
  };
}

function anthropicMessages(reach: Reach): Client {
  const client = new Anthropic({ ...options(reach), baseURL: reach.url });
  const { parameters, ...rest } = TOOL;
  const tools = [{ ...rest, input_schema: parameters as Anthropic.Tool.InputSchema }];
  const ask = (content: string) => ({
    model: "claude-haiku-4-5",
    max_tokens: 99,
    tools,
    messages: [{ role: "user" as const, content }],
  });
  const said = ({ content }: Anthropic.Message): Said => ({
    text: content.map((block) => block.type === "text" ? block.text : "").join(""),
    calls: content.flatMap((block) => block.type === "tool_use" ? [{ name: block.name, input: block.input }] : []),
  });
  return {
    whole: async (prompt) => {
      const answer = await client.messages.create(ask(prompt));
      return { answer, ...said(answer) };
    },
    stream: async (prompt, signal) =>
      said(await client.messages.stream(ask(prompt), signal ? { signal } : {}).finalMessage()),
  };
}

/** Google's own client. */
export function google({ url, apiKey = "secret", maxRetries = 0, fetch, headers = {} }: Reach): GoogleGenAI {
  return new GoogleGenAI({
    // The only one that the mock speaks.
    apiVersion: "v1beta",
    apiKey,
    httpOptions: {
      baseUrl: url,
      headers,
      ...(fetch && { fetch }),
      ...(maxRetries > 0 && { retryOptions: { attempts: maxRetries + 1, initialDelay: 0.001 } }),
    },
  });
}

/** {@link google} as the others. */
export function gemini(reach: Reach): Client {
  const { models } = google(reach);
  const { parameters: _, ...declaration } = TOOL;
  const ask = (contents: string, abortSignal?: AbortSignal) => ({
    model: "gemini-2.5-flash",
    contents,
    config: { tools: [{ functionDeclarations: [declaration] }], ...(abortSignal && { abortSignal }) },
  });
  const calls = (parts: readonly { name?: string; args?: object }[] = []): Said["calls"] =>
    parts.map(({ name, args }) => ({ name, input: args }));
  return {
    whole: async (prompt) => {
      const { sdkHttpResponse: _, ...answer } = await models.generateContent(ask(prompt));
      return { answer, text: textOf(answer), calls: calls(callsOf(answer)) };
    },
    stream: async (prompt, signal) => {
      const said = { text: "", calls: [] as Said["calls"][number][] };
      for await (const chunk of await models.generateContentStream(ask(prompt, signal))) {
        said.text += textOf(chunk);
        said.calls.push(...calls(callsOf(chunk)));
      }
      return said;
    },
  };
}

type Content = { candidates?: { content?: { parts?: Part[] } }[] };
type Part = { text?: string; thought?: boolean; functionCall?: { name?: string; args?: object } };
const partsOf = ({ candidates }: Content): Part[] => candidates?.[0]?.content?.parts ?? [];
const textOf = (content: Content): string =>
  partsOf(content).map(({ text, thought }) => thought ? "" : text ?? "").join("");
const callsOf = (content: Content) => partsOf(content).flatMap(({ functionCall }) => functionCall ?? []);

/** The clients, and the provider of each, as it is named in a table of upstreams. */
export const CLIENTS: Readonly<
  Record<string, { readonly provider: string; readonly clientOf: (reach: Reach) => Client }>
> = {
  "OpenAI's chat completions": { provider: "openai", clientOf: openaiChat },
  "OpenAI's responses": { provider: "openai", clientOf: openaiResponses },
  "Anthropic's messages": { provider: "anthropic", clientOf: anthropicMessages },
  "Gemini's generateContent": { provider: "google", clientOf: gemini },
};
