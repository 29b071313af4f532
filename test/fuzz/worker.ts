/**
 * Fuzzes one target in a process of its own, which `scripts/fuzz.mjs` starts and watches. Each input is written to a file
 * before it is parsed, behind its number and its length: whoever ends this process finds there what it was doing. The last
 * line of the output is the outcome, as JSON; with `--list`, which targets there are.
 */
import { openSync, writeSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { foundOf, readCorpus, writeCorpus } from './_corpus.ts'
import { Fuzzer } from './_fuzzer.ts'
import { TARGETS, targetNamed } from './targets/index.ts'

const { values } = parseArgs({
  options: {
    target: { type: 'string', default: '' },
    inputs: { type: 'string', default: '' },
    seed: { type: 'string', default: '' },
    current: { type: 'string', default: '' },
    keep: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
  },
})
/** What leads somewhere is kept if it is short: a corpus is read by people, too. */
const LONGEST_KEPT = 512

if (values.list) {
  console.log(JSON.stringify(TARGETS.filter(({ share }) => share > 0).map(({ name, share }) => ({ name, share }))))
  process.exit(0)
}

const file = openSync(values.current, 'w')
const head = Buffer.alloc(12)
let number = 0

function onInput(input: Uint8Array): void {
  head.writeDoubleLE(++number)
  head.writeUInt32LE(input.length, 8)
  writeSync(file, Buffer.concat([head, input]), 0, head.length + input.length, 0)
}

const target = targetNamed(values.target)
// An error that nobody catches is a fault, too: the process ends, and the file has the input.
const outcome = await new Fuzzer(target, Number(values.seed), onInput).run(Number(values.inputs))
const faults = outcome.faults.map(({ input, fault }) => foundOf(input, fault))
if (values.keep) {
  const fresh = outcome.fresh.filter(({ length }) => length <= LONGEST_KEPT).map((input) => foundOf(input))
  writeCorpus(target.name, [...readCorpus(target.name), ...faults, ...fresh])
}
const { user, system } = process.cpuUsage()
const computedSeconds = (user + system) / 1e6
console.log(JSON.stringify({ ...outcome, faults, fresh: outcome.fresh.length, computedSeconds }))
// Connections that an input has left open would keep the process alive.
process.exit(0)
