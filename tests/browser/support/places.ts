/** Where the browsers are. */

import { accessSync } from "node:fs";
import process from "node:process";

const PLACES: Readonly<Record<"chromium" | "firefox", readonly (string | undefined)[]>> = {
  chromium: [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"],
  firefox: [process.env.FIREFOX, "/usr/bin/firefox-esr", "/usr/bin/firefox"],
};

/** A browser's program; `undefined` where it is not installed. */
export function placeOf(name: "chromium" | "firefox"): string | undefined {
  return PLACES[name].find((place) => place !== undefined && isThere(place));
}

function isThere(path: string): boolean {
  try {
    accessSync(path);
    return true;
  } catch {
    return false;
  }
}
