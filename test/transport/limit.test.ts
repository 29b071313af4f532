import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import test from 'ava'
import { Limit } from '../../ts/src/timing/limit.ts'

setFlagsFromString('--expose-gc')
const collectMemory = runInNewContext('gc') as () => void

const aborts = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))

test('the time comes though nobody but its listener remembers the limit, and memory is collected meanwhile', async (t) => {
  const end = aborts(new Limit(200, new AbortController().signal).signal)
  let isOver = false
  void end.then(() => (isOver = true))
  for (let tries = 0; tries < 400 && !isOver; tries++) {
    collectMemory()
    await sleep(10)
  }
  t.true(isOver)
})

test('it follows its parent, with the reason, also where the parent was first', (t) => {
  const parent = new AbortController()
  const before = new Limit(undefined, parent.signal)
  const reason = new Error('enough')
  parent.abort(reason)
  t.is(before.signal.reason, reason)
  t.is(new Limit(undefined, parent.signal).signal.reason, reason)
})

test('once released, neither its time nor its parent matters', async (t) => {
  const parent = new AbortController()
  const limit = new Limit(10, parent.signal)
  limit.release()
  parent.abort()
  await sleep(50)
  t.false(limit.signal.aborted)
  limit.abort()
  t.true(limit.signal.aborted)
})

test('any number of listeners may wait for it, without a warning', async (t) => {
  const warnings: Error[] = []
  const take = (warning: Error): void => void warnings.push(warning)
  process.on('warning', take)
  const { signal } = new Limit(undefined)
  for (let i = 0; i < 100; i++) signal.addEventListener('abort', () => undefined)
  await nextTurn()
  process.off('warning', take)
  t.deepEqual(warnings, [])
})
