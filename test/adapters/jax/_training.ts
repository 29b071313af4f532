/** Optimizers twice, over jax-js's arrays and over plain ones, and distributed training in plain arithmetic. */
import * as jax from '@jax-js/jax'
import type {
  ArrayTree,
  DistributedOptimizerOptions,
  GradientTransformation,
} from '../../../ts/src/adapters/jax/index.ts'
import type { ReduceOp } from '../../../ts/src/types.ts'
import { gaussian } from '../../optim/_oracle.ts'
import { oracle } from '../../reduction/_oracle.ts'
import { read } from './_trees.ts'

const { numpy: np, tree } = jax

export interface Params {
  [key: string]: ArrayTree
  layers: { w: jax.Array; b: jax.Array }[]
  scale: jax.Array
}

const SHAPES = { 'layers[0].b': [3], 'layers[0].w': [2, 3], scale: [] } as const
export const PATHS = Object.keys(SHAPES) as (keyof typeof SHAPES)[]
const sizeOf = (path: keyof typeof SHAPES): number => SHAPES[path].reduce((product: number, size) => product * size, 1)
export type Values = Record<string, number[]>

/** What the loss of a rank's batch multiplies the parameters by. */
const factorsOf = (path: keyof typeof SHAPES, rank: number, batch: number): Float32Array =>
  gaussian(sizeOf(path), 7 + 100 * rank + 10 * batch + PATHS.indexOf(path))

const treeOf = (valuesAt: (path: keyof typeof SHAPES) => Float32Array, isTurned: boolean): Params => {
  const [b, w, scale] = PATHS.map((path) => np.array(valuesAt(path) as Float32Array<ArrayBuffer>, { shape: [...SHAPES[path]] })) // prettier-ignore
  return isTurned ? { scale: scale!, layers: [{ b: b!, w: w! }] } : { layers: [{ w: w!, b: b! }], scale: scale! }
}

const startOf = (path: keyof typeof SHAPES): Float32Array => gaussian(sizeOf(path), 1000 + PATHS.indexOf(path))

/** The same on every rank, but for the order of keys. */
export const makeParams = (rank: number): Params => treeOf(startOf, rank % 2 === 1)

/** A quarter of the squared parameters, and a product with numbers that differ by rank and batch. Uses params up. */
export function gradientsOf(params: Params, rank: number, batch: number): Params {
  const factors = treeOf((path) => factorsOf(path, rank, batch), rank % 2 === 1)
  const loss = (p: Params): jax.Array => {
    const terms = tree.map((x: jax.Array, y: jax.Array) => np.square(x.ref).mul(0.25).add(x.mul(y)).sum(), p, factors)
    return tree.leaves<jax.Array>(terms as ArrayTree).reduce((a, b) => a.add(b))
  }
  return jax.grad(loss)(params)
}

export async function readParams(params: Params): Promise<Values> {
  const arrays = [params.layers[0]!.b, params.layers[0]!.w, params.scale]
  const values = await Promise.all(arrays.map(read))
  return Object.fromEntries(PATHS.map((path, index) => [path, values[index]!]))
}

/** An optimizer of one leaf in plain numbers: what is added for a gradient. */
type PlainOptimizer = () => (gradient: readonly number[]) => number[]

const map = (f: (...leaves: jax.Array[]) => jax.Array, ...trees: ArrayTree[]): ArrayTree =>
  tree.map<jax.Array, jax.Array, ArrayTree>(f, trees[0]!, ...trees.slice(1))

export const mapParams = (f: (leaf: jax.Array) => jax.Array, params: Params): Params => map(f, params) as Params

/** It looks at no parameters, and does not use them up either. */
const sgd = (rate: number): GradientTransformation<never[]> => ({
  init: () => [],
  update: (gradients, state) => [map((g) => g.mul(-rate), gradients), state],
})

const momentum = (rate: number, decay: number): GradientTransformation<ArrayTree> => ({
  init: (params) => map((x) => np.zerosLike(x), params),
  update: (gradients, velocity, params) => {
    tree.dispose(params)
    const next = map((v, g) => v.mul(decay).add(g), velocity, gradients)
    return [map((v) => v.mul(-rate), tree.ref(next)), next]
  },
})

interface AdamState {
  count: jax.Array
  m: ArrayTree
  v: ArrayTree
}

/**
 * With so large a constant in the denominator that first steps are not all of one length: those of two ranks would
 * cancel, and Adasum of what rounding leaves has no direction.
 */
const adam = (rate: number): GradientTransformation<AdamState> => ({
  init: (params) => ({
    count: np.array(0, { dtype: np.int32 }),
    m: map((x) => np.zerosLike(x), tree.ref(params)),
    v: map((x) => np.zerosLike(x), params),
  }),
  update: (gradients, { count, m, v }, params) => {
    tree.dispose(params)
    const steps = count.ref.item() + 1
    const [nextM, nextV] = [
      map((a, g) => a.mul(0.9).add(g.mul(0.1)), m, tree.ref(gradients)),
      map((a, g) => a.mul(0.99).add(np.square(g).mul(0.01)), v, gradients),
    ]
    const change = (a: jax.Array, b: jax.Array): jax.Array =>
      a.div(1 - 0.9 ** steps).mul(-rate).div(np.sqrt(b.div(1 - 0.99 ** steps)).add(0.3)) // prettier-ignore
    return [map(change, tree.ref(nextM), tree.ref(nextV)), { count: count.add(1), m: nextM, v: nextV }]
  },
})

