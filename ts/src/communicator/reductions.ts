/**
 * The reductions of a communicator: an all-reduce or a reduce-scatter from its checked arguments to what its caller
 * gets.
 */
import type { Binding } from '../binding/binding.ts'
import { allReduce } from '../collectives/all-reduce.ts'
import type { AllReduceOutcome } from '../collectives/job.ts'
import { reduceScatter } from '../collectives/reduce-scatter.ts'
import { reading } from '../errors.ts'
import type { Call } from '../group/call.ts'
import { AgreedFailure } from '../group/failure.ts'
import type { Group } from '../group/group.ts'
import type { ShadowBody } from '../group/joins.ts'
import type { GpuReducer } from '../gpu/gpu-reducer.ts'
import { makeReducer } from '../reduction/reducer.ts'
import { reportSegments } from '../reduction/report.ts'
import { bytesOf, copyOptions } from '../tensor/check.ts'
import { newArrayLike } from '../tensor/dtype.ts'
import type { Layout } from '../tensor/layout.ts'
import type { AllReduceOptions, NumericArray, ReducibleArray, Reduction } from '../types.ts'
import type { Descriptor } from '../wire/frame.ts'
import { type Data, pack, readData } from './data.ts'
import { type LocalStage, planLocalStage } from './micro-batches.ts'
import { MICRO_BATCH_OPTIONS, REDUCE_SCATTER_OPTIONS, type ReduceScatterOptions } from './options.ts'
import { allReduceJobOf, compressionOf } from './reduce-job.ts'
import { ReducePlanner } from './reduce-plan.ts'
import { ShadowPlans } from './shadow-plans.ts'
import { shadowOf } from './shadow.ts'

/** Its methods are those of the communicator, which has their types and says what they throw. */
export class Reductions {
  readonly #group: Group
  readonly #binding: Binding
  readonly #planner: ReducePlanner
  readonly #shadows = new ShadowPlans()

  /** @param machines - the number of each rank's machine */
  constructor(group: Group, binding: Binding, machines: readonly number[]) {
    this.#group = group
    this.#binding = binding
    this.#planner = new ReducePlanner(group, machines)
  }

  async allReduce(
    data: Data | readonly ReducibleArray[] | GpuReducer,
    given: AllReduceOptions<Data>,
  ): Promise<Reduction<Data>> {
    const options = copyOptions(given, MICRO_BATCH_OPTIONS)
    const stage = reading('data', () => planLocalStage(data, options))
    return stage ? this.#allReduce(stage.data, stage.options, stage) : this.#allReduce(data as Data, options)
  }

  async #allReduce(given: Data, options: AllReduceOptions<Data>, stage?: LocalStage): Promise<Reduction<Data>> {
    const [data, target] = [readData(given, 'data'), readData(options?.out as Data, 'out')]
    const taken = target === undefined ? options : { ...options, out: target }
    const plan = reading('the arguments', () => this.#planner.allReduce(data, taken, stage?.localOp))
    const { layout, outLayout, descriptor } = plan
    if (plan.weight !== undefined) this.#shadows.note(plan)
    const { scratch, tuning } = this.#group
    const compression = compressionOf(plan, this.#binding, tuning, scratch)
    const ran = this.#group.run(descriptor, options, async (call) => {
      const local = stage && (await stage.run())
      if (local) call.noteProgress()
      const input = pack(data, scratch)
      const out = outLayout && pack(target, scratch)
      const check = (): void => [input, out].forEach((packed) => packed?.check())
      const memory = { data: input.vector, out: out?.vector, scratch, check, compression }
      const release = (): void => [input, out].forEach((packed) => packed?.release())
      const job = allReduceJobOf(plan, this.#binding, tuning, memory)
      const outcome = await allReduce(call, job).catch((error: unknown) => {
        // After any other failure a connection may still use the memory.
        if (error instanceof AgreedFailure) release()
        throw error
      })
      ;(out ?? input).unpack()
      release()
      return { ...reductionOf(options.out ?? given, layout, outcome, call), ...(local && { local }) }
    })
    return ran.finally(() => compression?.feedback?.release())
  }

  /** What this rank does, once it has joined, in an all-reduce of the others; undefined if it has made none like it. */
  shadowOf(descriptor: Descriptor): ShadowBody | undefined {
    const plan = this.#shadows.get(descriptor)
    return plan && shadowOf(plan, this.#group, this.#binding)
  }

  async reduceScatter(data: NumericArray, given: ReduceScatterOptions<NumericArray>): Promise<Reduction<NumericArray>> {
    const options = copyOptions(given, REDUCE_SCATTER_OPTIONS)
    const plan = reading('the arguments', () => this.#planner.reduceScatter(data, options))
    const { operation, layout, partBegins, descriptor } = plan
    const { rank, scratch, tuning } = this.#group
    const result = options.out ?? newArrayLike(data, partBegins[rank + 1]! - partBegins[rank]!)
    return this.#group.run(descriptor, options, async (call) => {
      const reducer = makeReducer(operation, layout.dtype, this.#binding, tuning)
      const [input, part] = [pack(data, scratch), pack(result, scratch)]
      const check = (): void => [input, part].forEach((packed) => packed.check())
      const memory = { data: input.vector, part: bytesOf(result), scratch, check }
      const outcome = await reduceScatter(call, { ...plan, reducer, ...memory })
      return reductionOf(result, layout, outcome, call)
    })
  }
}

function reductionOf<D>(result: D, layout: Layout, outcome: AllReduceOutcome, { size, bytesSent }: Call): Reduction<D> {
  const { report, nonFiniteRanks, weights } = outcome
  const reduction = { result, segments: reportSegments(layout, report, size), nonFiniteRanks, bytesSent }
  return weights ? { ...reduction, weights } : reduction
}
