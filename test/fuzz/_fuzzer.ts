/**
 * Fuzzing of one target, guided by coverage. Inputs are made of those that are kept: first the seeds and the corpus, later also
 * whatever has reached code that nothing before has reached. Everything follows from the seed of the run.
 */
import { reasonOf } from '../../ts/src/errors.ts'
import { mulberry32, type Random } from '../transport/_random.ts'
import { bytesOfFound, readCorpus } from './_corpus.ts'
import { Coverage } from './_coverage.ts'
import { judge } from './_judge.ts'
import { Mutations } from './_mutations.ts'
import type { Target } from './_target.ts'

/** Inputs between two looks at the counters. */
const SMALLEST_BATCH = 32
const LARGEST_BATCH = 1024
/** A parser that is this wrong is mended first. */
const MOST_FAULTS = 10
const MOST_SHRINKING = 2000

export interface FoundFault {
  readonly input: Uint8Array
  readonly fault: string
}

export interface Outcome {
  readonly inputs: number
  readonly accepted: number
  /** Seeds that were refused: then mutations of them test nothing. */
  readonly refusedSeeds: number
  readonly faults: readonly FoundFault[]
  /** Inputs that reached code which nothing before had reached. */
  readonly fresh: readonly Uint8Array[]
  /** Characters of the sources that have run. */
  readonly covered: number
}

export class Fuzzer {
  readonly #target: Target
  readonly #random: Random
  readonly #mutations: Mutations
  readonly #onInput: (input: Uint8Array) => void
  readonly #coverage = new Coverage()
  readonly #kept: Uint8Array[] = []
  readonly #faults = new Map<string, FoundFault>()
  #inputs = 0
  #accepted = 0

  /** @param onInput - called with each input before it is parsed: what it breaks may be this process */
  constructor(target: Target, seed: number, onInput: (input: Uint8Array) => void) {
    this.#target = target
    this.#random = mulberry32(seed)
    this.#mutations = new Mutations(this.#random, target.words ?? [], target.largest)
    this.#onInput = onInput
  }

  async run(count: number): Promise<Outcome> {
    const refusedSeeds = await this.#begin()
    const known = this.#kept.length
    for (let batch = SMALLEST_BATCH; this.#inputs < count && this.#faults.size < MOST_FAULTS;) {
      const inputs = Array.from({ length: Math.min(batch, count - this.#inputs) }, () => this.#make())
      this.#inputs += inputs.length
      this.#accepted += await this.#try(inputs)
      const found = this.#coverage.take()
      if (found.news > 0) await this.#keepCauses(inputs)
      found.keep()
      batch = found.news > 0 ? Math.max(SMALLEST_BATCH, batch >> 2) : Math.min(LARGEST_BATCH, batch << 1)
    }
    const fresh = this.#kept.slice(known)
    const [inputs, accepted, covered] = [this.#inputs, this.#accepted, this.#coverage.total]
    this.#coverage.stop()
    return { inputs, accepted, refusedSeeds, faults: [...this.#faults.values()], fresh, covered }
  }

  /** @returns how many seeds were refused */
  async #begin(): Promise<number> {
    const seeds = await this.#target.seeds()
    const accepted = await this.#try(seeds)
    const corpus = readCorpus(this.#target.name).map(bytesOfFound)
    this.#accepted += accepted + (await this.#try(corpus))
    this.#inputs += seeds.length + corpus.length
    this.#coverage.take().keep()
    this.#kept.push(...seeds, ...corpus)
    return seeds.length - accepted
  }

  #make(): Uint8Array {
    const [one, other] = [0, 1].map(() => this.#kept[Math.floor(this.#random() * this.#kept.length)]!)
    return this.#mutations.mutate(one!, other!)
  }

  /** @returns how many were accepted */
  async #try(inputs: readonly Uint8Array[]): Promise<number> {
    let accepted = 0
    for (const input of inputs) {
      this.#onInput(input)
      try {
        if (await judge(this.#target, input)) accepted++
      } catch (error) {
        await this.#onFault(input, reasonOf(error))
      }
    }
    return accepted
  }

  /** Finds those inputs of a batch that have reached what is new. */
  async #keepCauses(inputs: readonly Uint8Array[]): Promise<void> {
    if (inputs.length === 1) return void this.#kept.push(inputs[0]!)
    const middle = inputs.length >> 1
    for (const half of [inputs.slice(0, middle), inputs.slice(middle)]) {
      await this.#try(half)
      const found = this.#coverage.take()
      if (found.news === 0) continue
      await this.#keepCauses(half)
      found.keep()
    }
  }

  async #onFault(input: Uint8Array, fault: string): Promise<void> {
    if (this.#faults.has(kindOf(fault)) || this.#faults.size >= MOST_FAULTS) return
    this.#faults.set(kindOf(fault), { input, fault })
    this.#faults.set(kindOf(fault), { input: await this.#shrink(input, fault), fault })
  }

  /** Leaves out whatever can be left out without another outcome. */
  async #shrink(input: Uint8Array, fault: string): Promise<Uint8Array> {
    let [smallest, tries] = [input, 0]
    for (let length = input.length >> 1; length > 0; length >>= 1)
      for (let at = 0; at < smallest.length && tries < MOST_SHRINKING; tries++) {
        const shorter = Buffer.concat([smallest.subarray(0, at), smallest.subarray(at + length)])
        if (await this.#fails(shorter, fault)) smallest = shorter
        else at += length
      }
    return smallest
  }

  async #fails(input: Uint8Array, fault: string): Promise<boolean> {
    try {
      await judge(this.#target, input)
      return false
    } catch (error) {
      return kindOf(reasonOf(error)) === kindOf(fault)
    }
  }
}

/** Faults of one kind differ in numbers and quotations only. */
function kindOf(fault: string): string {
  return fault.replaceAll(/"[^]*"|-?\d[\d.]*(?:e[+-]?\d+)?/g, '').slice(0, 60)
}
