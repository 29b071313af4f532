import { OP_CODES } from '../binding/binding.ts'
import { fingerprintOfFloats } from '../optim/fingerprint.ts'
import type { WeightLayout } from '../optim/weight-layout.ts'
import { checkAgreement, operatorSettings, type Setting } from './agreement.ts'
import type { Collectives } from './collectives.ts'
import { JoinAgreement } from './join-agreement.ts'
import { checkSameLayout } from './layout-agreement.ts'
import { callOptionsOf } from './options.ts'
import { MODES, type TrainerSettings, type TrainerWords } from './trainer-options.ts'

const AGREED_OF_SCALE = [
  ...(['goodSteps', 'growthFactor', 'backoffFactor', 'growthInterval'] as const),
  ...(['minScale', 'maxScale'] as const),
]

/**
 * Checks that all ranks begin alike: with the same options, the same weights and the same bits in them. And where they count
 * samples, so that they can join, that they go on with the same bits behind a join.
 */
export class StartAgreement {
  readonly #comm: Collectives
  readonly #settings: TrainerSettings
  readonly #words: TrainerWords
  readonly #behindJoins: JoinAgreement
  #hasBegun = false

  constructor(comm: Collectives, settings: TrainerSettings, words: TrainerWords) {
    this.#comm = comm
    this.#settings = settings
    this.#words = words
    this.#behindJoins = new JoinAgreement(comm, words.trainer, callOptionsOf(settings.exchange))
  }

  /** Whether there is nothing to check before the next exchange. */
  get isReached(): boolean {
    return this.#hasBegun && !this.#behindJoins.isDue
  }

  /**
   * A few small collectives the first time, one behind a join, and nothing else.
   *
   * @param countsSamples - whether this rank's batches have sample counts
   * @throws AdasumError ERR_MISMATCH with the first difference, the same on every rank
   */
  async reach(layout: WeightLayout, weights: Float32Array, countsSamples: boolean): Promise<void> {
    if (this.isReached) return
    if (this.#hasBegun) return this.#behindJoins.check(weights)
    const { trainer, sameWeights, equalStart } = this.#words
    const shared = { comm: this.#comm, caller: trainer, call: callOptionsOf(this.#settings.exchange) }
    const advice = 'Construct it with the same options on every rank.'
    const samples = { label: 'sampleCount', value: Number(countsSamples), choices: ['absent', 'given'] }
    await checkAgreement([...this.#options(), samples], { ...shared, advice })
    await checkSameLayout(layout, { ...shared, advice: sameWeights })
    const print = [{ label: 'the fingerprint of the initial weights', value: fingerprintOfFloats(weights) }]
    await checkAgreement(print, { ...shared, advice: equalStart })
    if (countsSamples) await this.#behindJoins.begin(weights)
    this.#hasBegun = true
  }

  #options(): Setting[] {
    const { exchange, mode, localSteps, accumulate, accumulateOp, lossScaler } = this.#settings
    const scale = lossScaler && { ...lossScaler.state(), ...lossScaler.settings }
    return [
      ...operatorSettings(exchange.op),
      { label: 'gram', value: Number(exchange.gram === true), choices: ['absent', 'given'] },
      { label: 'mode', value: MODES.indexOf(mode), choices: MODES },
      { label: 'localSteps', value: localSteps },
      { label: 'accumulate', value: accumulate },
      { label: 'accumulateOp', value: OP_CODES[accumulateOp], choices: Object.keys(OP_CODES) },
      // Zero is none.
      { label: 'lossScale', value: scale?.scale ?? 0 },
      ...AGREED_OF_SCALE.map((name) => ({ label: `${name} of lossScale`, value: scale?.[name] ?? 0 })),
    ]
  }
}
