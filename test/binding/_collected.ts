/** What the collector of garbage must leave alone: of bindings in Node.js, which can be told to collect. */
import { createHash } from 'node:crypto'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import test from 'ava'
import type { Binding } from '../../ts/src/binding/binding.ts'
import { familyOf } from '../reduction/_oracle.ts'
import { reduce, reduceArguments } from './_calls.ts'

export function collectedContract(binding: Binding): void {
  test('arrays that nobody else holds live until the work on them is done', async (t) => {
    setFlagsFromString('--expose_gc')
    const collectGarbage = runInNewContext('gc') as () => void
    const expected = createHash('sha256')
    const found = createHash('sha256')
    const outs: Float32Array[] = []
    const calls: Promise<void>[] = []
    for (let seed = 0; seed < 20; seed++) {
      const inputs = familyOf('independent', (n) => new Float32Array(n), { count: 3, length: 50_000, seed })
      expected.update(reduce(binding, 'adasum', inputs).out)
      const { args, results } = reduceArguments(binding, 'adasum', inputs)
      outs.push(results.out)
      calls.push(binding.reduceAsync(...args))
    }
    collectGarbage()
    // What the collector freed is handed out again, and overwritten.
    const litter = Array.from({ length: 50 }, () => new Float32Array(50_000).fill(7))
    await Promise.all(calls)
    for (const out of outs) found.update(out)
    t.is(found.digest('hex'), expected.digest('hex'))
    t.is(litter.length, 50)
  })
}
