/** Bars with intervals, in groups. */
import type { TopLevelSpec } from 'vega-lite'
import { summarize } from '../../engine/statistics.ts'
import { type IntervalRow, intervalRow } from './parts.ts'
import { INK, inOrder, curveEncoding } from './style.ts'

export interface Bar extends IntervalRow {
  readonly curve: string
  readonly group: string
}

/** @param values - by seed */
export function barOf(curve: string, group: string, values: readonly number[]): Bar {
  return { curve, group, ...intervalRow(summarize(values)) }
}

/**
 * @param axis - title and format of the values
 * @param groups - along the axis, in their order
 */
export function barSpec(
  bars: readonly Bar[],
  axis: { title: string; format: string },
  groups: readonly string[],
): TopLevelSpec {
  const curves = inOrder(bars.map(({ curve }) => curve))
  const x = {
    x: { field: 'group', type: 'nominal', sort: [...groups], axis: { title: null, labelAngle: 0, labelLimit: 400 } },
    xOffset: { field: 'curve', type: 'nominal', scale: { domain: curves } },
  } as const
  return {
    data: { values: [...bars] },
    width: Math.max(360, 60 * groups.length + 26 * curves.length * groups.length),
    height: 240,
    layer: [
      {
        mark: { type: 'bar' },
        encoding: { ...x, y: { field: 'mean', type: 'quantitative', axis }, color: curveEncoding(curves).color },
      },
      {
        mark: { type: 'rule', color: INK },
        encoding: { ...x, y: { field: 'low', type: 'quantitative' }, y2: { field: 'high' } },
      },
    ],
  }
}
