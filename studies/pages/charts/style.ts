/** How charts look: one palette and one set of marks, which keep their meaning on all pages. */
import type { Config } from 'vega-lite'

export const [PAPER, INK, GRID, FAINT] = ['#ffffff', '#1f2328', '#d8dee4', '#6e7781']

/** Each operator has a colour and a shape; colours are those of Okabe and Ito, which colour-blind people tell apart. */
const CURVES: readonly (readonly [curve: string, colour: string, shape: string])[] = [
  ['average of gradients', '#0072b2', 'circle'],
  ['average of deltas', '#56b4e9', 'square'],
  ['sum of gradients', '#cc79a7', 'cross'],
  ['adasum of deltas', '#d55e00', 'triangle-up'],
  ['adasum of gradients', '#e69f00', 'triangle-down'],
  ['damped of deltas', '#009e73', 'diamond'],
  ['damped of gradients', '#009e73', 'diamond'],
  ['adascale of deltas', '#5b5b5b', 'triangle-right'],
  ['adascale of gradients', '#5b5b5b', 'triangle-right'],
  ['adacons of gradients', '#8a63d2', 'triangle-left'],
  ['gaf of gradients', '#a08a00', 'wedge'],
]

/** What the dark page has in place of colours that it would swallow. */
export const DARK: Readonly<Record<string, string>> = {
  [PAPER]: '#0d1117',
  [INK]: '#e6edf3',
  [GRID]: '#30363d',
  [FAINT]: '#9198a1',
  '#0072b2': '#2f9be0',
  '#56b4e9': '#b0e0ff',
  '#5b5b5b': '#b8b8b8',
  '#8a63d2': '#ab8cf0',
  '#a08a00': '#f0e442',
}

/** Scales of colour and shape for curves, in the same order everywhere; for those that are drawn. */
export function curveEncoding(drawn: readonly string[]): {
  color: { field: 'curve'; type: 'nominal'; title: null; scale: { domain: string[]; range: string[] } }
  shape: { field: 'curve'; type: 'nominal'; title: null; scale: { domain: string[]; range: string[] } }
} {
  const used = CURVES.filter(([curve]) => drawn.includes(curve))
  const unknown = drawn.find((curve) => !used.some(([known]) => known === curve))
  if (unknown !== undefined) throw new Error(`${unknown} has no colour: give it one in studies/pages/charts/style.ts.`)
  const domain = used.map(([curve]) => curve)
  const field = { field: 'curve', type: 'nominal', title: null } as const
  return {
    color: { ...field, scale: { domain, range: used.map(([, colour]) => colour) } },
    shape: { ...field, scale: { domain, range: used.map(([, , shape]) => shape) } },
  }
}

/** Curves of rows with intervals: a line, a rule from the low end to the high one, and a point for each mean. */
export function curveLayers<X extends object, Y extends object>(
  x: X,
  y: Y,
  { color, shape }: ReturnType<typeof curveEncoding>,
) {
  const mean = { ...y, field: 'mean' }
  return [
    { mark: 'line', encoding: { x, y: mean, color } },
    { mark: 'rule', encoding: { x, y: { ...y, field: 'low' }, y2: { field: 'high' }, color } },
    { mark: 'point', encoding: { x, y: mean, color, shape } },
  ] as const
}

/** In the order of the palette. */
export function inOrder(curves: Iterable<string>): string[] {
  const given = new Set(curves)
  return CURVES.map(([curve]) => curve).filter((curve) => given.has(curve))
}

/** Marks of what others are compared with: one worker, a formula, the place of a change. */
export const REFERENCE = { color: FAINT, strokeWidth: 1.2, strokeDash: [4, 4] }

export const CONFIG: Config = {
  font: 'system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif',
  background: PAPER,
  padding: 12,
  // Readers of the page hear the text beside the picture; by mark it would make files three times as large.
  aria: false,
  view: { stroke: null },
  axis: {
    ...{ labelColor: INK, titleColor: INK, domainColor: FAINT, tickColor: FAINT, gridColor: GRID },
    ...{ labelFontSize: 11, titleFontSize: 12, titleFontWeight: 'normal', titlePadding: 8 },
  },
  header: { labelColor: INK, titleColor: INK, labelFontSize: 12, titleFontSize: 12 },
  legend: {
    ...{ labelColor: INK, titleColor: INK, labelFontSize: 12, orient: 'bottom', columns: 3, labelLimit: 0 },
    ...{ symbolSize: 90, symbolOpacity: 1, symbolStrokeWidth: 2, padding: 8 },
  },
  line: { strokeWidth: 1.8 },
  point: { filled: true, size: 55, opacity: 1 },
  rule: { strokeWidth: 1.5 },
}
