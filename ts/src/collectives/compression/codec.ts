/**
 * How elements travel from rank to rank: as they are, or as codes.
 *
 * With codes, a rank encodes what it holds at a stage of the schedule and sends parts of the codes. It decodes its own
 * codes, too, and goes on with what they stand for, as all other ranks do. The result is encoded once, by its owners,
 * and its codes go down the levels as they are. So all ranks hold the same bits.
 */
import { ignoreRejection } from '../../group/call.ts'
import { CodeLayout } from '../../kernels/quantize.ts'
import type { Dtype } from '../../tensor/dtype.ts'
import type { Layout } from '../../tensor/layout.ts'
import { copyParts } from '../../tensor/parts.ts'
import type { Vector } from '../../tensor/vector.ts'
import type { AllReduceJob, Scratch } from '../job.ts'
import type { Interval } from '../schedule/slices.ts'
import type { Compression } from './quantizer.ts'

/** An interval of the vector in memory. */
export interface Stretch extends Interval {
  /** Holds these elements and no others. */
  readonly vector: Vector
  /** Who owns the memory. The caller's is touched on this thread only. */
  readonly memory: 'caller' | 'pool'
}

/** What a rank holds, ready to be sent. */
export interface Encoded {
  /** The parts of a message with these elements. */
  between(interval: Interval): Uint8Array[]
  /** Writes the elements as the receivers see them to this rank's own memory. */
  decodeOwn(room: Stretch): Promise<void>
}

/** Memory for a message, and what turns it into elements once it is here. */
export interface Decoding {
  readonly parts: readonly Uint8Array[]
  readonly decode?: () => Promise<void>
}

/** Where the result comes together. */
export interface Gathering {
  /** The memory in which these elements are received, and from which they are sent on. */
  between(interval: Interval): Uint8Array[]
  /** Adds this rank's own part of the result. */
  put(own: Stretch): Promise<void>
  /** Decodes the whole result into the target, once all of it is here. */
  finish(): Promise<void>
}

export interface Codec {
  /**
   * Whether elements travel as they are. Then they can be used while they come, and are not copied before they are
   * sent.
   */
  readonly isPlain: boolean
  /** @param stage - how many times a number has been encoded before */
  encode(stage: number, held: Stretch): Promise<Encoded>
  /** The same with codes of nothing, for numbers that nobody will look at. */
  encodeBlank(held: Stretch): Encoded
  decodeInto(room: Stretch): Decoding
  /** @param stage - as for `encode` */
  gather(stage: number, target: Stretch): Gathering
}

/** Resolves to the flags of a message once its elements can be used. */
export function decoded(receive: Promise<number>, { decode }: Decoding): Promise<number> {
  if (!decode) return receive
  const used = receive.then(async (flags) => {
    await decode()
    return flags
  })
  return ignoreRejection(used)
}

export function codecOf(job: AllReduceJob, scratch: Scratch): Codec {
  const { layout, compression, check } = job
  return compression ? new QuantizingCodec(layout, compression, scratch, check) : new PlainCodec(job)
}

/** The bytes of an interval of a stretch. */
function within({ byteLength }: Dtype, { vector, begin }: Stretch, part: Interval): Uint8Array[] {
  return vector.partsBetween((part.begin - begin) * byteLength, (part.end - begin) * byteLength)
}

export class PlainCodec implements Codec {
  readonly isPlain: boolean = true
  readonly #dtype: Dtype
  readonly #resultDtype: Dtype

  constructor({ layout, resultDtype }: Pick<AllReduceJob, 'layout' | 'resultDtype'>) {
    this.#dtype = layout.dtype
    this.#resultDtype = resultDtype
  }

  encode(_stage: number, held: Stretch): Promise<Encoded> {
    return Promise.resolve(this.encodeBlank(held))
  }

  encodeBlank(held: Stretch): Encoded {
    return {
      between: (interval) => within(this.#dtype, held, interval),
      decodeOwn: async (room) => copyParts(within(this.#dtype, held, room), room.vector.parts),
    }
  }

  decodeInto({ vector }: Stretch): Decoding {
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

class QuantizingCodec implements Codec {
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

  async encode(stage: number, held: Stretch): Promise<Encoded> {
    const codes = this.#room(held)
    await this.#quantize(stage, held, codes)
    return this.#encoded(held, codes)
  }

  encodeBlank(held: Stretch): Encoded {
    return this.#encoded(held, this.#room(held).fill(0))
  }

  decodeInto(room: Stretch): Decoding {
    const codes = this.#room(room)
    return { parts: [codes], decode: () => this.#dequantize(room, codes) }
  }

  gather(stage: number, target: Stretch): Gathering {
    const codes = this.#room(target)
    const part = (interval: Interval): Uint8Array => this.#between(target, codes, interval)
    return {
      between: (interval) => [part(interval)],
      put: (own) => this.#quantize(stage, own, part(own)),
      // The result is not decoded part by part as it comes: the target may be the caller's, which nobody touches after
      // a failure.
      finish: () => this.#dequantize(target, codes),
    }
  }

  #encoded(held: Stretch, codes: Uint8Array): Encoded {
    return {
      between: (interval) => [this.#between(held, codes, interval)],
      decodeOwn: (room) => this.#dequantize(room, this.#between(held, codes, room)),
    }
  }

  #room({ begin, end }: Interval): Uint8Array {
    return this.#scratch(this.#codes.byteOf(end) - this.#codes.byteOf(begin))
  }

  /** The codes of an interval, as a part of those of a longer one. */
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
