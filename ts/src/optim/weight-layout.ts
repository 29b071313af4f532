/**
 * Where each weight of a model lies in one flat buffer. Ranks match weights by position, shape and dtype, and by path
 * where weights have one; never by name.
 */
import type { FlatWeights } from './flat-weights.ts'

export interface WeightSpec {
  /** For reports and messages of this rank only: names depend on what else a process has built. */
  readonly name: string
  readonly shape: readonly number[]
  readonly dtype: string
  /** Where the weight lies in its model, on every rank: in a pytree, say. Without it the position alone counts. */
  readonly path?: string
}

export interface WeightLocation extends WeightSpec {
  /** First element in the flat buffer. */
  readonly offset: number
  readonly elementCount: number
}

export interface WeightLayout {
  readonly weights: readonly WeightLocation[]
  readonly elementCount: number
}

/** Elements of an array of a shape. */
export function elementCountOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1)
}

export function weightLayout(specs: readonly WeightSpec[]): WeightLayout {
  let offset = 0
  const weights = specs.map((spec) => {
    const elementCount = elementCountOf(spec.shape)
    const location = { ...spec, offset, elementCount }
    offset += elementCount
    return location
  })
  return { weights, elementCount: offset }
}

/** Each weight's part of a flat buffer: the same memory. */
export function viewsOf<A extends FlatWeights>(layout: WeightLayout, flat: A): A[] {
  return layout.weights.map(({ offset, elementCount }) => flat.subarray(offset, offset + elementCount) as A)
}

export function weightText({ shape, dtype }: Pick<WeightSpec, 'shape' | 'dtype'>): string {
  return `${dtype}[${shape.join(', ')}]`
}
