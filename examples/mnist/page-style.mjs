/**
 * The page's style sheet. The operators' colours are of the Okabe-Ito set, told apart in colour blindness; dashes
 * repeat what they say. The layers run through one scale from input to output.
 */
export const PAGE_STYLE = `
:root {
  color-scheme: light dark;
  --paper: #ffffff; --panel: #f6f7f9; --ink: #1d2230; --faint: #5c6475; --rule: #dfe3ea; --shade: #1d223040;
  --adasum: #00805c; --sum: #c14f00; --average: #0068a8; --none: #6b7280;
  --layer-0: #3b1c8c; --layer-1: #2f6bb0; --layer-2: #1f968b; --layer-3: #6b9e16; --layer-4: #d08700;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #12151c; --panel: #1a1f29; --ink: #e8ebf1; --faint: #a3acbd; --rule: #323a49; --shade: #000000b0;
    --adasum: #2fd0a0; --sum: #ff9d4d; --average: #62b8f2; --none: #b4bac6;
    --layer-0: #a78bfa; --layer-1: #6aa9f0; --layer-2: #3fd0c1; --layer-3: #a5d63f; --layer-4: #ffc44d;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: clamp(1.5rem, 4vw, 2.1rem); line-height: 1.2; margin: 0 0 1rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .25rem; }
p { margin: .4rem 0; max-width: 75ch; }
section > p { color: var(--faint); font-size: .93rem; }
.finding { font-size: 1.08rem; }
.notice { border-left: 4px solid var(--sum); padding: .3rem .8rem; background: var(--panel); }
.grid-of-charts { margin-bottom: 1rem; display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 420px), 1fr)); gap: 1rem; }
figure { margin: 0; padding: .9rem .75rem .5rem; display: flex; flex-direction: column; }
figure .chart { margin-top: auto; }
figure, .wide { background: var(--panel); border: 1px solid var(--rule); border-radius: 10px; }
figcaption { font-size: 1.08rem; font-weight: 600; line-height: 1.35; padding: 0 .5rem; text-wrap: balance; }
figure .legend { padding: 0 .5rem; }
.chart { display: block; width: 100%; height: auto; }
.chart text { fill: var(--faint); font-size: 14px; }
.chart .axis { fill: var(--ink); }
.grid { stroke: var(--rule); stroke-width: 1; }
.reference { stroke: var(--faint); stroke-width: 1.25; stroke-dasharray: 2 4; }
.is-reference { --colour: var(--faint); --dashes: 2 4; }
.series path { fill: none; stroke: var(--colour); stroke-width: 2.25; stroke-linejoin: round;
  stroke-dasharray: var(--dashes, none); }
.series circle { fill: var(--colour); }
.op-adasum { --colour: var(--adasum); }
.op-sum { --colour: var(--sum); --dashes: 9 4; }
.op-average { --colour: var(--average); --dashes: 2.5 3.5; }
.op-none { --colour: var(--none); --dashes: 9 4 2.5 4; }
${[0, 1, 2, 3, 4].map((layer) => `.layer-${layer} { --colour: var(--layer-${layer}); }`).join('\n')}
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .3rem 1.4rem; padding: 0; margin: .7rem 0;
  font-size: .93rem; }
.legend li { display: flex; align-items: center; gap: .5rem; }
.sample { width: 36px; height: 12px; flex: none; }
.wide { overflow-x: auto; margin: .7rem 0; background:
  linear-gradient(to right, var(--panel) 40%, transparent) left / 3rem 100% no-repeat local,
  linear-gradient(to left, var(--panel) 40%, transparent) right / 3rem 100% no-repeat local,
  linear-gradient(to right, var(--shade), transparent) left / 1rem 100% no-repeat,
  linear-gradient(to left, var(--shade), transparent) right / 1rem 100% no-repeat, var(--panel); }
.hint { display: none; }
table { border-collapse: collapse; width: 100%; font-size: .93rem; font-variant-numeric: tabular-nums;
  white-space: nowrap; }
th, td { padding: .4rem .8rem; text-align: right; border-bottom: 1px solid var(--rule); }
tbody tr:last-child td { border-bottom: 0; }
th { color: var(--faint); font-weight: 600; }
.text { text-align: left; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.2rem; margin: .7rem 0; font-size: .95rem; }
dt { color: var(--faint); } dd { margin: 0; }
@media (max-width: 640px) {
  main { padding: 1.25rem .75rem 3rem; }
  .chart text { font-size: 18px; }
  .hint { display: block; }
  table { font-size: .88rem; }
  th, td { padding: .4rem; }
  th { white-space: normal; vertical-align: bottom; }
  th:nth-child(-n + 2), td:nth-child(-n + 2) { position: sticky; left: 0; background: var(--panel); }
  th:first-child, td:first-child { min-width: 3.4rem; }
  th:nth-child(2), td:nth-child(2) { left: 3.4rem; white-space: nowrap; border-right: 1px solid var(--rule); }
  th:nth-child(2) { white-space: normal; }
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .5rem; }
}
`
