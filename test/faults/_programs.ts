/**
 * Random programs of collectives over two groups, in which one rank does something else, aborts, dies or stands still, and
 * what must come of it: no call hangs, gives a wrong value or touches its input, and whoever has not returned learns the
 * same cause.
 */
import { fc } from '../_property.ts'
import {
  ALGORITHMS,
  KINDS,
  OPS,
  type Outcome,
  type Step,
  expected,
  keysOf,
  meaningOf,
  rankIn,
  ranksNeeded,
} from './_steps.ts'

/** Where ranks may come to wait for each other, and where they must not. */
const [SHORT_TIMEOUT_MS, LONG_TIMEOUT_MS] = [400, 30_000]

const MISMATCHES = ['order', 'kind', 'op', 'algorithm', 'dtype', 'count', 'root', 'names', 'group'] as const
/** What a rank can do that shares its process with the others. */
export const DEVIATIONS = [...MISMATCHES, ...(['abort', 'death', 'freeze', 'nothing'] as const)]
/** A process of its own is killed or stopped, wherever it stands. */
export const STRIKES = ['kill', 'stop'] as const
export type Deviation = (typeof DEVIATIONS)[number] | (typeof STRIKES)[number]

export interface Program {
  readonly size: number
  readonly steps: readonly Step[]
  /** Whether ranks begin their next call before the last one has ended. */
  readonly isAtOnce: boolean
  /** The rank that deviates, how, from which step on, and how long after it began that. */
  readonly rank: number
  readonly what: Deviation
  readonly at: number
  readonly delayMs: number
}

/** @param counts - element counts: multiples of 24, so that halves have equal parts for three and four ranks */
export function programs(
  counts: readonly number[],
  deviations: readonly Deviation[] = DEVIATIONS,
): fc.Arbitrary<Program> {
  return fc.constantFrom(3, 4).chain((size) =>
    fc.array(stepOf(size, counts), { minLength: 1, maxLength: 6 }).chain((steps) =>
      fc.record({
        size: fc.constant(size),
        steps: fc.constant(steps),
        isAtOnce: fc.boolean(),
        rank: fc.nat(size - 1),
        what: fc.constantFrom(...deviations),
        at: fc.nat(steps.length - 1),
        delayMs: fc.nat(8),
      }),
    ),
  )
}

function stepOf(size: number, counts: readonly number[]): fc.Arbitrary<Step> {
  const isPowerOfTwo = Number.isInteger(Math.log2(size))
  return fc.record({
    group: fc.constantFrom(0, 1),
    kind: fc.constantFrom(...KINDS, 'allReduce', 'allReduce'),
    op: fc.constantFrom(...OPS),
    algorithm: fc.constantFrom(...ALGORITHMS.filter((algorithm) => algorithm !== 'rvh' || isPowerOfTwo)),
    isDouble: fc.boolean(),
    count: fc.constantFrom(...counts),
    root: fc.nat(size - 1),
    names: fc.constantFrom('none', 'ab', 'xy'),
  })
}

/** What a rank is to call. */
export function stepsOf({ size, steps, rank, what, at }: Program, of: number): Step[] {
  if (of !== rank) return [...steps]
  const changed = [...steps]
  const own = steps[at]!
  const change = (fields: Partial<Step>): void => void (changed[at] = { ...own, ...fields })
  if (what === 'order' && at + 1 < steps.length) [changed[at], changed[at + 1]] = [steps[at + 1]!, own]
  if (what === 'kind') change({ kind: own.kind === 'barrier' ? 'allReduce' : 'barrier' })
  if (what === 'op') change({ op: own.op === 'sum' ? 'average' : 'sum' })
  if (what === 'algorithm') change({ algorithm: own.algorithm === 'direct' ? 'single-shot' : 'direct' })
  if (what === 'dtype') change({ isDouble: !own.isDouble })
  if (what === 'count') change({ count: own.count === 24 ? 48 : 24 })
  if (what === 'root') change({ root: (own.root + 1) % size })
  if (what === 'names') change({ names: own.names === 'ab' ? 'xy' : 'ab' })
  if (what === 'group') change({ group: own.group === 0 ? 1 : 0 })
  if (what === 'freeze') changed.length = at
  if (what === 'death') changed.length = at + 1
  return changed
}

