// The look of reports: one column that fits a phone, light and dark, nothing loaded from anywhere.

/** The style sheet. Models have the colours s0, s1, ..; on dark paper lighter ones. */
export const style = `
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1b1f24; --faint: #616a75; --rule: #dde1e6; --panel: #f5f7f9;
  --s0: #c2410c; --s1: #0369a1; --s2: #6b7280; --good: #15803d; --bad: #b91c1c; --open: #a16207; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171b; --ink: #e6e9ed; --faint: #98a2ae; --rule: #2d333b;
  --panel: #1c2127; --s0: #fb923c; --s1: #38bdf8; --s2: #9ca3af; --good: #4ade80; --bad: #f87171; --open: #facc15; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 60rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.1rem; font-weight: 600; color: var(--faint); margin: 0 0 .75rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.75rem 0 .5rem; padding-top: .75rem; border-top: 1px solid var(--rule); }
h3 { font-size: 1rem; margin: 1.25rem 0 .25rem; }
p { margin: .4rem 0 .8rem; }
.verdict { font-size: 1.35rem; line-height: 1.35; margin: 0 0 .5rem; padding-left: .75rem; border-left: 5px solid var(--faint); }
.verdict.robust { border-color: var(--good); }
.verdict.dependent, .verdict.untrained { border-color: var(--bad); }
.verdict.undecided { border-color: var(--open); }
.note, figcaption, small { color: var(--faint); font-size: .85rem; }
td small { display: block; font-size: .75rem; white-space: nowrap; }
.scroll { overflow-x: auto; margin: .5rem 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; }
th, td { padding: .3rem .7rem .3rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--rule); }
th { font-weight: 600; color: var(--faint); font-size: .82rem; vertical-align: bottom; }
th:first-child, td:first-child { white-space: nowrap; }
th.n, td.n { text-align: right; }
td.n { white-space: nowrap; }
td.key { white-space: normal; font-family: ui-monospace, monospace; font-size: .82rem; }
.dot { display: inline-block; width: .65rem; height: .65rem; border-radius: 50%; margin-right: .4rem; background: currentColor; }
.s0 { color: var(--s0); } .s1 { color: var(--s1); } .s2 { color: var(--s2); }
svg { display: block; width: 100%; height: auto; }
svg polyline { fill: none; stroke: currentColor; stroke-width: 1.8; }
svg circle { fill: currentColor; }
svg .bins circle { fill-opacity: .55; stroke: currentColor; }
svg .g { stroke: var(--rule); stroke-width: 1; }
svg .bar { stroke: currentColor; stroke-width: 2.5; stroke-linecap: round; }
svg .t { fill: var(--faint); font-size: 10.5px; }
svg .h { fill: var(--ink); font-size: 12px; font-weight: 600; }
svg.intervals { max-width: 42rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: 1rem 2rem; }
.pair { display: flex; flex-wrap: wrap; gap: .5rem 2.5rem; }
figure { margin: 0; }
.key { white-space: nowrap; margin-right: .75rem; }
svg.k { display: inline-block; width: 18px; height: 8px; margin-right: 4px; }
table.matrix { font-size: .78rem; }
table.matrix td, table.matrix th { border: 0; padding: .2rem .3rem; text-align: center; vertical-align: middle; min-width: 2rem; }
table.matrix td { background: color-mix(in srgb, currentColor calc(var(--a) * 55%), transparent); }
table.matrix td b { font-weight: 500; color: var(--ink); }
table.matrix td.hit { outline: 1px solid var(--faint); outline-offset: -1px; }
.heatmaps { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 22rem), 1fr)); gap: 1.25rem; }
.heatmaps .row { display: flex; gap: 6px; }
.heatmaps .cell { flex: 1; min-width: 0; font-size: .75rem; color: var(--faint); text-align: center; }
.heatmaps img { display: block; width: 100%; image-rendering: pixelated; border: 1px solid var(--rule); }
.leak { display: flex; height: .9rem; min-width: 9rem; background: var(--panel); }
.leak i { display: block; height: 100%; }
.leak i.gain { opacity: .45; }
.passed { background: #0072b2; } .bias { background: #e69f00; } .stabilizer { background: #f0e442; } .dead { background: #787878; }
.padding { background: #cc79a7; } .other { background: #d55e00; }
.legend i { display: inline-block; width: .8rem; height: .8rem; margin: 0 .3rem 0 .8rem; vertical-align: -1px; }
details { margin: .5rem 0; }
summary { cursor: pointer; color: var(--faint); }
dt { font-weight: 600; margin-top: .6rem; } dd { margin: 0; color: var(--faint); }
@media print { details { display: block; } body { max-width: none; } }
`;
