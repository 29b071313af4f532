/** Whether this machine can test the addon for GPUs: the package is built, and there is an adapter. */
import test from 'ava'
import { adapters } from '../../ts/src/gpu/device.ts'

/** Why it cannot, or undefined. */
async function problem(): Promise<string | undefined> {
  try {
    return (await adapters()).length > 0 ? undefined : 'this machine has no adapter'
  } catch (error) {
    return String(error)
  }
}

const found = await problem()
if (found !== undefined && process.env['ADASUM_REQUIRE_GPU'] === '1')
  throw new Error(`ADASUM_REQUIRE_GPU is 1, and ${found}`)
if (found !== undefined)
  console.log(`skipped: the addon for GPUs (${found.includes('not installed') ? 'npm run test:gpu builds it' : found})`)

/** `test`, or `test.skip` where there is nothing to test. */
export const gpuTest: typeof test | typeof test.skip = found === undefined ? test : test.skip

/** The same for what must be alone with the shared device. */
export const gpuTestAlone: typeof test.serial | typeof test.skip = found === undefined ? test.serial : test.skip
