/** The fuzzer finds what is planted, whatever kind of fault it is, says it once, and leaves out of the input what does not matter. */
import test from 'ava'
import { FormatError, JsonReader } from '../../ts/src/checkpoint/json-reader.ts'
import { AdasumError } from '../../ts/src/errors.ts'
import { Coverage } from './_coverage.ts'
import { Fuzzer } from './_fuzzer.ts'
import { judge } from './_judge.ts'
import { foreignRefusal, refusal, type Target } from './_target.ts'

const SEED = Buffer.from('one two three')

const targetOf = (run: Target['run']): Target => ({ name: 'made-up', share: 1, largest: 64, seeds: () => [SEED], run })

/** What a parser does wrong once the letter w has gone. */
const WRONG: Record<string, [run: (input: Uint8Array) => void, fault: RegExp]> = {
  'a crash': [() => void (undefined as unknown as { a: number }).a, /it threw: Cannot read properties/],
  'an error that is none of ours': [() => refusal(new RangeError('far away')), /no error of ours: far away/],
  'a code that nobody knows': [() => refusal(new AdasumError('ERR_NEW' as 'ERR_AUTH', 'new')), /no error of ours: new/],
  'words that move the cursor': [
    () => foreignRefusal(new AdasumError('ERR_AUTH', '\u009b2J')),
    /are not to be printed/,
  ],
  'words without end': [() => foreignRefusal(new AdasumError('ERR_AUTH', 'x'.repeat(5000))), /has 5000 characters/],
  'memory that grows': [() => void (kept = new Uint8Array(64 << 20)), /bytes of memory for an input of/],
  'the bytes of the caller': [(input) => input.fill(0), /it changed the bytes that it was given/],
}
let kept: Uint8Array | undefined

for (const [what, [run, fault]] of Object.entries(WRONG)) {
  test.serial(`found: ${what}`, async (t) => {
    const target = targetOf((input) => {
      if (input.includes('w'.charCodeAt(0))) return true
      if (input.length > 0) run(input)
      return false
    })
    const { faults, accepted, inputs, refusedSeeds } = await new Fuzzer(target, 1, () => undefined).run(200)
    t.is(kept?.length ?? 0, what === 'memory that grows' ? 64 << 20 : (kept?.length ?? 0))
    t.is(faults.length, 1, JSON.stringify(faults))
    t.regex(faults[0]!.fault, fault)
    t.is(faults[0]!.input.length, 1)
    t.true(accepted > 0 && accepted < inputs)
    t.is(refusedSeeds, 0)
  })
}

test('found: a parser that computes for ever so long', async (t) => {
  const target = targetOf(() => {
    const begin = process.cpuUsage()
    while (process.cpuUsage(begin).user < 2_200_000);
    return true
  })
  await t.throwsAsync(judge(target, SEED), { message: /it took \d+ ms/ })
})

test('seeds that are refused are counted: mutations of them would test nothing', async (t) => {
  const { refusedSeeds, accepted } = await new Fuzzer(
    targetOf(() => false),
    1,
    () => undefined,
  ).run(40)
  t.deepEqual([refusedSeeds, accepted], [1, 0])
})

test('a run follows from its seed, and tells each input before it is parsed', async (t) => {
  const inputsOf = async (seed: number): Promise<string[]> => {
    const inputs: string[] = []
    const target = targetOf((input) => inputs.at(-1) === Buffer.from(input).toString('hex'))
    const outcome = await new Fuzzer(target, seed, (input) => inputs.push(Buffer.from(input).toString('hex'))).run(100)
    t.is(outcome.accepted, outcome.inputs)
    return inputs
  }
  const [one, again, other] = [await inputsOf(5), await inputsOf(5), await inputsOf(6)]
  t.deepEqual(one, again)
  t.notDeepEqual(one, other)
})

test('code that runs for the first time is news, and only then', (t) => {
  const coverage = new Coverage()
  const read = (text: string): number => {
    try {
      new JsonReader(text, 'it').skip()
    } catch (error) {
      if (!(error instanceof FormatError)) throw error
    }
    const found = coverage.take()
    found.keep()
    return found.news
  }
  t.true(read('[1]') > 0)
  t.is(read('[1]'), 0)
  t.true(read('{"a": 1}') > 0)
  t.is(read('{"b": 2}'), 0)
  t.true(coverage.total > 0)
  coverage.stop()
})
