/**
 * How elements pass from rank to rank: as they are, or quantised.
 *
 * Quantised, a rank makes codes of what it holds at a stage of the schedule and sends runs of them; it uses itself what its
 * own codes stand for, as all others do. The result is quantised once, by its owners, and its codes go down the levels as
 * they are: so all ranks hold the same bits.
 */
import { CodeLayout } from '../kernels/quantize.ts'
import type { Dtype } from '../tensor/dtype.ts'
import type { Layout } from '../tensor/layout.ts'
import { copyParts } from '../tensor/parts.ts'
import type { Vector } from '../tensor/vector.ts'
import type { AllReduceJob, Scratch } from './job.ts'
import type { Compression } from './quantizer.ts'

export interface Interval {
  readonly begin: number
  readonly end: number
}

/** An interval of the vector in memory. */
export interface Stretch extends Interval {
  /** Holds just these elements. */
  readonly vector: Vector
  /** Whose it is; the caller's is touched on this thread only. */
  readonly memory: 'caller' | 'pool'
}

/** What a rank holds, ready to be sent. */
export interface Departure {
  /** The parts of a message with these elements. */
  between(interval: Interval): Uint8Array[]
  /** What the receivers get, for this rank itself. */
  keep(room: Stretch): Promise<void>
}

/** Memory for a message, and what makes elements of it once it has come. */
export interface Incoming {
  readonly parts: readonly Uint8Array[]
  readonly arrived?: () => Promise<void>
}

/** Where the result comes together. */
export interface Gathering {
  /** Where these elements are received, and then sent on. */
  between(interval: Interval): Uint8Array[]
  /** This rank's own part of the result. */
  put(own: Stretch): Promise<void>
  /** When all of the result is there: it is in the target. */
  finish(): Promise<void>
}

export interface Passage {
  /** Whether what comes can be used while it comes, and what goes is not copied first. */
  readonly isPlain: boolean
  /** @param stage - how many times a number has been quantised before */
  depart(stage: number, held: Stretch): Promise<Departure>
  /** The same where nobody will look at the numbers. */
  departUnread(held: Stretch): Departure
  incoming(room: Stretch): Incoming
  /** @param stage - as for `depart` */
  gather(stage: number, target: Stretch): Gathering
}

/** A part of a message's flags, once its elements can be used. */
export function received(receive: Promise<number>, { arrived }: Incoming): Promise<number> {
  if (!arrived) return receive
  const used = receive.then(async (flags) => {
    await arrived()
    return flags
  })
  // Somebody waits for it later, or the group's failure is what counts.
  used.catch(() => undefined)
  return used
}

export function passageOf(job: AllReduceJob, scratch: Scratch): Passage {
  const { layout, compression, check } = job
  return compression ? new QuantizedPassage(layout, compression, scratch, check) : new PlainPassage(job)
}

/** Bytes of an interval within a stretch. */
function within({ byteLength }: Dtype, { vector, begin }: Stretch, part: Interval): Uint8Array[] {
  return vector.between((part.begin - begin) * byteLength, (part.end - begin) * byteLength)
}

export class PlainPassage implements Passage {
  readonly isPlain: boolean = true
  readonly #dtype: Dtype
  readonly #resultDtype: Dtype

  constructor({ layout, resultDtype }: Pick<AllReduceJob, 'layout' | 'resultDtype'>) {
    this.#dtype = layout.dtype
    this.#resultDtype = resultDtype
  }

  depart(_stage: number, held: Stretch): Promise<Departure> {
    return Promise.resolve(this.departUnread(held))
  }

  departUnread(held: Stretch): Departure {
    return {
      between: (interval) => within(this.#dtype, held, interval),
      keep: async (room) => copyParts(within(this.#dtype, held, room), room.vector.parts),
    }
  }

  incoming({ vector }: Stretch): Incoming {
    return { parts: vector.parts }
  }

  gather(_stage: number, target: Stretch): Gathering {
    const between = (interval: Interval): Uint8Array[] => within(this.#resultDtype, target, interval)
    return {
      between,
      put: async (own) => copyParts(own.vector.parts, between(own)),
      finish: () => Promise.resolve(),
    }
  }
}

class QuantizedPassage implements Passage {
  readonly isPlain: boolean = false
  readonly #layout: Layout
  readonly #compression: Compression
  readonly #scratch: Scratch
  readonly #check: () => void
  readonly #codes: CodeLayout

  constructor(layout: Layout, compression: Compression, scratch: Scratch, check: () => void) {
    this.#layout = layout
    this.#compression = compression
    this.#scratch = scratch
    this.#check = check
    this.#codes = new CodeLayout(layout, compression.quantizer.coding)
  }

  async depart(stage: number, held: Stretch): Promise<Departure> {
    const codes = this.#room(held)
    await this.#quantize(stage, held, codes)
    return this.#departure(held, codes)
  }

  departUnread(held: Stretch): Departure {
    return this.#departure(held, this.#room(held).fill(0))
  }

  incoming(room: Stretch): Incoming {
    const codes = this.#room(room)
    return { parts: [codes], arrived: () => this.#dequantize(room, codes) }
  }

  gather(stage: number, target: Stretch): Gathering {
    const codes = this.#room(target)
    const part = (interval: Interval): Uint8Array => this.#between(target, codes, interval)
    return {
      between: (interval) => [part(interval)],
      put: (own) => this.#quantize(stage, own, part(own)),
      // Not bit by bit as it comes: the target may be the caller's, which nobody touches once the call has failed.
      finish: () => this.#dequantize(target, codes),
    }
  }

  #departure(held: Stretch, codes: Uint8Array): Departure {
    return {
      between: (interval) => [this.#between(held, codes, interval)],
      keep: (room) => this.#dequantize(room, this.#between(held, codes, room)),
    }
  }

  #room({ begin, end }: Interval): Uint8Array {
    return this.#scratch(this.#codes.byteOf(end) - this.#codes.byteOf(begin))
  }

  /** The codes of an interval, from those of a longer one. */
  #between(whole: Interval, codes: Uint8Array, { begin, end }: Interval): Uint8Array {
    const first = this.#codes.byteOf(whole.begin)
    return codes.subarray(this.#codes.byteOf(begin) - first, this.#codes.byteOf(end) - first)
  }

  #quantize(stage: number, held: Stretch, codes: Uint8Array): Promise<void> {
    const { quantizer, feedback, firstElement } = this.#compression
    const { begin, end } = held
    const residual = feedback?.take(stage, firstElement + begin, firstElement + end)
    return quantizer.quantize(this.#jobOf(held, codes), residual)
  }

  #dequantize(room: Stretch, codes: Uint8Array): Promise<void> {
    return this.#compression.quantizer.dequantize(this.#jobOf(room, codes))
  }

  #jobOf({ begin, end, vector, memory }: Stretch, codes: Uint8Array) {
    return { layout: this.#layout, begin, end, numbers: vector, codes, memory, check: this.#check }
  }
}
