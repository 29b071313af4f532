/** What is made and closed leaves nothing behind, and what panics in the addon does not take the process down. */
import { createRequire } from 'node:module'
import { AdasumError } from '../../ts/src/errors.ts'
import { GpuReducer } from '../../ts/src/gpu/index.ts'
import { typed } from '../../ts/src/gpu/typed.ts'
import { gpuTestAlone } from './_gpu.ts'

const LENGTH = 100_000

async function makeOne(input: Float32Array): Promise<Float32Array> {
  const reducer = await GpuReducer.create({ slots: 2, segments: LENGTH })
  await Promise.all([reducer.write(0, input), reducer.write(1, input)])
  await reducer.reduce('adasum')
  const result = await reducer.read(new Float32Array(LENGTH))
  await reducer.close()
  return result
}

gpuTestAlone('a thousand reducers leave nothing behind', async (t) => {
  const input = new Float32Array(LENGTH).fill(1)
  for (let count = 0; count < 100; count++) t.deepEqual(await makeOne(input), input)
  const before = process.memoryUsage().rss
  for (let count = 0; count < 900; count++) await makeOne(input)
  const grown = process.memoryUsage().rss - before
  // 900 leaked slabs would be 720 MB.
  t.true(grown < 128 << 20, `${grown} bytes more after 900 reducers`)
})

interface Panicking {
  panicOnThePool(): Promise<void>
  panicOnTheMainThread(): void
}

gpuTestAlone('a panic in the addon is an error, and everything goes on', async (t) => {
  // The tests' build has functions that do nothing else.
  const addon = createRequire(import.meta.url)('adasum-gpu') as Panicking
  for (const call of [() => addon.panicOnThePool(), () => addon.panicOnTheMainThread()])
    await t.throwsAsync(typed(call), { instanceOf: AdasumError, code: 'ERR_BINDING' })
  const input = new Float32Array(LENGTH).fill(3)
  t.deepEqual(await makeOne(input), input)
})
