/**
 * Ranks that say nothing, as processes of their own: those that only compute live, and those that are stopped are lost. The
 * thread that tells them apart is one, and gone once it is not needed.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import anyTest, { type ExecutionContext } from 'ava'
import { execa } from 'execa'
import { compile } from '../cli/_adasum.ts'
import { freePort } from '../rendezvous/_ports.ts'
import { ProcessWorld, type RankProcess } from './_processes.ts'

// One after the other: each test starts processes, and all of them want both cores.
const test = anyTest.serial

test.before(compile)

/** A loaded machine may hold up a thread for a part of it. */
const LIMIT_MS = 2000
const SCRIPT = { name: '_silent-rank.mjs', execArgv: [] }
const LARGE = 2_000_000

export interface SilencePlan {
  readonly deviant: number
  readonly elementCount: number
  readonly sharedMemory: boolean
  /** Ranks whose event loops stand still in the call. */
  readonly waiting: readonly number[]
  /** A rank that stops itself as soon as it is connected. */
  readonly stopsItself?: number
}

interface SilenceReport {
  readonly code?: string
  readonly message?: string
  readonly peerRank?: number
  readonly result?: number
}

type World = ProcessWorld<SilenceReport, SilencePlan>

function start(t: ExecutionContext, size: number, given: Partial<SilencePlan>): Promise<World> {
  const plan = { deviant: 1, elementCount: 100, sharedMemory: false, waiting: [], ...given }
  return ProcessWorld.start(t, size, plan, SCRIPT, LIMIT_MS)
}

/** The call of these ranks must have failed because of one of the lost. */
async function haveLost(t: ExecutionContext, ranks: readonly RankProcess<SilenceReport>[], lost: readonly number[]) {
  for (const rank of ranks) {
    const { code, message, peerRank } = await rank.report()
    t.is(code, 'ERR_PEER_LOST', message)
    t.true(lost.includes(peerRank!), `rank ${rank.rank}: ${message}`)
    t.is((await rank.ended()).exitCode, 0)
  }
}

/** All ranks in the call, in which those that are to wait do so. */
async function inCall(t: ExecutionContext, size: number, plan: Partial<SilencePlan>): Promise<World> {
  const world = await start(t, size, plan)
  await world.ready()
  for (const rank of world.ranks) rank.go()
  await Promise.all(world.ranks.map((rank) => rank.begun()))
  return world
}

for (const sharedMemory of [false, true])
  for (const elementCount of [100, LARGE]) {
    const title = `${sharedMemory ? 'shared memory' : 'tcp'}, ${elementCount} elements`

    test(`a stopped rank is lost to all others, and finds out once it runs again (${title})`, async (t) => {
      const world = await inCall(t, 3, { sharedMemory, elementCount, waiting: [1] })
      await world.deviant.stop()
      await haveLost(t, world.others, [1])
      world.deviant.resume()
      await haveLost(t, [world.deviant], [1])
    })
  }

test('half of the ranks are stopped: the others name one of them, and so do they once they run again', async (t) => {
  const world = await inCall(t, 4, { waiting: [1, 3] })
  const stopped = [world.ranks[1]!, world.ranks[3]!]
  await Promise.all(stopped.map((rank) => rank.stop()))
  await haveLost(t, [world.ranks[0]!, world.ranks[2]!], [1, 3])
  for (const rank of stopped) rank.resume()
  await haveLost(t, stopped, [1, 3])
})

test('a rank that is stopped as soon as it is connected is lost at the first contact', async (t) => {
  const world = await start(t, 3, { stopsItself: 1 })
  await world.deviant.stopped()
  for (const rank of world.others) {
    await rank.ready()
    rank.go()
  }
  await haveLost(t, world.others, [1])
})

test('a rank whose event loop stands still for three times the limit is not lost', async (t) => {
  const world = await inCall(t, 3, { waiting: [1] })
  await sleep(3 * LIMIT_MS)
  world.deviant.letGoOn()
  for (const rank of world.ranks) {
    t.like(await rank.report(), { code: undefined, result: 6 })
    t.is((await rank.ended()).exitCode, 0)
  }
})

test('a machine that sleeps for twice the limit loses nobody', async (t) => {
  const world = await inCall(t, 3, { waiting: [1] })
  await Promise.all(world.ranks.map((rank) => rank.stop()))
  await sleep(2 * LIMIT_MS)
  for (const rank of world.ranks) rank.resume()
  for (const rank of world.ranks) {
    t.like(await rank.report(), { code: undefined, result: 6 })
    t.is((await rank.ended()).exitCode, 0)
  }
})

const linuxTest = process.platform === 'linux' ? test : test.skip

interface ThreadCounts {
  readonly before: number
  readonly meanwhile: number
  readonly after?: number
}

async function countThreads(does: 'closes' | 'forgets'): Promise<ThreadCounts> {
  const script = fileURLToPath(new URL('_threads.mjs', import.meta.url))
  const ports = [await freePort(), await freePort(), await freePort()].map(String)
  const { stdout } = await execa(process.execPath, [script, does, ...ports], { timeout: 120_000, stdin: 'ignore' })
  return JSON.parse(stdout) as ThreadCounts
}

linuxTest('nine ranks in one process have one thread, and none once they are closed', async (t) => {
  const { before, meanwhile, after } = await countThreads('closes')
  t.deepEqual([meanwhile - before, after! - before], [1, 0])
})

linuxTest('ranks that forget to close end with their process', async (t) => {
  const { before, meanwhile } = await countThreads('forgets')
  t.is(meanwhile - before, 1)
})
