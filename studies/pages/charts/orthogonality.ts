/** Orthogonality by layer over time, and steps beside the formula for their length. */
import type { TopLevelSpec } from 'vega-lite'
import { stepOf } from '../../questions/orthogonality.ts'
import type { LogPoint } from '../../training/cell.ts'
import { type Figures, curveOf } from '../figures.ts'
import type { Run } from '../results.ts'
import type { Chart } from './render.ts'
import { REFERENCE, curveEncoding, inOrder } from './style.ts'

/** Columns of a heat map. */
const BINS = 20
/** Arrays of weights of LeNet-5, in their order. */
const LENET = ['conv1', 'conv1 bias', 'conv2', 'conv2 bias', 'dense1', 'dense1 bias', 'dense2', 'dense2 bias', 'output', 'output bias'] // prettier-ignore
/** Where the schedule with drops drops. */
const DROPS = [0.5, 0.75]

const DECAYS = new Map([
  ['linear', 'the rate falls linearly'],
  ['drops', 'the rate drops to a tenth twice'],
])

interface Tile {
  readonly curve: string
  readonly decay: string
  readonly workers: number
  readonly layer: number
  readonly bin: number
  readonly orthogonality: number
  readonly step: number
  readonly formula: number
}

const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length

export function orthogonalityCharts(figures: Figures): Chart[] {
  const tiles = tilesOf(figures.runs)
  const linear = tiles.filter(({ decay }) => decay === 'linear')
  return [...(tiles.length > 0 ? [heatMap(tiles)] : []), ...(linear.length > 0 ? [stepChart(linear)] : [])]
}

/** Means over seeds and the steps of a bin. What is not a number, such as a signal without noise, is left out. */
function tilesOf(runs: readonly Run[]): Tile[] {
  const groups = new Map<string, { place: Pick<Tile, 'curve' | 'decay' | 'workers' | 'layer' | 'bin'>; points: LogPoint[] }>() // prettier-ignore
  for (const { cell, result } of runs)
    for (const point of result.log ?? [])
      point.step.forEach((_, layer) => {
        const bin = Math.min(BINS - 1, Math.floor(point.progress * BINS))
        const place = { curve: curveOf(cell), decay: cell.decay, workers: cell.workers as number, layer, bin }
        const key = JSON.stringify(place)
        if (!groups.has(key)) groups.set(key, { place, points: [] })
        groups.get(key)!.points.push(point)
      })
  return [...groups.values()].flatMap(({ place, points }) => {
    const at = (of: keyof Pick<LogPoint, 'orthogonality' | 'step' | 'signal'>): number[] =>
      points.map((point) => point[of][place.layer] ?? NaN)
    const tile = {
      ...place,
      orthogonality: meanOf(at('orthogonality')),
      step: meanOf(at('step')),
      formula: meanOf(at('signal').map((signal) => stepOf(place.workers, signal))),
    }
    return [tile.orthogonality, tile.step, tile.formula].every(Number.isFinite) ? [tile] : []
  })
}

function heatMap(tiles: readonly Tile[]): Chart {
  const layerCount = Math.max(...tiles.map(({ layer }) => layer)) + 1
  const names = Array.from({ length: layerCount }, (_, layer) =>
    layerCount === LENET.length ? LENET[layer]! : `array ${layer}`,
  )
  return {
    name: 'layers',
    title: 'Orthogonality by layer over the time of training, for Adasum of deltas and of gradients',
    caption: 'Each row is an array of weights, each tile the mean over seeds and a twentieth of the training: 1 is noise, and 1 / n the agreement of n workers. Dashed lines are where the rate drops.', // prettier-ignore
    spec: heatSpec(heatRows(tiles, names), names),
  }
}

/** A tile, or a line where the rate drops. */
interface HeatRow {
  readonly curve: string
  readonly decay: string
  readonly layer?: string
  readonly from?: number
  readonly to?: number
  readonly orthogonality?: number
  readonly drop?: number
}

function heatRows(tiles: readonly Tile[], names: readonly string[]): HeatRow[] {
  const rows = tiles.map(({ curve, decay, layer, bin, orthogonality }) => ({
    curve,
    decay: DECAYS.get(decay) ?? decay,
    layer: names[layer]!,
    from: bin / BINS,
    to: (bin + 1) / BINS,
    orthogonality: Number(orthogonality.toFixed(3)),
  }))
  const dropping = [...new Set(tiles.filter(({ decay }) => decay === 'drops').map(({ curve }) => curve))]
  const drops = dropping.flatMap((curve) => DROPS.map((drop) => ({ curve, decay: DECAYS.get('drops')!, drop })))
  return [...rows, ...drops]
}

function heatSpec(rows: readonly HeatRow[], names: readonly string[]): TopLevelSpec {
  const axis = { title: 'share of training', format: '.0%', grid: false }
  const legend = { orient: 'right', title: null } as const
  return {
    data: { values: [...rows] },
    facet: {
      row: { field: 'curve', type: 'nominal', title: null },
      column: { field: 'decay', type: 'nominal', title: null, sort: [...DECAYS.values()] },
    },
    spec: {
      // Whole pixels a tile: no seams.
      width: 15 * BINS,
      height: 18 * names.length,
      layer: [
        {
          transform: [{ filter: 'isValid(datum.layer)' }],
          mark: { type: 'rect' },
          encoding: {
            x: { field: 'from', type: 'quantitative', scale: { domain: [0, 1] }, axis },
            x2: { field: 'to' },
            y: { field: 'layer', type: 'ordinal', sort: [...names], title: null },
            color: { field: 'orthogonality', type: 'quantitative', scale: { scheme: 'cividis', domain: [0, 1] }, legend }, // prettier-ignore
          },
        },
        {
          transform: [{ filter: 'isValid(datum.drop)' }],
          // The colours below it are the same on dark pages.
          mark: { type: 'rule', ...REFERENCE, color: '#000000' },
          encoding: { x: { field: 'drop', type: 'quantitative' } },
        },
      ],
    },
  }
}

function stepChart(tiles: readonly Tile[]): Chart {
  const rows = tiles.map(({ curve, formula, step }) => ({ curve, formula, step }))
  const lengths = rows.flatMap(({ formula, step }) => [formula, step])
  const [low, high] = [Math.min(...lengths) / 1.1, Math.max(...lengths) * 1.1] as const
  const lines = [0.8, 1, 1.2].flatMap((factor) => [low, high].map((at) => ({ factor, formula: at, step: factor * at })))
  const encoding = curveEncoding(inOrder(rows.map(({ curve }) => curve)))
  const domain = [low, high]
  const scale = { type: 'log', domain, nice: false } as const
  const x = { field: 'formula', type: 'quantitative', title: 'length by the formula, in averages', scale } as const
  const y = { field: 'step', type: 'quantitative', title: 'length that was measured', scale } as const
  const spec: TopLevelSpec = {
    width: 380,
    height: 380,
    layer: [
      {
        data: { values: lines },
        mark: { type: 'line', ...REFERENCE, clip: true },
        encoding: { x, y, detail: { field: 'factor' } },
      },
      { data: { values: rows }, mark: { type: 'point', size: 26, opacity: 0.6 }, encoding: { x, y, ...encoding } },
    ],
  }
  return {
    name: 'steps',
    title: 'The length of a step that was measured over the length that the formula gives',
    caption: 'Each point is one array of weights in a twentieth of the training, in the mean over seeds, while the rate falls linearly; dashed lines are equality, and 20 % beside it.', // prettier-ignore
    spec,
  }
}
