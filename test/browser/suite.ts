/**
 * What runs in a page and in a worker: the contract suite and the golden hashes over both builds, and the package as a
 * browser gets it. scripts/test-browser.mjs bundles this file with ./_ava.ts in place of ava, and serves it as
 * /test/browser/suite.js.
 */
import test from 'ava'
import { createGlue } from '#wasm/glue.js'
import { wasmBytes } from '../../ts/src/binding/wasm-files.ts'
import { wasmPlatform } from '../../ts/src/binding/wasm-platform.ts'
import { instantiate, instantiateSync, wasmBinding } from '../../ts/src/binding/wasm.ts'
import type * as Package from '../../ts/src/index.browser.ts'
import { contract } from '../binding/_contract.ts'
import { goldenContract } from '../binding/_golden.ts'
import { type Outcome, runTests } from './_ava.ts'
import { answerInWorker } from './_worker.ts'

const BUILDS = { simd: 'simd128', plain: 'scalar' } as const

export interface Report {
  readonly outcomes: readonly Outcome[]
  readonly isIsolated: boolean
  /** From the call of import() to the first result of it, and from the end of import() to that. */
  readonly importedMs: number
  readonly readyMs: number
}

export async function run(): Promise<Report> {
  // First, so that nothing has been loaded before.
  const timings = await timeFirstResult('/wasm/browser/index.js')
  const outcomes: Outcome[] = []
  for (const [build, isa] of Object.entries(BUILDS)) {
    const code = { module: await wasmPlatform.compile(await wasmBytes(build as keyof typeof BUILDS)), createGlue }
    const binding = wasmBinding(code, await instantiate(code))
    contract(binding, 'sample', { isa })
    goldenContract(binding, (await (await fetch('/test/golden/adasum.json')).json()) as Record<string, string>)
    test('a fresh module can be started without waiting, as after a trap', (t) => {
      t.is(instantiateSync(code).glue.isa(), isa)
    })
    outcomes.push(...(await runTests(build)))
  }
  for (const name of ['index.js', 'inline.js']) {
    // Another address, another copy: nothing has been loaded by it yet.
    publicFunctions((await import(`/wasm/browser/${name}?fresh`)) as typeof Package)
    outcomes.push(...(await runTests(name)))
  }
  const isIsolated = (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated === true
  return { outcomes, isIsolated, ...timings }
}

async function timeFirstResult(url: string): Promise<{ importedMs: number; readyMs: number }> {
  const start = performance.now()
  const { adasum } = (await import(url)) as typeof Package
  const importedMs = performance.now() - start
  await adasum([Float32Array.of(1, 0), Float32Array.of(0, 1)])
  return { importedMs, readyMs: performance.now() - start - importedMs }
}

function publicFunctions({
  adasum,
  adasumSync,
  allocateArrays,
  averageSync,
  connect,
  sum,
  AdasumError,
}: typeof Package): void {
  const inputs = [Float32Array.of(1, 0, 2, 2), Float32Array.of(0, 1, 2, 2)]

  test('synchronous forms wait for the first promise, then work; two first calls at once load once', async (t) => {
    t.throws(() => adasumSync(inputs), { code: 'ERR_NOT_READY', message: /await one/ })
    const both = [adasum(inputs, { segments: [2, 2] }), sum(inputs)] as const
    t.throws(() => adasumSync(inputs), { code: 'ERR_NOT_READY' })
    const [combined, added] = await Promise.all(both)
    t.deepEqual([...combined.result], [1, 1, 2, 2])
    t.deepEqual(
      combined.segments.map(({ orthogonality }) => orthogonality),
      [1, 0.5],
    )
    t.deepEqual([...added.result], [1, 1, 4, 4])
    t.deepEqual([...averageSync(inputs).result], [0.5, 0.5, 2, 2])
    t.deepEqual([...adasumSync(inputs, { segments: [2, 2] }).result], [1, 1, 2, 2])
  })

  test('arrays that need not be copied', async (t) => {
    const [first, second, out] = await allocateArrays(Float32Array, 4, 3)
    first!.set(inputs[0]!)
    second!.set(inputs[1]!)
    const { result } = await adasum([first!, second!], { segments: [2, 2], out: out! })
    t.true(result === out && first!.buffer === out.buffer)
    t.deepEqual([...result], [1, 1, 2, 2])
  })

  test('what is wrong is refused as elsewhere', async (t) => {
    await t.throwsAsync(() => adasum([]), { code: 'ERR_ARGUMENT', instanceOf: AdasumError })
    await t.throwsAsync(() => adasum([Float32Array.of(NaN)]), { code: 'ERR_NON_FINITE' })
    await t.throwsAsync(() => adasum([Float32Array.of(1), Float64Array.of(1) as never]), { code: 'ERR_ARGUMENT' })
  })

  test('a page is a world of its own, whose collectives run from the communicator to the kernels', async (t) => {
    const comm = await connect()
    t.deepEqual([comm.rank, comm.size, comm.metrics().binding.kind], [0, 1, 'wasm'])
    const { result } = await comm.allReduce({ a: Float32Array.of(1, 2), b: Float32Array.of(3) }, { op: 'adasum' })
    t.deepEqual([[...result.a], [...result.b]], [[1, 2], [3]])
    const batches = [Float32Array.of(1, 0), Float32Array.of(0, 1)]
    const out = new Float32Array(2)
    await comm.allReduce(batches, { op: 'sum', local: 'adasum', out })
    t.deepEqual([...out], [1, 1])
    const half = await comm.split(3)
    t.deepEqual([...(await half!.broadcast(Float32Array.of(7)))], [7])
    await comm.barrier()
    await comm.close()
    await t.throwsAsync(() => comm.barrier(), { code: 'ERR_CLOSED', instanceOf: AdasumError })
  })

  test('several ranks need what a browser does not have', async (t) => {
    for (const options of [{ rank: 1, size: 2 }, { size: 2 }, { store: 'localhost:29500' }])
      await t.throwsAsync(() => connect(options), { code: 'ERR_UNSUPPORTED', message: /TCP, which a browser does not/ })
    await t.throwsAsync(() => connect({ sizes: 1 } as never), { code: 'ERR_ARGUMENT' })
  })

  test('a long call lets the page live', async (t) => {
    const large = [0, 1, 2, 3].map((seed) => new Float32Array(4_000_000).map((_, i) => Math.sin(i + seed)))
    let turns = 0
    const timer = setInterval(() => turns++, 1)
    const { result } = await adasum(large)
    clearInterval(timer)
    t.true(turns > 0, `${turns} turns`)
    t.deepEqual(result, adasumSync(large).result)
  })
}

answerInWorker(run)
