/**
 * Checks that ranks go on with the same weights behind a join. A rank that joins early misses what the others do, so it has
 * to get their weights afterwards. Nothing else would notice if it did not, if it had steps of its own pending when it
 * joined, or if its optimizer lacks the moments of the steps that it has missed.
 *
 * The check is an all-reduce with a weight, which each rank has made once before it can join: so the others can make it while
 * some have joined again.
 */
import { AdasumError } from '../errors.ts'
import { fingerprintOfFloats } from '../optim/fingerprint.ts'
import type { CallOptions } from '../types.ts'
import type { Collectives } from './collectives.ts'

/** The weights before the first exchange show what a rank has missed, those before the second one what its optimizer has. */
const CHECKED_EXCHANGES = 2
/** Where a fingerprint is cut: a mean of doubles brings parts of 32 bits back exactly. */
const PART = 2 ** 32

const ADVICE =
  "Behind join(), give all ranks the weights of the rank that joined last. Join only when no local steps are pending, and in mode 'gradient' only with an optimizer that keeps nothing of steps before. Or call with sampleCount: 0 in place of joining."

export class JoinAgreement {
  readonly #comm: Collectives
  readonly #caller: string
  readonly #call: CallOptions
  /** The joins that had ended at the last check; undefined before `begin`. */
  #joinCount: number | undefined
  #exchangesLeft = 0

  /** @param caller - what an error names: the trainer */
  constructor(comm: Collectives, caller: string, call: CallOptions) {
    this.#comm = comm
    this.#caller = caller
    this.#call = call
  }

  /** From now on joins are noticed. All ranks call it at the same point, and none has joined. */
  async begin(weights: Float32Array): Promise<void> {
    if (this.#comm.joinCount === undefined) return
    await this.#fingerprints(weights)
    this.#joinCount = this.#comm.joinCount
  }

  /** Whether the next exchange is to be checked. All ranks that make it agree on this, since a join ends on all of them. */
  get isDue(): boolean {
    return this.#joinCount !== undefined && (this.#exchangesLeft > 0 || this.#joinCount !== this.#comm.joinCount)
  }

  /**
   * @param weights - from which the exchange goes on
   * @throws AdasumError ERR_MISMATCH with two fingerprints, the same on every rank that has not joined again
   */
  async check(weights: Float32Array): Promise<void> {
    if (this.#joinCount !== this.#comm.joinCount) this.#exchangesLeft = CHECKED_EXCHANGES
    this.#joinCount = this.#comm.joinCount
    const prints = await this.#fingerprints(weights)
    const first = prints.findIndex((print) => print !== undefined)
    const other = prints.findIndex((print) => print !== undefined && print !== prints[first])
    if (other < 0) return void this.#exchangesLeft--
    const found = `the fingerprint of the weights behind the last join is ${prints[first]} on rank ${first} and ${prints[other]} on rank ${other}`
    throw new AdasumError('ERR_MISMATCH', `${this.#caller}: ${found}. ${ADVICE}`, {
      rank: this.#comm.rank,
      peerRank: other,
    })
  }

  /** By rank; undefined for one that has joined. */
  async #fingerprints(weights: Float32Array): Promise<(number | undefined)[]> {
    const { rank, size } = this.#comm
    const mine = fingerprintOfFloats(weights)
    const parts = new Float64Array(2 * size)
    parts.set([mine % PART, Math.floor(mine / PART)], 2 * rank)
    const reduction = await this.#comm.allReduce(parts, { op: 'average', weight: 1, ...this.#call })
    const present = reduction.weights!.map((weight) => weight > 0)
    const count = present.filter(Boolean).length
    const whole = (part: number): number => Math.round(parts[part]! * count)
    return present.map((isPresent, peer) => (isPresent ? whole(2 * peer) + PART * whole(2 * peer + 1) : undefined))
  }
}
