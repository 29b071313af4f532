import test from 'ava'
import {
  encodeMessage,
  type JoinMessage,
  MAX_MESSAGE_BYTE_LENGTH,
  MessageDecoder,
  parseRankMessage,
  parseStoreMessage,
  type StartMessage,
  type WaitingMessage,
} from '../../../ts/src/rendezvous/stores/tcp/messages.ts'
import { DEFAULT_TUNING, type Tuning, TUNING_BOUNDS } from '../../../ts/src/tuning.ts'
import { mulberry32 } from '../../transport/_random.ts'

const seed = Number(process.env['ADASUM_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
const join: JoinMessage = {
  ...{ type: 'join', host: '10.0.0.7', port: 4000, machine: '0123456789abcdef0123456789abcdef' },
  tuning: { ...DEFAULT_TUNING, directSize: 5 },
  failureTimeoutMs: 3000,
}
const start: StartMessage = {
  type: 'start',
  runId: 'f'.repeat(32),
  peers: [
    { host: '127.0.0.1', port: 1 },
    { host: 'fe80::1%eth0', port: 65535 },
  ],
  machines: [0, 1],
  tuning: { ...DEFAULT_TUNING, directByteLength: 0 },
  failureTimeoutMs: 100,
}

const waiting: WaitingMessage = {
  type: 'waiting',
  missing: [0],
  left: [0],
  refusals: { count: 2, last: '10.0.0.9:5 and the store have different secrets' },
}

/** Whoever sends them must not make others hold the vectors of a thousand ranks, or write byte by byte. */
const NO_TUNINGS: object[] = [
  ...[undefined, null, 3, 'directSize=8', [], [8], {}].map((tuning) => ({ tuning })),
  ...Object.entries(TUNING_BOUNDS).flatMap(([name, [least, most]]) =>
    [least - 1, most + 1, least + 0.5, String(least), null, undefined, [least], {}, NaN, Infinity].map((value) => ({
      tuning: { ...DEFAULT_TUNING, [name]: value },
    })),
  ),
]

/** Whoever sends them must not make others take every pause for death, or wait for ever. */
const NO_LIMITS: object[] = [99, 2 ** 31, NaN, Infinity, '3000', null, undefined, [3000]].map((failureTimeoutMs) => ({
  failureTimeoutMs,
}))

/** Feeds bytes in the given chunk sizes and collects what the decoder says. */
function decode(bytes: Uint8Array, nextLength: () => number) {
  const heard = { values: [] as unknown[], malformed: [] as Error[], endings: 0 }
  const decoder = new MessageDecoder({
    onMessage: (value) => heard.values.push(value),
    onMalformed: (error) => heard.malformed.push(error),
    onEnd: () => heard.endings++,
  })
  for (let offset = 0; offset < bytes.length;) {
    const target = decoder.target()
    if (target.length === 0) throw new RangeError('an empty target')
    const count = Math.min(target.length, bytes.length - offset, nextLength())
    target.set(bytes.subarray(offset, offset + count))
    decoder.onFilled(count)
    offset += count
  }
  decoder.onEnd()
  return heard
}

test('messages arrive whole, however they are cut', (t) => {
  t.log(`seed ${seed}`)
  const random = mulberry32(seed)
  const sent = [join, start, waiting]
  const bytes = Buffer.concat(sent.map((message) => encodeMessage(message)))
  for (let i = 0; i < 200; i++) {
    const heard = decode(bytes, () => 1 + Math.floor(random() ** 2 * 40))
    t.deepEqual(heard, { values: sent, malformed: [], endings: 1 })
  }
})

test('messages that are well formed pass', (t) => {
  t.deepEqual(parseRankMessage(join), join)
  t.deepEqual(parseStoreMessage(start, 2), start)
  t.deepEqual(parseStoreMessage(waiting, 2), waiting)
  t.deepEqual(parseStoreMessage({ ...waiting, missing: [], left: [] }, 2), { ...waiting, missing: [], left: [] })
})

test('the question whether a rank lives, and its answer, have no fields that are believed', (t) => {
  t.deepEqual(parseStoreMessage({ type: 'ping', runId: 'f'.repeat(32), peers: [] }, 2), { type: 'ping' })
  t.deepEqual(parseRankMessage({ ...join, type: 'pong' }), { type: 'pong' })
  for (const type of ['pong', ['ping'], 'Ping', 0, null]) t.is(parseStoreMessage({ type }, 2), undefined)
  t.deepEqual(decode(encodeMessage({ type: 'ping' }), () => 3).values, [{ type: 'ping' }])
})

test('every field of a join is checked', (t) => {
  const wrong: object[] = [
    { type: 'start' },
    { host: '' },
    { host: 7 },
    { host: 'a b' },
    { host: 'x'.repeat(256) },
    { host: '10.0.0.1\n' },
    { port: 0 },
    { port: 65536 },
    { port: 1.5 },
    { port: '80' },
    ...[false, 1, 'true', null].map((sharesMemory) => ({ sharesMemory })),
    ...['', 'f'.repeat(31), 'F'.repeat(32), 7, null].map((unixKey) => ({ unixKey })),
    ...[0, 65_536, 1.5, '80', null].map((heartbeatPort) => ({ heartbeatPort })),
    ...NO_LIMITS,
    { machine: 'F'.repeat(32) },
    { machine: 'f'.repeat(31) },
    { machine: null },
    ...NO_TUNINGS,
  ]
  for (const change of wrong) t.is(parseRankMessage({ ...join, ...change }), undefined, JSON.stringify(change))
  for (const value of [null, 1, 'join', 'pong', [], [join], {}, { type: 'ping' }, { type: ['pong'] }])
    t.is(parseRankMessage(value), undefined)
})

test('every field of a start is checked against the world', (t) => {
  const wrong: object[] = [
    { runId: 'f'.repeat(33) },
    { runId: 'g'.repeat(32) },
    { peers: [] },
    { peers: [start.peers[0]] },
    { peers: [start.peers[0], null] },
    { peers: [start.peers[0], { host: 'h', port: 0 }] },
    { peers: { length: 2 } },
    ...[[0], [0, 1, 1], [1, 0], [0, 2], [0, -1], [0, '1'], [0, 0.5], [0, null], 2, null, undefined].map((machines) => ({
      machines,
    })),
    ...NO_TUNINGS,
    ...NO_LIMITS,
  ]
  for (const change of wrong) t.is(parseStoreMessage({ ...start, ...change }, 2), undefined, JSON.stringify(change))
  t.is(parseStoreMessage(start, 3), undefined)
  const noRanks = [[2], [-1], ['0'], [0, 1], null, undefined, 'no', [0.5]]
  const noRefusals = [null, undefined, [], { count: 1 }, { count: -1, last: '' }, { count: 0.5, last: '' }]
  const changes = [
    ...noRanks.flatMap((ranks) => [{ missing: ranks }, { left: ranks }]),
    ...[...noRefusals, { count: 1, last: 'x'.repeat(1001) }].map((refusals) => ({ refusals })),
  ]
  for (const change of changes) t.is(parseStoreMessage({ ...waiting, ...change }, 2), undefined, JSON.stringify(change))
  for (const value of [null, 3, [], {}, { type: 'join' }, { type: 'toString' }])
    t.is(parseStoreMessage(value, 2), undefined)
})

test('what is parsed is a fresh object with the known fields only', (t) => {
  const polluted: unknown = JSON.parse('{"__proto__":{"admin":true},"extra":1,' + JSON.stringify(join).slice(1))
  const parsed = parseRankMessage(polluted)
  t.deepEqual(parsed, join)
  t.is(Object.getPrototypeOf(parsed), Object.prototype)
  const text = JSON.stringify(start).replace('"tuning":{', '"tuning":{"__proto__":{"admin":true},"extra":1,')
  const answer = parseStoreMessage(JSON.parse(text), 2) as StartMessage
  t.deepEqual(answer, start)
  t.is(Object.getPrototypeOf(answer.tuning), Object.prototype)
})

test('lengths beyond the limit, and empty ones, are refused before any memory is taken', (t) => {
  for (const length of [0, 1, MAX_MESSAGE_BYTE_LENGTH + 1, 2 ** 31, 2 ** 32 - 1]) {
    const bytes = Buffer.alloc(40)
    bytes.writeUInt32BE(length)
    const heard = decode(bytes, () => 3)
    t.is(heard.malformed.length, 1, `${length}`)
    t.deepEqual([heard.values.length, heard.endings], [0, 0])
  }
  const largest = Buffer.alloc(4 + MAX_MESSAGE_BYTE_LENGTH, ' ')
  largest.writeUInt32BE(MAX_MESSAGE_BYTE_LENGTH)
  largest.write('{}', 4)
  t.deepEqual(decode(largest, () => 10_000).values, [{}])
})

test('numbers of a tuning, whatever they are: within the bounds, or the message is refused', (t) => {
  t.log(`seed ${seed}`)
  const random = mulberry32(seed)
  const isWithin = ({ tuning }: StartMessage): boolean =>
    Object.entries(TUNING_BOUNDS).every(([name, [least, most]]) => {
      const value = tuning[name as keyof Tuning]
      return Number.isInteger(value) && value >= least && value <= most
    })
  const counts = { refused: 0, accepted: 0 }
  for (let i = 0; i < 1000; i++) {
    const changed = Object.keys(DEFAULT_TUNING).filter(() => random() < 0.15)
    const anyNumber = (): number => Math.round(2 ** (random() * 45) * 4) / 4 - (random() < 0.2 ? 10 : 0)
    const tuning = { ...DEFAULT_TUNING, ...Object.fromEntries(changed.map((name) => [name, anyNumber()])) }
    const [value] = decode(encodeMessage({ ...start, tuning }), () => 50).values
    const parsed = parseStoreMessage(value, 2) as StartMessage | undefined
    t.is(parsed !== undefined, isWithin({ ...start, tuning }))
    if (parsed) t.deepEqual(parsed.tuning, tuning)
    counts[parsed ? 'accepted' : 'refused']++
  }
  t.true(counts.refused > 100 && counts.accepted > 100, JSON.stringify(counts))
})

test('1,000 mutated messages: each is refused, or is a message that is well formed', (t) => {
  t.log(`seed ${seed}`)
  const random = mulberry32(seed)
  const below = (limit: number) => Math.floor(random() * limit)
  const originals = [join, start, waiting, { type: 'ping' }, { type: 'pong' }].map((message) =>
    encodeMessage(message as JoinMessage),
  )
  const counts = { refused: 0, accepted: 0 }
  for (let i = 0; i < 1000; i++) {
    const bytes = Buffer.from(originals[i % originals.length]!)
    // Lengths now and then, contents mostly: one bit, or a few.
    const first = below(8) === 0 ? 0 : 4
    for (let k = 0; k <= below(3); k++) bytes[first + below(bytes.length - first)]! ^= 1 << below(7)
    const cut = below(6) === 0 ? bytes.subarray(0, below(bytes.length)) : bytes
    const { values } = decode(cut, () => 1 + below(30))
    const parsed = values.map((value) => parseRankMessage(value) ?? parseStoreMessage(value, 2))
    for (const message of parsed) {
      if (message === undefined) continue
      counts.accepted++
      // Accepted means: encoding and parsing it again changes nothing.
      const [again] = decode(encodeMessage(message), () => 7).values
      t.deepEqual(parseRankMessage(again) ?? parseStoreMessage(again, 2), message)
    }
    if (parsed.every((message) => message === undefined)) counts.refused++
  }
  t.true(counts.refused > 300 && counts.accepted > 8, JSON.stringify(counts))
})

test('that it shares memory, the key of a Unix socket and the port of the heartbeat travel with the address, and a start message of the largest world fits', (t) => {
  const unixKey = '0123456789abcdef'.repeat(2)
  for (const near of [{ sharesMemory: true }, { unixKey }, { sharesMemory: true, unixKey, heartbeatPort: 65_535 }])
    t.deepEqual(parseRankMessage({ ...join, ...near }), { ...join, ...near } as JoinMessage)
  const peers = [{ ...start.peers[0]!, sharesMemory: true, unixKey, heartbeatPort: 1 } as const, start.peers[1]!]
  t.deepEqual(parseStoreMessage({ ...start, peers }, 2), { ...start, peers })
  const many = Array.from(
    { length: 1024 },
    () => ({ host: 'f'.repeat(39), port: 65_535, sharesMemory: true, unixKey, heartbeatPort: 65_535 }) as const,
  )
  const machines = many.map((_, rank) => rank)
  const largest = encodeMessage({ ...start, peers: many, machines })
  t.true(largest.length - 4 <= MAX_MESSAGE_BYTE_LENGTH, `${largest.length}`)
})