/** Whether ranks may wait for each other, each in another call that is not wrong in itself. */
function mayStandStill({ steps, what, at }: Program): boolean {
  // A message of another kind, or between others, is none: those that it was for do not hear of it.
  const hasLostMessage = steps[at]!.kind === 'message' && (what === 'kind' || what === 'root')
  return hasLostMessage || ['freeze', 'stop', 'order', 'group'].includes(what)
}

export function timeoutMsOf(program: Program): number {
  return mayStandStill(program) ? SHORT_TIMEOUT_MS : LONG_TIMEOUT_MS
}

/** The codes with which calls may fail. */
function codesOf(program: Program): string[] {
  const { what } = program
  if (what === 'nothing') return []
  if (what === 'abort') return ['ERR_ABORTED']
  if (what === 'death' || what === 'kill') return ['ERR_PEER_LOST']
  if (what === 'freeze' || what === 'stop') return ['ERR_TIMEOUT']
  // That a rank is elsewhere, two others may come to know at the same moment in two ways: by what it calls next, and by
  // how long it has not come.
  return mayStandStill(program) ? ['ERR_MISMATCH', 'ERR_TIMEOUT'] : ['ERR_MISMATCH']
}

/**
 * Throws if an outcome breaks a promise.
 *
 * @param outcomes - by rank of the world; undefined for one that could not tell any more
 */
export function judge(program: Program, outcomes: readonly (readonly Outcome[] | undefined)[]): void {
  const { size } = program
  const called = Array.from({ length: size }, (_, rank) => {
    const steps = stepsOf(program, rank)
    const keys = keysOf(steps, rank, size)
    return new Map(steps.flatMap((step, i) => (keys[i] === undefined ? [] : [[keys[i], step] as const])))
  })
  for (const [rank, list] of outcomes.entries()) {
    if (list && list.length !== called[rank]!.size)
      throw new Error(`rank ${rank}: ${list.length} of ${called[rank]!.size} calls have ended`)
    for (const outcome of list ?? []) {
      if (outcome.value === undefined) judgeFailure(program, rank, outcome)
      else judgeValue(called, rank, outcome)
    }
  }
}

function judgeFailure(program: Program, rank: number, { key, code, message, peerRank }: Outcome): void {
  const where = `rank ${rank}, ${key}: ${code} (${message})`
  const allowed = codesOf(program)
  if (!allowed.includes(code!)) throw new Error(`${where} where ${program.what} should give ${allowed.join()}`)
  const group = key.startsWith('0') ? 0 : 1
  const lost = rankIn(group, program.rank, program.size)
  if (code === 'ERR_PEER_LOST' && rank !== program.rank && peerRank !== lost)
    throw new Error(`${where} names rank ${peerRank}, and rank ${lost} is the one that is lost`)
}

function judgeValue(called: readonly Map<string, Step>[], worldRank: number, { key, value }: Outcome): void {
  const size = called.length
  const step = called[worldRank]!.get(key)!
  const rank = rankIn(step.group, worldRank, size)
  const steps = called.map((_, of) => called[rankIn(step.group, of, size)]!.get(key))
  const where = `rank ${worldRank}: ${step.kind} ${key}`
  for (const of of ranksNeeded(step, size)) {
    const other = steps[of]
    if (!other || meaningOf(other, size) !== meaningOf(step, size))
      throw new Error(`${where} has completed, and others called something else`)
  }
  if (value !== expected(step, key, rank, steps)) throw new Error(`${where} gave a wrong value`)
}
