/**
 * How the page of the documentation looks: one column, light or dark as the reader has it, nothing from elsewhere.
 *
 * @module
 */

/** The page's only style sheet. */
export const DOCS_STYLE = `
:root {
  color-scheme: light dark;
  --paper: light-dark(#fbfaf8, #16171a);
  --card: light-dark(#ffffff, #1d1f23);
  --sunk: light-dark(#f3f1ed, #121316);
  --line: light-dark(#e3dfd8, #30333a);
  --ink: light-dark(#22211f, #e6e4e0);
  --soft: light-dark(#66625b, #a09c95);
  --accent: light-dark(#a8430f, #ff9d66);
  --get: light-dark(#0b6b53, #5fd3b0);
  --post: light-dark(#2a54c4, #93b2ff);
  --other: light-dark(#8a5a00, #f0bd5c);
  --mono: ui-monospace, "SF Mono", "Cascadia Code", Menlo, Consolas, monospace;
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; scroll-padding-top: 4.5rem; -webkit-text-size-adjust: 100%; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
a { color: var(--accent); text-underline-offset: 0.15em; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 4px; }
code, pre { font-family: var(--mono); font-size: 0.875em; }
code { overflow-wrap: anywhere; }
.wrap { max-width: 60rem; margin: 0 auto; padding: 0 1.25rem; }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: 0.5rem; background: var(--card); padding: 0.5rem; z-index: 3; }
header.top { padding: 2.25rem 0 0.5rem; }
h1 { font-size: 1.9rem; letter-spacing: -0.02em; line-height: 1.2; margin: 0; display: flex; flex-wrap: wrap; gap: 0.25rem 0.75rem; align-items: baseline; }
h1 small { font: 0.875rem var(--mono); color: var(--soft); letter-spacing: 0; }
.lead { color: var(--soft); max-width: 44rem; margin: 0.75rem 0; }
.bar { position: sticky; top: 0; z-index: 2; background: color-mix(in srgb, var(--paper) 92%, transparent); backdrop-filter: blur(6px); border-bottom: 1px solid var(--line); }
.bar .wrap { display: flex; flex-wrap: wrap; align-items: center; gap: 0.5rem 1rem; padding-block: 0.6rem; }
.bar form { display: flex; flex: 1 1 15rem; gap: 0.4rem; }
.bar nav { display: flex; flex-wrap: wrap; gap: 0.1rem 0.9rem; font-size: 0.9rem; }
.bar nav a { color: var(--ink); text-decoration: none; padding: 0.2rem 0; white-space: nowrap; }
.bar nav a:hover { color: var(--accent); text-decoration: underline; }
input, button { font: inherit; color: inherit; border: 1px solid var(--line); border-radius: 0.5rem; background: var(--card); padding: 0.4rem 0.75rem; min-width: 0; }
input { flex: 1; }
button { cursor: pointer; }
button:hover { border-color: var(--accent); }
section { margin: 2.25rem 0; }
h2 { font-size: 1.25rem; letter-spacing: -0.01em; margin: 0 0 0.15rem; }
h3 { font-size: 0.78rem; text-transform: uppercase; letter-spacing: 0.06em; color: var(--soft); margin: 1.4rem 0 0.4rem; font-weight: 600; }
.about { color: var(--soft); margin: 0 0 0.9rem; }
details.card { background: var(--card); border: 1px solid var(--line); border-radius: 0.6rem; margin: 0.5rem 0; }
details.card > summary { cursor: pointer; padding: 0.7rem 0.9rem; display: grid; grid-template-columns: 3.2rem minmax(15rem, 21rem) 1fr auto; gap: 0.15rem 0.9rem; align-items: baseline; list-style: none; border-radius: 0.6rem; }
details.card > summary::-webkit-details-marker { display: none; }
details.card > summary::after { content: "+"; color: var(--soft); font-family: var(--mono); }
details.card[open] > summary::after { content: "\\2212"; }
details.card > summary:hover { background: var(--sunk); }
details.card[open] > summary { border-bottom: 1px solid var(--line); border-radius: 0.6rem 0.6rem 0 0; }
.method { font: 600 0.75rem var(--mono); letter-spacing: 0.02em; color: var(--other); }
.method.get { color: var(--get); }
.method.post { color: var(--post); }
.path { font: 500 0.92rem var(--mono); overflow-wrap: anywhere; }
.path i { color: var(--accent); font-style: normal; }
.what { color: var(--soft); font-size: 0.92rem; }
.inside { padding: 0.4rem 0.9rem 1rem; }
.inside > p { margin: 0.6rem 0; max-width: 46rem; }
.lock { font-size: 0.85rem; color: var(--soft); }
pre { background: var(--sunk); border: 1px solid var(--line); border-radius: 0.5rem; padding: 0.75rem 0.9rem; overflow-x: auto; margin: 0.4rem 0; line-height: 1.5; tab-size: 2; }
dl.fields { margin: 0; }
dl.fields > div { display: grid; grid-template-columns: minmax(8rem, 14rem) 1fr; gap: 0 1rem; padding: 0.4rem 0; border-top: 1px solid var(--line); }
dl.fields > div:first-child { border-top: 0; }
dl.fields dt { font: 500 0.875rem/1.5 var(--mono); overflow-wrap: anywhere; }
dl.fields dt b { color: var(--accent); font-weight: 400; }
dl.fields dd { margin: 0; min-width: 0; }
.type { font: 0.8rem/1.6 var(--mono); color: var(--soft); overflow-wrap: anywhere; }
.says { display: block; font-size: 0.92rem; overflow-wrap: anywhere; }
details.errors { margin-top: 0.4rem; }
details.errors > summary { cursor: pointer; color: var(--soft); font-size: 0.9rem; padding: 0.3rem 0; }
dd details > summary { cursor: pointer; color: var(--soft); font-size: 0.85rem; }
dd details dl.fields { padding-left: 0.75rem; border-left: 2px solid var(--line); margin-top: 0.25rem; }
.status { font: 600 0.875rem var(--mono); }
.ok { color: var(--get); }
.nothing { padding: 2rem 0; color: var(--soft); }
footer { border-top: 1px solid var(--line); margin-top: 3rem; padding: 1.25rem 0 3rem; color: var(--soft); font-size: 0.9rem; }
@media (max-width: 40rem) {
  .wrap { padding: 0 0.9rem; }
  header.top { padding-top: 1.4rem; }
  h1 { font-size: 1.6rem; }
  details.card > summary { grid-template-columns: 1fr auto; }
  details.card > summary > .method { grid-row: 1; grid-column: 1; }
  details.card > summary > .path, .what { grid-column: 1 / 2; }
  details.card > summary::after { grid-row: 1; grid-column: 2; }
  .bar { position: static; }
  html { scroll-padding-top: 1rem; }
  .bar nav { gap: 0.1rem 0.75rem; }
  dl.fields > div { grid-template-columns: 1fr; }
  input { font-size: 1rem; }
}
@media print { .bar { display: none; } details.card { break-inside: avoid; } }
`;
