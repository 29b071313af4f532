/**
 * How a rank collects the other ranks' inputs on one interval of the vector and gives them its own: the exchange of the
 * direct schedule and of the first level. Each rank sends each other one message, with all elements that the receiver
 * reduces.
 *
 * Inputs that are not encoded are read in their rank's memory if it is shared with this one. Codes come into this
 * rank's memory. The header of the message says whether the sender's input is finite, and how much it counts. In the
 * direct schedule long inputs do not wait until they have been scanned: there another message says it behind them.
 *
 * Long inputs can be reduced while they come (`isStreamed`), as soon as all headers are here; unless inputs may be left
 * out because they are not finite: then all flags must be known first.
 */
import { type BorrowedMessage, ignoreRejection } from '../group/call.ts'
import type { MessageWatcher } from '../group/slot.ts'
import { Vector } from '../tensor/vector.ts'
import { Arrivals } from './arrival.ts'
import { type Codec, type Encoded, type Stretch, decoded } from './compression/codec.ts'
import type { AllReduceJob } from './job.ts'
import { looksFirst, scan } from './non-finite.ts'
import type { Peers } from './peers.ts'
import { type Presence, isAnyPresent, presenceOf } from './presence.ts'
import type { Interval } from './schedule/slices.ts'

export interface InputExchange {
  readonly call: Peers
  readonly job: AllReduceJob
  readonly codec: Codec
  readonly step: number
  /** The elements that this rank reduces. */
  readonly interval: Interval
  /** The other ranks, and the index of each one's input. */
  readonly sources: readonly { readonly rank: number; readonly input: number }[]
  readonly ownInput: number
  /** The elements that the other ranks reduce. */
  readonly targets: readonly (Interval & { readonly rank: number })[]
  /** Gives memory for an input that is not read where it lies. It is called once for each of these. */
  readonly room: (input: number) => Uint8Array
  /** Whether this rank's own input is reduced in the caller's memory, unless it is encoded. */
  readonly readsOwnInPlace: boolean
  readonly isStreamed: boolean
  /**
   * The step of the messages that follow streamed inputs and say whether these are finite. Absent: the inputs' headers
   * say it.
   */
  readonly flagsStep?: number
}

export interface Inputs {
  /** The inputs on this rank's interval, in rank order. */
  readonly vectors: readonly Vector[]
  /** Whether none of them is in memory that this rank gave for inputs. */
  readonly areElsewhere: boolean
  /** How much of them is here, if they are streamed. */
  readonly arrival: Arrivals | undefined
  /** Resolves when the weights of all these inputs are known; undefined if they are. */
  readonly weightsReady: Promise<unknown> | undefined
  /** Resolves when all ranks' flags are known. */
  readonly flagsReady: Promise<void>
  /** Tells the other ranks that their inputs have been read. */
  readonly finish: () => Promise<void>
  readonly sends: Promise<void>[]
}

/** Inputs for which receives are posted. */
interface Requested {
  /** Resolves, once the inputs are here, to the flags in their headers, in the order of the sources. */
  readonly flags: () => Promise<number[]>
  /** Resolves, in the order of the sources, as soon as it is known where the inputs lie or will lie. */
  readonly locate: () => Promise<Vector[]>
  /** Whether any of them comes into this rank's own memory. Only valid once they are located. */
  readonly isHere: () => boolean
  readonly finish: () => Promise<void>
}

/** What is told of each input as soon as it begins to come: the watcher of the message from a rank. */
type WatcherOf = (rank: number) => MessageWatcher | undefined

/**
 * Exchanges inputs, and fills in `presence` by rank. Resolves when all inputs are here, or, if they are streamed, when it
 * is known where they will be.
 */
export async function exchangeInputs(exchange: InputExchange, presence: Presence): Promise<Inputs> {
  const { call, job, codec, sources, ownInput, isStreamed } = exchange
  const arrival = isStreamed ? new Arrivals(call, sources.length, job.layout.dtype.byteLength) : undefined
  const span = arrival ? undefined : call.begin('exchange')
  const { watcherOf, headersHere } = weightsFor(exchange, presence)
  const requested = codec.isPlain ? borrowInputs(exchange, watcherOf, arrival) : receiveCodes(exchange, watcherOf)
  const flagsStep = arrival && exchange.flagsStep
  const { flags } = presence
  if (flagsStep === undefined) flags[call.rank] = await scan(call, job)
  job.check()
  const { own, sends } = await sendOwn(exchange, presence)
  const flagsReady =
    flagsStep === undefined
      ? takeFlags(exchange, requested.flags(), flags)
      : exchangeFlags(exchange, flagsStep, flags, sends)
  if (arrival) flagsReady.catch((error: unknown) => arrival.fail(error))
  else await flagsReady
  // A message that does not come brings no header.
  const weightsReady = headersHere && ignoreRejection(Promise.race([headersHere, requested.flags()]))
  if (span) call.end(span)
  const vectors: Vector[] = []
  const located = await requested.locate()
  sources.forEach(({ input }, i) => (vectors[input] = located[i]!))
  vectors[ownInput] = own
  const areElsewhere = staysInPlace(exchange) && !requested.isHere()
  return { vectors, areElsewhere, arrival, weightsReady, flagsReady, finish: requested.finish, sends }
}

