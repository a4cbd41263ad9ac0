/**
 * What the server tells of itself: to whoever watches it, and to people.
 *
 * @module
 */

import { z } from "@hono/zod-openapi";
import type { Operation } from "./operation.ts";
import { briefHealth, health, serverStatistics } from "./schemas/server_answers.ts";

const text = z.string();
const page = { "text/html": { schema: text } };
const alive = z.object({ status: z.literal("ok") }).openapi("Alive");
const notReady = z.object({ status: z.literal("not ready"), reasons: z.array(z.string()) }).openapi("NotReady");

/** Its routes. */
export const SERVER_OPERATIONS: readonly Operation[] = [
  {
    method: "get",
    path: "/livez",
    tag: "Server",
    summary: "Whether it is alive",
    description: "Never depends on models, nor on the cache.",
    answers: { 200: { description: "It is.", content: { "application/json": { schema: alive } } } },
  },
  {
    method: "get",
    path: "/readyz",
    tag: "Server",
    summary: "Whether it is to be sent requests",
    description: "Not while it drains, nor when a load has taken longer than any should. What is cold is no reason.",
    answers: {
      200: { description: "It is.", content: { "application/json": { schema: alive } } },
      503: { description: "It is not.", content: { "application/json": { schema: notReady } } },
    },
  },
  {
    method: "get",
    path: "/health",
    tag: "Server",
    summary: "What is warm, and how it is set up",
    description:
      "Where the server has keys, whoever has none that opens `status` is told the status and the version alone.",
    answers: {
      200: {
        description: "It answers, so it is well.",
        content: { "application/json": { schema: z.union([health, briefHealth]) } },
      },
    },
  },
  {
    method: "get",
    path: "/stats",
    tag: "Server",
    summary: "What the server and its caches have done",
    scope: "status",
    answers: { 200: { description: "Counts.", content: { "application/json": { schema: serverStatistics } } } },
  },
  {
    method: "get",
    path: "/metrics",
    tag: "Server",
    summary: "The same for Prometheus",
    scope: "status",
    answers: { 200: { description: "Prometheus' text format.", content: { "text/plain": { schema: text } } } },
  },
  {
    method: "get",
    path: "/openapi.json",
    tag: "Server",
    summary: "This document",
    answers: {
      200: {
        description: "OpenAPI 3.1.",
        content: { "application/json": { schema: z.looseObject({ openapi: z.string() }) } },
      },
    },
  },
  {
    method: "get",
    path: "/docs",
    tag: "Server",
    summary: "The same for people",
    answers: { 200: { description: "A page.", content: page } },
  },
];
