/** Charts as text: SVG that is the same for the same chart, on any machine, and legible on light and dark pages. */
import * as vega from 'vega'
import { type TopLevelSpec, compile } from 'vega-lite'
import { CONFIG, DARK } from './style.ts'

export interface Chart {
  /** What its file is called behind the name of the study. */
  readonly name: string
  /** What it shows, without brackets: its heading, and the text in its place. */
  readonly title: string
  /** How it is read: whole sentences, which charts of a kind have in common. */
  readonly caption: string
  readonly spec: TopLevelSpec
}

/** Attributes that say where something is; a hundredth of a pixel is less than anyone sees. */
const PLACES = /(?<= )(d|transform|x|y|x1|x2|y1|y2|width|height|r)="([^"]*)"/g
const NUMBER = /-?\d*\.?\d+(?:e[+-]?\d+)?/g

/** What the types of Vega leave out. */
const { textMetrics } = vega as unknown as { textMetrics: { canvas(isUsed: boolean): void } }
// Widths of text are estimated alike everywhere, also where a package for canvases happens to be installed.
textMetrics.canvas(false)

/** @throws Error for whatever Vega only warns of: such a chart lacks something */
export async function render({ name, spec }: Chart): Promise<string> {
  const problems: unknown[] = []
  const logger = vega.logger(vega.Warn, undefined, (_method, _level, said) => problems.push(...said))
  const compiled = compile({ ...spec, config: CONFIG }, { logger }).spec
  const view = new vega.View(vega.parse(compiled), { renderer: 'none', logger })
  await view.runAsync()
  if (problems.length > 0) throw new Error(`the chart ${name}: ${problems.map(String).join('; ')}`)
  const svg = await view.toSVG()
  view.finalize()
  return `${withDarkColours(renamed(rounded(svg)))}\n`
}

function rounded(svg: string): string {
  const round = (text: string): string => String(Number(Number(text).toFixed(2)) + 0)
  return svg.replace(PLACES, (_, name: string, value: string) => `${name}="${value.replace(NUMBER, round)}"`)
}

/** Names of clips and gradients count on from chart to chart; here they are given in the order in which they come. */
function renamed(svg: string): string {
  const names = new Map<string, string>()
  return svg.replace(/(?<=\bid="|url\(#)\w+/g, (name) => {
    if (!names.has(name)) names.set(name, `part${names.size + 1}`)
    return names.get(name)!
  })
}

/** A picture on a page has its own answer to the question whether the reader wants it dark. */
function withDarkColours(svg: string): string {
  const rules = Object.entries(DARK).map(
    ([light, dark]) => `[fill="${light}"]{fill:${dark}}[stroke="${light}"]{stroke:${dark}}`,
  )
  const style = `<style>@media (prefers-color-scheme:dark){${rules.join('')}}</style>`
  return svg.replace(/<svg [^>]*>/, (tag) => `${tag}${style}`)
}
