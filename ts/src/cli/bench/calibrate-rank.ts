/**
 * What every rank of a calibration runs. Rank 0 answers the questions and prints.
 *
 * Each way has connections of its own, opened with its tuning. The ways of a question take turns, call by call, in an
 * order that changes with the round, so that other load on the machine meets all of them alike. A time is that of the
 * slowest rank, from a barrier to the end of the call. Ranks beyond the world size of a case wait for the others.
 */
import type { Communicator } from '../../communicator/communicator.ts'
import { connect } from '../../communicator/connect.ts'
import { DEFAULT_TUNING, type Tuning } from '../../tuning.ts'
import type { ConnectOptions } from '../../connect-options.ts'
import { type Question, type Way, answer, questionsFor } from './calibration.ts'
import { type Case, calibrationReport } from './calibration-report.ts'
import { optionsFor, transportOf } from './transport.ts'
import { fill } from './vectors.ts'

export interface CalibrationSettings {
  /** How long to measure, in all. */
  readonly seconds: number
  readonly json: boolean
  /** How ranks are to reach each other, if the command line says so. */
  readonly transport?: string
}

const WARM_UPS = 2
const FEWEST_ROUNDS = 3
const MOST_ROUNDS = 200

/** Calls of one case: the ways in order, and the group on which the ranks wait for each other. */
interface Contest {
  readonly group: Communicator
  readonly calls: readonly (() => Promise<unknown>)[]
  readonly budgetMs: number
}

/** This rank's times of some rounds, round by round. */
async function timesOf({ group, calls }: Contest, rounds: number): Promise<Float64Array> {
  const times = new Float64Array(rounds * calls.length)
  for (let round = 0; round < rounds; round++)
    for (let turn = 0; turn < calls.length; turn++) {
      const way = (round + turn) % calls.length
      await group.barrier()
      const start = performance.now()
      await calls[way]!()
      times[round * calls.length + way] = (performance.now() - start) * 1e3
    }
  return times
}

/** As many rounds as the time allows, the same on every rank. */
async function roundsOf(contest: Contest): Promise<number> {
  await timesOf(contest, WARM_UPS)
  const start = performance.now()
  await timesOf(contest, 1)
  const roundMs = performance.now() - start
  const rounds = Math.round(contest.budgetMs / roundMs)
  const chosen = Float64Array.of(Math.max(FEWEST_ROUNDS, Math.min(MOST_ROUNDS, rounds)))
  return (await contest.group.broadcast(chosen))[0]!
}

async function measure(contest: Contest): Promise<Pick<Case, 'rounds' | 'p50Us'>> {
  const { group, calls } = contest
  const rounds = await roundsOf(contest)
  const times = await timesOf(contest, rounds)
  const { result: slowest } = await group.allReduce(times, { op: 'max' })
  const p50Us = calls.map((_, way) => {
    const ofWay = slowest.filter((__, i) => i % calls.length === way).toSorted()
    return ofWay[Math.floor(rounds / 2)]!
  })
  return { rounds, p50Us }
}

function callOf(comm: Communicator, { collective }: Question, byteLength: number): () => Promise<unknown> {
  const data = fill(new Float32Array(byteLength / 4), comm.rank)
  if (collective === 'broadcast') return () => comm.broadcast(data)
  const out = new Float32Array(data.length)
  return () => comm.allReduce(data, { op: 'adasum', out })
}

/** One after the other: ranks meet in the order of their calls. */
async function openWays(ways: readonly Way[], options: ConnectOptions): Promise<Communicator[]> {
  const worlds: Communicator[] = []
  for (const { tuning } of ways) worlds.push(await connect({ ...options, tuning: { ...DEFAULT_TUNING, ...tuning } }))
  return worlds
}

/** Groups of the first `count` ranks of each world; undefined on a rank that is not among them. */
async function firstRanks(worlds: readonly Communicator[], count: number): Promise<Communicator[] | undefined> {
  const groups: Communicator[] = []
  for (const world of worlds) {
    const group = await world.split(world.rank < count ? 0 : undefined)
    if (group) groups.push(group)
  }
  return groups.length > 0 ? groups : undefined
}

/** Measures the cases of a question, one by one. A rank that takes part in none has no measurements. */
async function* casesOf(
  world: Communicator,
  question: Question,
  options: ConnectOptions,
  budgetMs: number,
): AsyncGenerator<Case> {
  const worlds = await openWays(question.ways, options)
  for (const n of question.worldSizes) {
    const groups = await firstRanks([world, ...worlds], n)
    for (const byteLength of groups ? question.byteLengths : []) {
      const [group, ...comms] = groups!
      const calls = comms.map((comm) => callOf(comm, question, byteLength))
      yield { n, byteLength, ...(await measure({ group: group!, calls, budgetMs })) }
    }
    await Promise.all((groups ?? []).map((group) => group.close()))
    await world.barrier()
  }
  await Promise.all(worlds.map((way) => way.close()))
}

async function main({ seconds, json, transport: requested }: CalibrationSettings): Promise<void> {
  const options = optionsFor(requested)
  const world = await connect({ ...options, tuning: DEFAULT_TUNING })
  const transport = await transportOf(world, requested)
  if (transport === undefined) return world.close()
  const report = calibrationReport(json, transport, world.rank === 0 ? console.log : () => {})
  const questions = questionsFor(world.size)
  const caseCount = questions.reduce(
    (sum, { worldSizes, byteLengths }) => sum + worldSizes.length * byteLengths.length,
    0,
  )
  let tuning: Tuning = DEFAULT_TUNING
  for (const question of questions) {
    report.begin(question)
    const cases: Case[] = []
    for await (const found of casesOf(world, question, options, (seconds * 1e3) / caseCount)) {
      cases.push(found)
      report.add(question, found)
    }
    if (world.rank === 0) tuning = { ...tuning, ...answer(question, cases) }
  }
  report.end(tuning)
  await world.close()
}

await main(JSON.parse(process.argv[2] ?? '{}') as CalibrationSettings)