/** Fills in the weights of the inputs, in a call that has some, as their headers come. */
function weightsFor(
  { job, sources }: InputExchange,
  { weights }: Presence,
): { watcherOf: WatcherOf; headersHere: Promise<void> | undefined } {
  let missing = sources.length
  if (job.weight === undefined || missing === 0) return { watcherOf: () => undefined, headersHere: undefined }
  let resolve: () => void
  const headersHere = new Promise<void>((onHere) => (resolve = onHere))
  const watcherOf: WatcherOf = (rank) => ({
    onWeight: (weight) => {
      weights[rank] = weight
      if (--missing === 0) resolve()
    },
  })
  return { watcherOf, headersHere }
}

function staysInPlace({ codec, readsOwnInPlace }: InputExchange): boolean {
  return codec.isPlain && readsOwnInPlace
}

/**
 * Sends this rank's input, and returns it on its own interval as the other ranks see it: decoded, if it was encoded.
 */
async function sendOwn(exchange: InputExchange, presence: Presence): Promise<{ own: Vector; sends: Promise<void>[] }> {
  const { call, job, codec, step, interval, targets } = exchange
  const { layout, data } = job
  const held: Stretch = { begin: 0, end: layout.elementCount, vector: data, memory: 'caller' }
  const ownFlags = presence.flags[call.rank]!
  const encoded = await encodePresent(job, codec, 0, held, presenceOf(presence, { first: call.rank, count: 1 }))
  const sends = targets.map((to) => call.send(to.rank, step, encoded.between(to), ownFlags, job.weight))
  if (staysInPlace(exchange)) {
    const { byteLength } = layout.dtype
    return { own: data.subvector(interval.begin * byteLength, interval.end * byteLength), sends }
  }
  const own = roomOf(exchange, exchange.ownInput)
  await encoded.decodeOwn(own)
  return { own: own.vector, sends }
}

/**
 * Encodes what a rank holds for a stage of the schedule. Nobody looks at its numbers if they are made of the inputs of
 * absent ranks alone.
 *
 * @param presence - of all ranks whose inputs are in it
 */
export function encodePresent(
  job: AllReduceJob,
  codec: Codec,
  stage: number,
  held: Stretch,
  presence: Presence,
): Promise<Encoded> | Encoded {
  return isAnyPresent(job, presence) ? codec.encode(stage, held) : codec.encodeBlank(held)
}

function borrowInputs(
  { call, job, step, interval, sources, room }: InputExchange,
  watcherOf: WatcherOf,
  arrival: Arrivals | undefined,
): Requested {
  const byteLength = (interval.end - interval.begin) * job.layout.dtype.byteLength
  let isHere = false
  const incoming = sources.map(({ rank: from, input }, i): BorrowedMessage => {
    const memory = (): Uint8Array[] => {
      isHere = true
      return [room(input)]
    }
    const watcher = watcherOf(from)
    if (arrival) return arrival.borrow(i, { from, step, byteLength, memory, onWeight: watcher?.onWeight })
    return call.borrow(from, step, byteLength, memory, watcher)
  })
  const flags = async (): Promise<number[]> => {
    const received = await Promise.all(incoming.map(({ received }) => received))
    return received.map(({ rankFlags }) => rankFlags)
  }
  const locate = async (): Promise<Vector[]> => {
    const places = await Promise.all(incoming.map(({ parts }) => parts))
    return places.map((parts) => new Vector(parts))
  }
  const finish = async (): Promise<void> => {
    await Promise.all(incoming.map(async ({ received }) => (await received).finish()))
  }
  return { flags, locate, isHere: () => isHere, finish }
}

function receiveCodes(exchange: InputExchange, watcherOf: WatcherOf): Requested {
  const { call, codec, step, sources } = exchange
  const rooms = sources.map(({ input }) => roomOf(exchange, input))
  const receives = sources.map(({ rank }, i) => {
    const decoding = codec.decodeInto(rooms[i]!)
    return decoded(call.receive(rank, step, decoding.parts, watcherOf(rank)), decoding)
  })
  const locate = (): Promise<Vector[]> => Promise.resolve(rooms.map(({ vector }) => vector))
  return { flags: () => Promise.all(receives), locate, isHere: () => true, finish: () => Promise.resolve() }
}

function roomOf({ interval: { begin, end }, room }: InputExchange, input: number): Stretch {
  return { begin, end, vector: Vector.of(room(input)), memory: 'pool' }
}

async function takeFlags(
  { sources }: InputExchange,
  theirs: Promise<readonly number[]>,
  flags: Uint8Array,
): Promise<void> {
  const found = await theirs
  sources.forEach(({ rank }, i) => (flags[rank] = found[i]!))
}

/** Exchanges the ranks' flags in messages of their own. */
async function exchangeFlags(
  exchange: InputExchange,
  step: number,
  flags: Uint8Array,
  sends: Promise<void>[],
): Promise<void> {
  const { call, job, sources, targets } = exchange
  if (!looksFirst(call, job)) return
  const receives = sources.map(({ rank }) => call.receive(rank, step, []))
  flags[call.rank] = await scan(call, job)
  job.check()
  sends.push(...targets.map(({ rank }) => call.send(rank, step, [], flags[call.rank])))
  await takeFlags(exchange, Promise.all(receives), flags)
}
