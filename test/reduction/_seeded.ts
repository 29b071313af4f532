/** Tests of what holds for every seed of random numbers. */
import test from 'ava'
import { fc, runsOf } from '../_property.ts'
import { type Random, mulberry32 } from '../transport/_random.ts'

/** A test that `check` holds, tried with `count` seeds. */
export function property(name: string, count: number, check: (random: Random) => boolean): void {
  test(name, (t) => {
    fc.assert(
      fc.property(fc.nat(2 ** 31), (seed) => check(mulberry32(seed))),
      { numRuns: runsOf(count) },
    )
    t.pass()
  })
}
