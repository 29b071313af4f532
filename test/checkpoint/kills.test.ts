/** Ranks that save all the time are killed at any moment: what they had saved is there, and whole. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import { loadCheckpoint, saveCheckpoint } from '../../ts/src/checkpoint/index.ts'
import { freePort } from '../_free-port.mjs'
import { runsOf, seed } from '../_property.ts'
import { compile } from '../cli/_adasum.ts'
import { mulberry32 } from '../transport/_random.ts'
import { folder } from './_folder.ts'

const PROGRAM = fileURLToPath(new URL('_program-saves.mjs', import.meta.url))
const LIMIT_MS = 30_000
const random = mulberry32(seed)

test.before(compile)

interface Rank {
  child: ChildProcess
  /** The step that it began with. */
  loaded: Promise<number>
  /** The last step that it has said to be saved. */
  saved: () => number
}

function start(path: string, rank: number, size: number, port: number): Rank {
  const place = { ADASUM_RANK: rank, ADASUM_SIZE: size, ADASUM_STORE: `127.0.0.1:${port}`, ADASUM_SECRET: 'a secret of a test' } // prettier-ignore
  const texts = Object.fromEntries(Object.entries(place).map(([name, value]) => [name, String(value)]))
  const child = fork(PROGRAM, [path], { env: { ...process.env, ...(size > 1 && texts) }, execArgv: [] })
  let saved = 0
  const loaded = new Promise<number>((resolve, reject) => {
    child.on('message', (message: { loaded?: number; saved?: number }) => {
      if (message.loaded !== undefined) resolve(message.loaded)
      saved = message.saved ?? saved
    })
    child.once('exit', (code, signal) => reject(new Error(`rank ${rank} ended by ${signal ?? code} before it had loaded`)))
  }) // prettier-ignore
  return { child, loaded, saved: () => saved }
}

const ended = async ({ child }: Rank): Promise<void> => {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit', { signal: AbortSignal.timeout(LIMIT_MS) }) // prettier-ignore
}

/** The checkpoints that are whole. */
const finishedIn = (path: string): string[] =>
  readdirSync(path).filter((name) => readdirSync(`${path}/${name}`).includes('manifest.json'))

/** Lets ranks save for a while, kills one of them, and waits for the end of all. @returns what they had saved for sure */
async function killOne(t: ExecutionContext, path: string, size: number, before: number): Promise<number> {
  const port = await freePort()
  const ranks = Array.from({ length: size }, (_, rank) => start(path, rank, size, port))
  t.teardown(() => ranks.forEach(({ child }) => child.kill('SIGKILL')))
  const loaded = await Promise.all(ranks.map((rank) => rank.loaded))
  for (const step of loaded) t.true(step >= before && step <= before + 1, `${step} after ${before}`)
  await sleep(random() * 250)
  ranks[Math.floor(random() * size)]!.child.kill('SIGKILL')
  await Promise.all(ranks.map(ended))
  return Math.max(before, ...loaded, ...ranks.map(({ saved }) => saved()))
}

test(`${runsOf(10)} times a rank is killed while it saves`, async (t) => {
  const path = folder(t)
  // A kill leaves nothing that passes for finished and is not.
  const warnings: string[] = []
  process.on('warning', ({ message }) => void warnings.push(message))
  let [saved, unfinished] = [0, 0]
  for (let round = 0; round < runsOf(10); round++) {
    saved = await killOne(t, path, 1 + (round % 3 === 2 ? 1 : 0), saved)
    const loaded = await loadCheckpoint(path)
    const step = Number(loaded?.values['step'] ?? 0)
    // The last word of a rank that was killed may be lost, or not have been said yet.
    t.true(step >= saved && step <= saved + 1, `${step} is there, ${saved} was saved`)
    for (const value of loaded?.arrays.get('weights')?.data ?? [])
      if (value !== step) t.fail(`${value} in step ${step}`)
    unfinished += readdirSync(path).length - finishedIn(path).length
    saved = Math.max(saved, step)
  }
  // A kill may come before older ones are removed, several times in a row; the next to save removes them all.
  await saveCheckpoint(path, { arrays: { weights: new Float32Array(1) }, values: { step: ++saved } })
  t.is(finishedIn(path).length, 2)
  t.log(`${saved} checkpoints, ${unfinished} unfinished ones`)
  t.true(saved > 0)
  t.deepEqual(warnings, [])
})
