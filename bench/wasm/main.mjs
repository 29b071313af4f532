// WebAssembly beside the native addon, in one process, in turns: the kernels on large inputs, cut as the library cuts them.
//
//     npm run --silent bench:wasm -- [--json] [--bytes 67108864] [--rounds 9] [words that choose cases ...]
//
// The addon runs AVX2 where there is AVX2, whatever else the machine has. `simd` and `plain` are the two builds, called with
// arrays of JavaScript, which are copied into the module's memory and back; `in place` is the first one with arrays that lie
// there. GB/s counts what is read and written, by the kernel. Ratios are medians of the rounds' own ratios. Every result is
// compared with the addon's, bit for bit; `wrong` counts those that differ, and makes the exit code 1.

import { parseArgs } from 'node:util'
import { CASES, inputsOf } from './cases.mjs'
import { implementations } from './implementations.mjs'

const { values, positionals } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    bytes: { type: 'string', default: `${64 << 20}` },
    rounds: { type: 'string', default: '9' },
  },
  allowPositionals: true,
})
const [byteLength, rounds] = [Number(values.bytes), Number(values.rounds)]

const chosen = CASES.filter(({ name }) => positionals.every((word) => name.split(' ').includes(word)))
const all = await implementations(byteLength)
const [native] = all
if (!values.json) {
  console.log(`native: ${native?.isa}; ${byteLength} bytes of inputs, median of ${rounds} rounds, GB/s\n`)
  const names = all.map(({ name }) => name.padStart(9)).join('')
  console.log(`${'case'.padEnd(22)}${names}   simd/native  in place/native  simd/plain  in place/plain`)
}

for (const one of chosen) {
  const inputs = inputsOf(one, byteLength)
  const runs = all.map((implementation) => implementation.prepare(one, inputs))
  const bits = runs.map((run) => (run.once(), run.bits()))
  const wrong = bits.filter((found) => found !== bits[0]).length
  if (wrong > 0) process.exitCode = 1
  /** @type {number[][]} for each implementation the seconds of each round */
  const seconds = runs.map(() => [])
  for (let round = 0; round < rounds; round++) runs.forEach((run, i) => seconds[i]?.push(secondsOf(run.once)))
  const moved = one.movedBytes(byteLength)
  report(one.name, moved, seconds, wrong)
}

/** @param {() => void} once */
function secondsOf(once) {
  const begin = performance.now()
  once()
  return (performance.now() - begin) / 1000
}

/**
 * @param {string} name
 * @param {number} moved bytes
 * @param {number[][]} seconds
 * @param {number} wrong
 */
function report(name, moved, seconds, wrong) {
  const [ofNative = [], ofSimd = [], ofPlain = [], inPlace = []] = seconds
  const ratio = (/** @type {number[]} */ of, /** @type {number[]} */ to) =>
    median(of.map((time, round) => (to[round] ?? NaN) / time))
  const speeds = seconds.map((times) => moved / median(times) / 1e9)
  const ratios = {
    simdToNative: ratio(ofSimd, ofNative),
    inPlaceToNative: ratio(inPlace, ofNative),
    simdToPlain: ratio(ofSimd, ofPlain),
    inPlaceToPlain: ratio(inPlace, ofPlain),
  }
  if (values.json) {
    const gbps = Object.fromEntries(all.map(({ name }, i) => [name, round(speeds[i] ?? NaN)]))
    const rounded = Object.entries(ratios).map(([key, value]) => [key, round(value)])
    console.log(
      JSON.stringify({ case: name, bytes: byteLength, isa: native?.isa, gbps, ...Object.fromEntries(rounded), wrong }),
    )
    return
  }
  const columns = speeds.map((speed) => speed.toFixed(2).padStart(9)).join('')
  const [a, b, c, d] = Object.values(ratios).map((value) => value.toFixed(2))
  const table = `${a?.padStart(14)}${b?.padStart(17)}${c?.padStart(12)}${d?.padStart(16)}`
  console.log(`${name.padEnd(22)}${columns}${table}${wrong > 0 ? `   ${wrong} wrong` : ''}`)
}

/** @param {number[]} numbers */
function median(numbers) {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? NaN
}

/** @param {number} value */
function round(value) {
  return Number(value.toPrecision(3))
}
