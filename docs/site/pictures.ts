/**
 * Pictures: how large they are, so that nothing jumps when they come, and whether there is one for the dark.
 *
 * @module
 */

import { existsSync, readFileSync } from "node:fs";
import type { Size } from "./markdown.ts";

/** Pixels of a picture's side for each of the page's: screenshots are taken at two. */
const DENSITY = 2;

/** The size in which a PNG or SVG is to be shown. */
export function sizeOf(file: string): Size | undefined {
  const bytes = readFileSync(file);
  if (file.endsWith(".png")) {
    // The header's first chunk: https://www.w3.org/TR/png-3/#11IHDR
    return {
      width: Math.round(bytes.readUInt32BE(16) / DENSITY),
      height: Math.round(bytes.readUInt32BE(20) / DENSITY),
    };
  }
  const box = /viewBox="0 0 ([\d.]+) ([\d.]+)"/.exec(bytes.toString("utf8"));
  return box === null ? undefined : { width: Number(box[1]), height: Number(box[2]) };
}

/** The file that shows the same in the dark, if there is one. */
export function darkTwin(file: string): string | undefined {
  const twin = file.replace(/(\.\w+)$/, "-dark$1");
  return existsSync(twin) ? twin : undefined;
}
