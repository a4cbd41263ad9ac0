/**
 * The pages' only style sheet. One hue, that of embers, stands for what is warm and what the cache answered; all else is
 * grey. Type is the system's, numbers stand under each other, lines and room divide, not boxes.
 *
 * @module
 */

/** As the browser gets it. */
export const STYLE: string = `
:root {
  color-scheme: light dark;
  --paper: light-dark(#f8f7f5, #141210);
  --sheet: light-dark(#ffffff, #1c1917);
  --well: light-dark(#f1eeea, #100e0d);
  --ink: light-dark(#1d1a17, #efeae4);
  --faint: light-dark(#696159, #a59b91);
  --line: light-dark(#e4dfd9, #302b27);
  --edge: light-dark(#8f857b, #7d736a);
  --ember: light-dark(#b3430a, #ff9257);
  --glow: light-dark(#e0622a, #f07b3f);
  --blush: light-dark(#fbe9dd, #33201a);
  --ash: light-dark(#cbc3ba, #4b443e);
  --soft: light-dark(#f0ab85, #a8562c);
  --track: light-dark(#e9e4de, #2a2622);
  --bad: light-dark(#a8142c, #ff9aa2);
  --cool: light-dark(#1f5a8a, #93c4ee);
  --cool-soft: light-dark(#e2eef8, #14293a);
  --sans: Inter, ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  --mono: ui-monospace, "SF Mono", "JetBrains Mono", "Cascadia Code", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  --gap: clamp(1rem, 2.5vw, 2.5rem);
}
:root[data-theme="light"] { color-scheme: light; }
:root[data-theme="dark"] { color-scheme: dark; }

*, *::before, *::after { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-padding-top: 4.5rem; }
body {
  margin: 0;
  background: var(--paper);
  color: var(--ink);
  font: 400 0.9375rem/1.5 var(--sans);
  font-feature-settings: "cv11", "ss03";
  font-variant-numeric: tabular-nums;
  overflow-wrap: break-word;
}
p, li, dd, code, .excerpt { overflow-wrap: anywhere; }
h1, h2, h3, p, dl, dd, ul, ol, figure, blockquote, pre, table { margin: 0; padding: 0; }
h1, h2, h3 { font-weight: 600; line-height: 1.25; text-wrap: balance; }
ul, ol { list-style: none; }
code, pre, textarea { font-family: var(--mono); font-size: 0.86em; font-variant-ligatures: none; }
a { color: inherit; text-decoration-color: var(--edge); text-underline-offset: 0.2em; }
a:hover { color: var(--ember); text-decoration-color: currentColor; }
:focus-visible { outline: 2px solid var(--ember); outline-offset: 2px; border-radius: 4px; }
main:focus { outline: none; }
[hidden] { display: none !important; }
.unseen {
  position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap;
}
.skip {
  position: absolute; left: 1rem; top: -4rem; z-index: 3; padding: 0.5rem 0.9rem; background: var(--ink);
  color: var(--paper); border-radius: 0 0 6px 6px; text-decoration: none;
}
.skip:focus { top: 0; color: var(--paper); }
.faint, .note, .lead { color: var(--faint); }
.error { color: var(--bad); }
.under { display: block; color: var(--faint); font-size: 0.8125rem; font-weight: 400; }

.width, main { max-width: 82rem; margin-inline: auto; padding-inline: var(--gap); }

.top {
  position: sticky; top: 0; z-index: 2; background: color-mix(in srgb, var(--paper) 88%, transparent);
  backdrop-filter: blur(12px); border-bottom: 1px solid var(--line);
}
.top .width { display: flex; align-items: center; gap: 0.5rem 2rem; min-height: 3.5rem; flex-wrap: wrap; }
.brand { display: flex; align-items: center; gap: 0.5rem; font-weight: 650; letter-spacing: -0.02em; text-decoration: none; font-size: 1.0625rem; }
.mark { width: 1.5rem; height: 1.5rem; flex: none; fill: none; }
.mark .hearth { stroke: var(--edge); stroke-width: 2.1; stroke-linecap: round; }
.mark .ember { fill: var(--glow); }
.top nav ul { display: flex; gap: 0.25rem; }
.top nav a { display: block; padding: 0.35rem 0.7rem; border-radius: 6px; text-decoration: none; color: var(--faint); font-weight: 500; }
.top nav a:hover { color: var(--ink); background: var(--track); }
.top nav a[aria-current] { color: var(--ink); background: var(--track); }
.tools { margin-left: auto; display: flex; align-items: center; gap: 0.75rem; color: var(--faint); font-size: 0.8125rem; }
.tools form { display: flex; align-items: center; gap: 0.4rem; }
.theme.is-easy button { display: none; }

button, select, input, textarea, .button {
  font: inherit; color: inherit; background: var(--sheet); border: 1px solid var(--edge); border-radius: 6px;
  padding: 0.4rem 0.7rem; min-height: 2.25rem;
}
input, textarea { background: var(--sheet); width: 100%; }
::placeholder { color: var(--faint); opacity: 1; }
textarea { line-height: 1.55; resize: vertical; padding: 0.8rem; font-family: var(--mono); font-size: 0.8125rem; }
button, .button { cursor: pointer; font-weight: 550; text-decoration: none; display: inline-block; }
form > button[type="submit"]:not(.quiet), .fields > button {
  background: var(--ember); border-color: var(--ember); color: light-dark(#fff, #22130a);
}
form > button[type="submit"]:not(.quiet):hover, .fields > button:hover { filter: brightness(1.08); }
button.quiet, .copy, .tools select { background: none; border-color: var(--line); padding: 0.15rem 0.55rem; min-height: 1.85rem; font-size: 0.8125rem; font-weight: 500; color: var(--faint); }
.tools select { background: var(--paper); }
button.quiet:hover, .copy:hover, .button:hover { border-color: var(--edge); color: var(--ink); }
label { font-size: 0.8125rem; font-weight: 550; color: var(--faint); }
[aria-invalid="true"] { border-color: var(--bad); }

.status { display: flex; align-items: center; gap: 0.6rem; padding-block: 1.1rem 0.4rem; color: var(--faint); font-size: 0.8125rem; min-height: 3.2rem; }
.status button { margin-left: auto; flex: none; }
.pulse { width: 0.5rem; height: 0.5rem; border-radius: 50%; background: var(--ash); flex: none; }
.is-live .pulse { background: var(--glow); animation: breathe 2.4s ease-in-out infinite; }
.is-paused .pulse { background: var(--ash); animation: none; }
@keyframes breathe { 50% { box-shadow: 0 0 0 0.3rem color-mix(in srgb, var(--glow) 22%, transparent); } }

.headline {
  display: grid; grid-template-columns: minmax(0, 5fr) minmax(0, 6fr); gap: 0; background: var(--sheet);
  border: 1px solid var(--line); border-radius: 12px; overflow: hidden;
}
.rate { padding: clamp(1.1rem, 2.2vw, 2rem); display: flex; flex-direction: column; border-right: 1px solid var(--line); }
.rate h1 { font-size: 0.9375rem; font-weight: 550; color: var(--faint); }
.rate .figure { font-size: clamp(3.5rem, 7.2vw, 6rem); line-height: 1.02; font-weight: 600; letter-spacing: -0.055em; margin: 0.1rem 0 0.35rem -0.04em; }
.rate .sign { font-size: 0.42em; font-weight: 500; letter-spacing: -0.02em; color: var(--faint); }
.figure.is-none, .is-none .sign { color: var(--ash); }
.ledger.is-none td { color: var(--faint) !important; }
.rate .hour { margin-top: auto; padding-top: 1.5rem; }
.hour .bars { height: 3.25rem; }
.ledger { padding: clamp(0.6rem, 1.4vw, 1.25rem) clamp(1.1rem, 2.2vw, 2rem); display: flex; align-items: center; }
.ledger table { width: 100%; table-layout: fixed; }
.ledger th:first-child, .ledger td:first-child { width: 28%; }
.ledger tbody tr:first-child > *, .ledger thead + tbody tr { border-top: 1px solid var(--line); }
.ledger th, .ledger td { padding: 0.42rem 0; }
.ledger tr.main td { font-size: 1.1875rem; font-weight: 600; letter-spacing: -0.015em; padding-block: 0.6rem; }
.ledger tr.main td:nth-child(2) { color: var(--ember); }
.ledger tr.main th { color: var(--ink); font-weight: 500; }

figcaption { display: flex; align-items: baseline; flex-wrap: wrap; gap: 0.15rem 0.75rem; color: var(--faint); font-size: 0.8125rem; margin-bottom: 0.35rem; }
figcaption strong { color: var(--ink); font-size: 1.0625rem; font-weight: 600; letter-spacing: -0.015em; margin-left: auto; }
.key { display: inline-flex; align-items: center; gap: 0.35rem; margin-left: auto; }
.dot { width: 0.6rem; height: 0.6rem; border-radius: 2px; display: inline-block; }
.dot.rest { margin-left: 0.6rem; }
.dot.fill { background: var(--glow); } .dot.rest { background: var(--ash); }
.bars { display: block; width: 100%; height: 4.5rem; border-bottom: 1px solid var(--line); }
.chart-top { display: block; min-height: 1rem; margin-bottom: 0.25rem; font-size: 0.75rem; color: var(--faint); line-height: 1rem; border-bottom: 1px dashed var(--line); }
.chart-ends { display: flex; justify-content: space-between; font-size: 0.75rem; color: var(--faint); padding-top: 0.25rem; }
svg .fill { fill: var(--glow); } svg .rest { fill: var(--ash); } svg .none { fill: var(--track); }
svg .soft { fill: var(--soft); } svg .ghost { fill: var(--ash); opacity: 0.55; } svg .track { fill: var(--track); }
svg .hover { fill: transparent; } .bars g:hover .hover { fill: var(--track); }
.gauge { display: block; width: 100%; height: 0.4rem; border-radius: 0.2rem; overflow: hidden; }

.part { display: grid; grid-template-columns: 12.5rem minmax(0, 1fr); gap: 0.75rem clamp(1.5rem, 4vw, 4rem); padding-block: 2.25rem; border-top: 1px solid var(--line); }
#residents .part { border-top: 0; }
.part.is-wide { grid-template-columns: minmax(0, 1fr); gap: 1.25rem; }
.part.is-wide .about { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0.1rem 1.25rem; }
.part.is-wide .about p { margin-top: 0; max-width: none; }
.part .about h2 { font-size: 1.0625rem; letter-spacing: -0.012em; }
.part .about p { color: var(--faint); font-size: 0.8125rem; line-height: 1.45; margin-top: 0.3rem; max-width: 26rem; text-wrap: pretty; }
.empty { color: var(--faint); padding: 0.9rem 1.1rem; border: 1px dashed var(--ash); border-radius: 8px; font-size: 0.875rem; }

.room { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: 1rem 2rem; margin-bottom: 1.25rem; }
.room dt { font-size: 0.8125rem; color: var(--faint); }
.room dd { font-size: 0.875rem; }
.room strong { font-weight: 600; font-size: 1.0625rem; letter-spacing: -0.015em; }
.room .gauge { margin-top: 0.4rem; }
.room .plain { grid-column: 1 / -1; display: flex; gap: 0.6rem; align-items: baseline; }
.room .plain dt { flex: none; }
.room .plain dd { font-size: 0.8125rem; }
.base { position: relative; padding: 1rem 1.2rem; border: 1px solid var(--line); background: var(--sheet); border-radius: 10px; margin-top: 0.6rem; border-left: 3px solid var(--ash); }
.base.is-warm { border-left-color: var(--glow); }
.base.is-loading { border-left-color: var(--soft); }
.base.is-cooldown { border-left-color: var(--bad); }
.base-name { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0.15rem 0.65rem; }
.base-name strong { font-size: 1.0625rem; font-weight: 600; letter-spacing: -0.012em; }
.base-name .faint { font-size: 0.8125rem; }
.state { order: 5; margin-left: auto; font-size: 0.8125rem; font-weight: 600; color: var(--faint); }
.is-warm .state { color: var(--ember); } .is-cooldown .state { color: var(--bad); }
.chip + .chip { margin-left: 0.35rem; }
.tag, .chip { font-size: 0.75rem; font-weight: 550; padding: 0.05rem 0.5rem; border-radius: 1rem; background: var(--blush); color: var(--ember); }
.chip { background: var(--track); color: var(--ink); font-weight: 500; }
.why { margin-top: 0.2rem; }
.size { display: grid; grid-template-columns: minmax(6rem, 1fr) auto; align-items: center; gap: 0.9rem; margin-top: 0.7rem; font-size: 0.8125rem; color: var(--faint); }
.facts { display: flex; flex-wrap: wrap; gap: 0.6rem 2.25rem; margin-top: 0.75rem; font-size: 0.875rem; }
.facts dt { color: var(--faint); font-size: 0.75rem; }
.content > .facts { margin-top: 0; }
.place { margin-top: 0.9rem; color: var(--faint); font-size: 0.875rem; }

.happenings { display: grid; gap: 0; font-size: 0.875rem; }
.happenings li { display: grid; grid-template-columns: 4.6rem 0.6rem minmax(0, 1fr); gap: 0.6rem; padding-block: 0.36rem; align-items: baseline; }
.happenings li::before { content: ""; order: 1; width: 0.5rem; height: 0.5rem; border-radius: 50%; background: var(--ash); align-self: start; margin-top: 0.45rem; }
.happenings li > span { order: 2; }
.happenings .is-up::before { background: var(--glow); }
.happenings .is-down::before { background: none; border: 2px solid var(--edge); }
.happenings .is-bad::before { background: var(--bad); border-radius: 1px; transform: rotate(45deg); }
.happenings .is-bad > span { color: var(--bad); }
.happenings time { color: var(--faint); font-size: 0.8125rem; }
.happenings strong { font-weight: 600; }

.multiples { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: 1.9rem 2.5rem; }
.more { margin-top: 1.25rem; }
summary { cursor: pointer; color: var(--faint); font-size: 0.875rem; width: fit-content; }
summary:hover { color: var(--ink); }
.more > :not(summary) { margin-top: 0.75rem; }

.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 0.875rem; }
th, td { text-align: right; padding: 0.45rem 0 0.45rem 1.25rem; vertical-align: baseline; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
thead th, caption { font-weight: 500; font-size: 0.75rem; color: var(--faint); }
tbody tr { border-top: 1px solid var(--line); }
tbody th { font-weight: 400; color: var(--faint); }
.requests th, .models th, .diff th { color: var(--ink); }
thead th { color: var(--faint) !important; }
.lists { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 2rem; }
.lists h3 { font-size: 0.875rem; margin-bottom: 0.25rem; }
.requests td, .requests thead th + th { padding-left: 0.6rem; }
.requests td { vertical-align: top; }
.requests th:first-child { width: 99%; max-width: 0; }
.model { display: block; overflow: hidden; text-overflow: ellipsis; font-weight: 550; }
.requests .under code { font-size: 0.75rem; }
.outcome { font-size: 0.8125rem; color: var(--faint); }
.outcome.is-hit, .outcome.is-shared { color: var(--ember); font-weight: 600; }
.outcome.is-bad, .outcome.is-error, .outcome.is-invalid { color: var(--bad); }
.models td { vertical-align: middle; }
.models .wide { width: 26%; text-align: left; }
.models th:first-child { max-width: 22rem; }
.models .model { text-decoration-line: none; } .models .model:hover { text-decoration-line: underline; }
.meter { display: grid; grid-template-columns: minmax(4rem, 1fr) 3.75rem; gap: 0.75rem; align-items: center; }
.meter span { text-align: right; }

.first { background: var(--blush); border-radius: 12px; padding: clamp(1.1rem, 2.2vw, 2rem); margin-bottom: 1.25rem; }
.first h2 { font-size: 1.375rem; letter-spacing: -0.02em; }
.first p { max-width: 54rem; text-wrap: pretty; margin-top: 0.35rem; }
.first .faint { color: light-dark(#6a513f, #d3b7a4); font-size: 0.8125rem; }
.copyable { position: relative; margin-top: 0.9rem; }
pre { background: var(--well); border: 1px solid var(--line); border-radius: 8px; padding: 0.9rem 1.1rem; overflow: auto; line-height: 1.6; tab-size: 2; }
.copyable pre { padding-right: 5.5rem; white-space: pre-wrap; background: var(--sheet); }
.copy { position: absolute; top: 0.6rem; right: 0.6rem; background: var(--sheet); }

.page { padding-block: 2rem 4rem; }
.page h1 { font-size: clamp(1.5rem, 3vw, 2rem); letter-spacing: -0.03em; }
.page h2 { font-size: 1.0625rem; }
.lead { margin-top: 0.35rem; max-width: 46rem; text-wrap: pretty; }
.filter { display: flex; flex-wrap: wrap; gap: 0.75rem; align-items: end; margin-block: 1.5rem 1rem; }
.filter > div { flex: 1 1 11rem; } .filter .grow { flex: 3 1 16rem; }
.stored li { border-top: 1px solid var(--line); }
.stored li:last-child { border-bottom: 1px solid var(--line); }
.stored a { display: block; padding: 0.7rem 0.5rem; margin-inline: -0.5rem; text-decoration: none; border-radius: 4px; }
.stored a:hover { background: var(--sheet); color: inherit; }
.stored-head { display: flex; gap: 0.15rem 0.75rem; flex-wrap: wrap; align-items: baseline; font-size: 0.8125rem; }
.stored-head strong { font-weight: 600; font-size: 0.9375rem; }
.stored-head code { margin-left: auto; color: var(--faint); }
.excerpt { display: block; color: var(--faint); font-size: 0.875rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; margin-top: 0.1rem; }
.pages { display: flex; justify-content: space-between; gap: 1rem; margin-top: 1.25rem; font-size: 0.875rem; }
.crumb { font-size: 0.8125rem; color: var(--faint); margin-bottom: 0.5rem; }
.facts.wide { margin-block: 1.5rem; padding-block: 1.1rem; border-block: 1px solid var(--line); gap: 0.9rem 2.5rem; }
code.whole { font-size: 0.75rem; }
.halves { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 1.5rem 2.5rem; margin-top: 1.75rem; }
.halves h2 { margin-bottom: 0.6rem; }
.json { white-space: pre-wrap; max-height: 36rem; }
.json b { font-weight: 400; color: var(--cool); } .json i { font-style: normal; } .json u { text-decoration: none; color: var(--ember); }
.json code { color: var(--faint); } .json i { color: var(--ink); }
.answer { white-space: pre-wrap; background: var(--sheet); border: 1px solid var(--line); border-left: 3px solid var(--glow); border-radius: 8px; padding: 0.9rem 1.1rem; max-height: 30rem; overflow: auto; line-height: 1.6; }
.answer + .answer { margin-top: 0.6rem; }

.ask { display: grid; gap: 0.5rem; margin-top: 1.5rem; }
.fields { display: flex; flex-wrap: wrap; gap: 0.75rem; align-items: end; margin-top: 0.4rem; }
.fields > div { flex: 1 1 10rem; }
.finding { margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: 1.75rem; display: grid; gap: 0.6rem; }
.finding h2 { display: flex; flex-wrap: wrap; align-items: center; gap: 0.75rem; font-size: 1.25rem; letter-spacing: -0.02em; }
.finding h3 { margin-top: 0.9rem; font-size: 0.9375rem; }
.verdict { font-size: 0.875rem; letter-spacing: 0; padding: 0.15rem 0.75rem; border-radius: 2rem; background: var(--track); }
.verdict.is-hit { background: var(--ember); color: light-dark(#fff, #22130a); }
.verdict.is-miss { border: 1.5px solid var(--edge); background: none; }
.nearest > li { background: var(--sheet); border: 1px solid var(--line); border-radius: 10px; padding: 1rem 1.2rem; margin-top: 0.75rem; }
.near-head { display: flex; flex-wrap: wrap; align-items: center; gap: 0.3rem 1rem; font-size: 0.8125rem; }
.near-head strong { font-size: 0.9375rem; } .near-head .gauge { width: 7rem; } .near-head code { margin-left: auto; color: var(--faint); }
.diff { margin-top: 0.7rem; table-layout: fixed; }
.diff th, .diff td { text-align: left; white-space: normal; vertical-align: top; padding: 0.5rem 0.9rem 0.5rem 0; }
.diff thead th:first-child { width: 26%; }
.diff td code { white-space: pre-wrap; }
del, ins { text-decoration: none; border-radius: 3px; padding: 0.08em 0.15em; }
del { background: var(--cool-soft); color: var(--cool); font-weight: 600; }
ins { background: var(--blush); color: var(--ember); font-weight: 600; }

.login { max-width: 24rem; margin: 12vh auto; }
.login .mark { width: 2.75rem; height: 2.75rem; margin-left: -0.35rem; }
.login h1 { font-size: 1.75rem; letter-spacing: -0.03em; margin-top: 0.5rem; }
.login p { color: var(--faint); margin-top: 0.4rem; } .login .error { color: var(--bad); font-weight: 550; }
.login form { display: grid; gap: 0.4rem; margin-top: 1.5rem; } .login form button { margin-top: 0.6rem; }

@media (max-width: 62rem) {
  .part { grid-template-columns: minmax(0, 1fr); padding-block: 1.75rem; }
  .headline { grid-template-columns: minmax(0, 1fr); }
  .rate { border-right: 0; border-bottom: 1px solid var(--line); }
  .halves { grid-template-columns: minmax(0, 1fr); }
}
@media (max-width: 40rem) {
  .version { display: none; }
  .theme label { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .top { position: static; }
  .top .width { gap: 0.25rem 0.75rem; padding-block: 0.6rem; }
  .top nav { order: 3; width: 100%; margin-inline: -0.7rem; }
  .ledger th, .ledger td { padding-left: 0.6rem; } .ledger th:first-child { padding-left: 0; white-space: normal; }
  .ledger tr.main td { font-size: 0.9375rem; }
  .ledger td { font-size: 0.8125rem; }
  .ledger tr > :nth-child(4) { display: none; }
  .ledger th:first-child, .ledger td:first-child { width: 34%; }
  .requests td, .requests thead th + th { font-size: 0.8125rem; }
  .key { margin-left: 0; }
  .size { grid-template-columns: minmax(0, 1fr); gap: 0.35rem; }
  .models .wide { min-width: 9rem; }
  .happenings li { grid-template-columns: 3.9rem 0.5rem minmax(0, 1fr); }
  .diff, .diff tbody, .diff tr, .diff th, .diff td { display: block; width: auto; }
  .diff thead { display: none; }
  .diff td::before { content: attr(data-label); display: inline-block; width: 4rem; font-size: 0.75rem; color: var(--faint); }
  .diff tr { padding-block: 0.5rem; } .diff th, .diff td { padding: 0.15rem 0; }
  button, select, input, .top nav a { min-height: 2.5rem; }
  .top nav a { display: flex; align-items: center; }
  .requests th:first-child { min-width: 7.5rem; }
}
@media (prefers-reduced-motion: reduce) {
  *, *::before, *::after { animation: none !important; transition: none !important; scroll-behavior: auto !important; }
}
@media (forced-colors: active) {
  svg .fill, svg .ghost, svg .soft { fill: Highlight; } svg .rest { fill: GrayText; } svg .track { fill: Canvas; }
}
@media print { .top, .status button, .filter, .skip { display: none; } }
`;
