/**
 * What runs on the GPU of a page and of a worker. scripts/test-browser.mjs bundles this file with ../_ava.ts in place of ava, and
 * serves it as /test/browser/gpu-suite.js.
 */
import { GpuDevice } from '../../../ts/src/gpu/index.ts'
import { adasum } from '../../../ts/src/reduction/local.ts'
import { type Outcome, runTests } from '../_ava.ts'
import { answerInWorker } from '../_worker.ts'
import { buffers } from './_buffers.ts'
import { failures } from './_failures.ts'
import { numerics } from './_numerics.ts'
import { pageDevice } from './_page.ts'

export interface GpuReport {
  readonly outcomes: readonly Outcome[]
  readonly adapter: string
  readonly arithmetic: string
}

const SUITES = { numerics, buffers, failures } as const

/** Some of the suites; all unless they are named. */
export async function run(
  names: readonly (keyof typeof SUITES)[] = ['numerics', 'buffers', 'failures'],
): Promise<GpuReport> {
  // The CPU's results are those of WebAssembly, whose synchronous forms wait for a first call.
  await adasum([Float32Array.of(1)])
  const page = await pageDevice()
  const device = await GpuDevice.from(page)
  const outcomes: Outcome[] = []
  for (const name of names) {
    if (name === 'numerics') numerics(device)
    else SUITES[name](page, device)
    outcomes.push(...(await runTests(name)))
  }
  return { outcomes, adapter: device.adapter.name, arithmetic: device.arithmetic }
}

answerInWorker(run)