export const OPTIMIZERS = {
  sgd: (): GradientTransformation<never> => sgd(0.1) as GradientTransformation<never>,
  momentum: (): GradientTransformation<never> => momentum(0.1, 0.9) as GradientTransformation<never>,
  adam: (): GradientTransformation<never> => adam(0.05) as GradientTransformation<never>,
}
export type OptimizerName = keyof typeof OPTIMIZERS

const PLAIN: Record<OptimizerName, PlainOptimizer> = {
  sgd: () => (gradient) => gradient.map((g) => -0.1 * g),
  momentum: () => {
    let velocity: number[] | undefined
    return (gradient) => {
      velocity = gradient.map((g, i) => 0.9 * (velocity?.[i] ?? 0) + g)
      return velocity.map((v) => -0.1 * v)
    }
  },
  adam: () => {
    let [steps, m, v]: [number, number[], number[]] = [0, [], []]
    return (gradient) => {
      steps++
      m = gradient.map((g, i) => 0.9 * (m[i] ?? 0) + 0.1 * g)
      v = gradient.map((g, i) => 0.99 * (v[i] ?? 0) + 0.01 * g * g)
      return m.map((a, i) => (-0.05 * (a / (1 - 0.9 ** steps))) / (Math.sqrt(v[i]! / (1 - 0.99 ** steps)) + 0.3))
    }
  },
}

export interface Run extends Pick<DistributedOptimizerOptions, 'mode' | 'localSteps' | 'accumulate' | 'accumulateOp'> {
  op: ReduceOp
  size: number
  optimizer: OptimizerName
  /** Whether batches count by `sampleCountOf`. */
  isCounted: boolean
}

/** How many samples a batch is said to have; some have none. */
export const sampleCountOf = (rank: number, batch: number): number => [3, 0, 5, 1, 8][(2 * rank + 3 * batch) % 5]!

/** The parameters that all ranks have after `calls` calls and a flush, one leaf by itself. */
export function expectedAfter(run: Run, calls: number): Values {
  return Object.fromEntries(PATHS.map((path) => [path, new PlainLeaf(path, run).after(calls)]))
}

/** A leaf on one rank. */
interface PlainRank {
  rank: number
  values: number[]
  optimizer: ReturnType<PlainOptimizer>
  /** The gradients of the batches since the last step, and how much each counts. */
  gradients: Float64Array[]
  counts: number[]
  /** How much the steps since the last exchange count. */
  pending: number
}

/** The formulas of docs/modes.md, over one leaf on all ranks. */
class PlainLeaf {
  readonly #path: keyof typeof SHAPES
  readonly #run: Required<Run>
  readonly #ranks: PlainRank[]
  #start: number[]
  #steps = 0

  constructor(path: keyof typeof SHAPES, run: Run) {
    this.#path = path
    this.#run = { mode: 'delta', localSteps: 1, accumulate: 1, accumulateOp: 'average', ...run }
    this.#start = [...startOf(path)]
    this.#ranks = Array.from({ length: run.size }, (_, rank) => ({
      rank,
      values: [...this.#start],
      optimizer: PLAIN[run.optimizer](),
      gradients: [],
      counts: [],
      pending: 0,
    }))
  }

  after(calls: number): number[] {
    for (let batch = 0; batch < calls; batch++) {
      for (const own of this.#ranks) {
        const factors = factorsOf(this.#path, own.rank, batch)
        own.gradients.push(Float64Array.from(own.values, (value, i) => value / 2 + factors[i]!))
        own.counts.push(this.#run.isCounted ? sampleCountOf(own.rank, batch) : 1)
      }
      if (this.#ranks[0]!.counts.length === this.#run.accumulate) this.#step()
    }
    if (this.#ranks[0]!.counts.length > 0) this.#step()
    if (this.#steps > 0) this.#exchange()
    return this.#ranks[0]!.values
  }

  #step(): void {
    const { mode, op, accumulateOp, localSteps } = this.#run
    const own = this.#ranks.map(({ gradients, counts }) => oracle(accumulateOp, gradients, undefined, counts))
    const counts = this.#ranks.map((rank) => sumOf(rank.counts))
    const combined = mode === 'gradient' ? oracle(op, own, undefined, this.#weightsOf(counts)) : undefined
    const isStep = (rank: number): boolean => (mode === 'gradient' ? sumOf(counts) : counts[rank]!) > 0
    for (const [rank, state] of this.#ranks.entries()) {
      const change = isStep(rank) ? state.optimizer([...(combined ?? own[rank]!)]) : undefined
      if (change) state.values = state.values.map((value, i) => value + change[i]!)
      state.pending += counts[rank]!
      state.gradients = []
      state.counts = []
    }
    if (mode === 'delta' && ++this.#steps === localSteps) this.#exchange()
  }

  #exchange(): void {
    const changes = this.#ranks.map(({ values }) => Float64Array.from(values, (value, i) => value - this.#start[i]!))
    const weights = this.#weightsOf(this.#ranks.map(({ pending }) => pending))
    const change = oracle(this.#run.op, changes, undefined, weights)
    this.#start = this.#start.map((value, i) => value + change[i]!)
    for (const own of this.#ranks) Object.assign(own, { values: [...this.#start], pending: 0 })
    this.#steps = 0
  }

  /** Ranks count once each where nobody counts samples. */
  #weightsOf(counts: readonly number[]): number[] {
    return this.#run.isCounted ? [...counts] : counts.map(() => 1)
  }
}

const sumOf = (numbers: readonly number[]): number => numbers.reduce((sum, number) => sum + number, 0)
