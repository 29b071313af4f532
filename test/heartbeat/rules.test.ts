/** What a heartbeat decides and says, without a connection: when a silent peer counts as lost, whom a rank watches, and the bytes. */
import test from 'ava'
import { BEAT, MESSAGE_BYTE_LENGTH, decodeMessage, encodeLoss } from '../../ts/src/heartbeat/messages.ts'
import { Watch } from '../../ts/src/heartbeat/watch.ts'
import { failureLimits } from '../../ts/src/timing/failure-limits.ts'
import { neighboursOf } from '../../ts/src/heartbeat/neighbours.ts'
import { fc, runsOf } from '../_property.ts'

// ---- when a peer counts as lost; the clock is the test's

const LIMIT_MS = 800
const limits = failureLimits(LIMIT_MS)

test('a peer is silent once the limit has passed since it was last heard', (t) => {
  const watch = new Watch(limits)
  t.is(watch.deadline, Infinity)
  watch.hear(1, 1000)
  watch.hear(2, 1100)
  t.is(watch.deadline, 1000 + LIMIT_MS)
  t.deepEqual(watch.silent(1799), [])
  t.deepEqual(watch.silent(1800), [1])
  watch.hear(1, 1850)
  t.is(watch.deadline, 1100 + LIMIT_MS)
  t.deepEqual(watch.silent(1900), [2])
})

test('a first sign has a limit of its own, every later one the usual one', (t) => {
  const watch = new Watch(limits)
  watch.expect(1, 0, 5000)
  t.deepEqual(watch.silent(4999), [])
  t.deepEqual(watch.silent(5000), [1])
  watch.hear(1, 5001)
  t.is(watch.deadline, 5001 + LIMIT_MS)
})

test('a peer whose connection has ended is not watched', (t) => {
  const watch = new Watch(limits)
  watch.hear(1, 0)
  watch.forget(1)
  t.deepEqual(watch.silent(1e9), [])
  // Data may still come over other connections.
  watch.noteData(1, 1e9)
  t.deepEqual(watch.silent(2e9), [])
})

test('whoever has not been running knows nothing: all have their whole time anew', (t) => {
  const watch = new Watch(limits)
  watch.hear(1, 0)
  watch.expect(2, 0, 5000)
  watch.onGap(10_000)
  t.deepEqual(watch.silent(10_000 + LIMIT_MS - 1), [])
  t.deepEqual(watch.silent(10_000 + LIMIT_MS), [1])
  t.deepEqual(watch.silent(15_000), [1, 2])
})

test('data is a sign of life as long as it goes on coming, and for a beat after that', (t) => {
  const watch = new Watch(limits)
  watch.hear(1, 0)
  for (let now = 100; now <= 2000; now += 100) {
    watch.noteData(1, now)
    t.deepEqual(watch.silent(now), [])
  }
  t.is(watch.deadline, 2000 + limits.beatMs)
  t.deepEqual(watch.silent(2000 + limits.beatMs), [1])
})

test('all limits derive from one: at its default they are what they were, and each is within it', (t) => {
  t.like(failureLimits(3000), { announceMs: 1000, answerMs: 1500, keepAliveMs: 3000, helloMs: 15_000 })
  for (const failureTimeoutMs of [100, 1000, 3000, 60_000, 2 ** 31 - 1]) {
    const { beatMs, gapMs, announceMs, answerMs } = failureLimits(failureTimeoutMs)
    // Several beats are lost before a rank is, and its gap shows in its own clock before others miss it.
    t.true(beatMs * 4 <= failureTimeoutMs && beatMs + gapMs < failureTimeoutMs, `${failureTimeoutMs}`)
    // A link is looked at before the limit has passed, and a dial is over by then.
    t.true(announceMs < failureTimeoutMs / 2 && 2 * answerMs <= failureTimeoutMs, `${failureTimeoutMs}`)
  }
})

// ---- whom a rank watches: few others, each of whom watches it, so that word of a loss reaches every rank that lives

const ranksTo = (size: number): number[] => Array.from({ length: size }, (_, rank) => rank)

/** Ranks that hear of a loss if those that have a lost neighbour pass it on, and all that live do. */
function hearers(ranks: readonly number[], lost: ReadonlySet<number>): Set<number> {
  const living = ranks.filter((rank) => !lost.has(rank))
  const heard = new Set(living.filter((rank) => neighboursOf(rank, ranks).some((other) => lost.has(other))))
  for (const rank of heard) for (const other of neighboursOf(rank, ranks)) if (!lost.has(other)) heard.add(other)
  return heard
}

test('a rank has four neighbours at most, each of whom has it, too', (t) => {
  for (const size of [1, 2, 3, 4, 5, 8, 9, 17, 64, 1024]) {
    const ranks = ranksTo(size)
    const neighbours = ranks.map((rank) => neighboursOf(rank, ranks))
    for (const rank of ranks) {
      const mine = neighbours[rank]!
      t.deepEqual(
        mine,
        [...new Set(mine)].sort((a, b) => a - b),
        `${rank} of ${size}`,
      )
      t.true(mine.length <= 4 && !mine.includes(rank) && (size === 1 || mine.length > 0), `${rank} of ${size}`)
      for (const other of mine) t.true(neighbours[other]!.includes(rank), `${other} and ${rank} of ${size}`)
    }
  }
})

test('word of a loss reaches every rank that lives, whichever ranks are lost together', (t) => {
  const worlds = fc
    .tuple(fc.uniqueArray(fc.nat(99), { minLength: 2, maxLength: 40 }), fc.infiniteStream(fc.boolean()))
    .map(([numbers, coins]) => {
      const ranks = numbers.sort((a, b) => a - b)
      const lost = ranks.filter(() => coins.next().value as boolean)
      return { ranks, lost: new Set(lost.length > 0 ? lost : [ranks[0]!]) }
    })
  fc.assert(
    fc.property(worlds, ({ ranks, lost }) => {
      const living = ranks.filter((rank) => !lost.has(rank))
      return hearers(ranks, lost).size === living.length
    }),
    { numRuns: runsOf(200) },
  )
  t.pass()
})

test('in a large world word is round after few hops', (t) => {
  const ranks = ranksTo(1024)
  let latest = new Set([0])
  const heard = new Set(latest)
  let hops = 0
  for (; latest.size > 0; hops++) {
    latest = new Set([...latest].flatMap((rank) => neighboursOf(rank, ranks)).filter((rank) => !heard.has(rank)))
    for (const rank of latest) heard.add(rank)
  }
  t.is(heard.size, ranks.length)
  t.true(hops <= 33, `${hops} hops`)
})

// ---- the bytes that heartbeats exchange

test('messages come back as they were sent', (t) => {
  t.is(BEAT.length, MESSAGE_BYTE_LENGTH)
  t.is(decodeMessage(BEAT, 2), 'beat')
  t.deepEqual(encodeLoss({ rank: 258, seenBy: 1023 }), Uint8Array.of(2, 0, 0, 1, 2, 0, 0, 3, 255))
  t.deepEqual(decodeMessage(encodeLoss({ rank: 258, seenBy: 1023 }), 1024), { rank: 258, seenBy: 1023 })
})

test('what no rank of the world may say is refused', (t) => {
  t.is(decodeMessage(encodeLoss({ rank: 4, seenBy: 0 }), 4), undefined)
  t.is(decodeMessage(encodeLoss({ rank: 0, seenBy: 4 }), 4), undefined)
  for (const kind of [0, 3, 255]) t.is(decodeMessage(Uint8Array.of(kind, 0, 0, 0, 0, 0, 0, 0, 0), 4), undefined)
})
