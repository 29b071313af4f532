/** What a store and its ranks say to each other. Choices: put lengths right; the world's size; bytes that come at once. */
import { isDeepStrictEqual } from 'node:util'
import {
  encodeMessage,
  MessageDecoder,
  parseRankMessage,
  parseStoreMessage,
  type RankMessage,
  type StoreMessage,
} from '../../../ts/src/rendezvous/stores/tcp/messages.ts'
import type { PeerAddress } from '../../../ts/src/rendezvous/stores/store.ts'
import { DEFAULT_TUNING } from '../../../ts/src/tuning.ts'
import { feed, inputOf, ensure, type Target } from '../_target.ts'

const ID = '0123456789abcdef'.repeat(2)
const NEAR = { host: '127.0.0.1', port: 29500, sharesMemory: true, unixKey: ID } as const
const FAR = { host: 'fe80::1%eth0', port: 1 } as const
const SIZE = 2

const MESSAGES: readonly (RankMessage | StoreMessage)[] = [
  { type: 'join', ...NEAR, machine: ID, tuning: DEFAULT_TUNING, failureTimeoutMs: 3000 },
  { type: 'join', ...FAR, machine: ID, tuning: DEFAULT_TUNING, failureTimeoutMs: 3000 },
  { type: 'pong' },
  { type: 'ping' },
  { type: 'waiting', missing: [1], left: [1], refusals: { count: 2, last: '10.0.0.7:4711 has another secret' } },
  { type: 'start', runId: ID, peers: [NEAR, FAR], machines: [0, 1], tuning: DEFAULT_TUNING, failureTimeoutMs: 3000 },
]

/** The values that a stream holds, and what is wrong with the rest of it. */
function hear(stream: Uint8Array, pieceByteLength: number): { values: unknown[]; error: Error | undefined } {
  const values: unknown[] = []
  let error: Error | undefined
  const decoder = new MessageDecoder({
    onMessage: (value) => values.push(value),
    onMalformed: (malformed) => {
      ensure(error === undefined, 'it complains twice')
      error = malformed
    },
    onEnd: () => undefined,
  })
  feed(decoder, stream, pieceByteLength)
  return { values, error }
}

const isBelow = (number: number, end: number): boolean => Number.isInteger(number) && number >= 0 && number < end

/** Nobody looks at a field again that has been let through. */
function checkFields(message: RankMessage | StoreMessage, size: number): void {
  const isAddress = ({ host, port }: PeerAddress): boolean => isBelow(port - 1, 65535) && /^[\w.:%-]+$/.test(host)
  if (message.type === 'join') ensure(isAddress(message), () => `an address ${message.host}, ${message.port}`)
  if (message.type === 'waiting') {
    const ranks = [...message.missing, ...message.left]
    ensure(ranks.every((rank) => isBelow(rank, size)), () => `ranks ${ranks.join()} of ${size}`) // prettier-ignore
    ensure(isBelow(message.refusals.count, 2 ** 53), () => `${message.refusals.count} refusals`)
  }
  if (message.type === 'start') {
    const { peers, machines } = message
    ensure(peers.length === size && machines.length === size, () => `${peers.length} peers of ${size}`)
    ensure(
      peers.every(isAddress) && machines.every((machine) => isBelow(machine, size)),
      'an address or machine is none',
    )
  }
}

function checkRoundTrip(message: RankMessage | StoreMessage, parse: (value: unknown) => unknown): void {
  const { values } = hear(encodeMessage(message), Infinity)
  const again = values.map(parse)
  const isSame = isDeepStrictEqual(plain(again), plain([message]))
  ensure(isSame, () => `${JSON.stringify(message)} is read as ${JSON.stringify(again)}`)
}

/** JSON knows no negative zero, and nobody asks for one. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

/** One message, whose length is made to fit. */
function withLength(stream: Uint8Array): Uint8Array {
  if (stream.length < 4) return stream
  const right = Buffer.from(stream)
  right.writeUInt32BE(right.length - 4)
  return right
}

export const messages: Target = {
  name: 'messages',
  share: 20,
  largest: 4096,
  seeds: () => MESSAGES.map((message) => inputOf([1, SIZE, 255], encodeMessage(message))),
  words: [
    '"type":',
    '"join"',
    '"start"',
    '"peers":',
    '"tuning":',
    '"refusals":',
    'null',
    'true',
    '[]',
    '{}',
    '__proto__',
  ],
  run(input) {
    const [repairs = 0, size = 0, piece = 0] = input
    const content = input.subarray(3)
    const stream = repairs % 2 === 1 ? withLength(content) : content
    const [whole, cut] = [hear(stream, Infinity), hear(stream, piece + 1)]
    ensure(isDeepStrictEqual(whole.values, cut.values), 'the messages depend on the pieces in which bytes come')
    ensure(whole.error?.message === cut.error?.message, 'the error depends on the pieces in which bytes come')
    const accepted = whole.values.filter((value) => {
      const parsers = [parseRankMessage, (given: unknown) => parseStoreMessage(given, size)]
      const parsed = parsers.flatMap((parse) => {
        const message = parse(value)
        if (message !== undefined) {
          checkFields(message, size)
          checkRoundTrip(message, parse)
        }
        return message ?? []
      })
      return parsed.length > 0
    })
    return accepted.length > 0
  },
}
