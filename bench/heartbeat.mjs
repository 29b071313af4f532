// What heartbeats cost a rank that is otherwise idle: milliseconds of CPU a second, and bytes that it sends a second, headers of
// TCP and IP included. Beside it the same with a limit so long that there is hardly a beat. Linux, root: the world has a network
// namespace of its own, in which nothing else sends.
//
//     npm run --silent bench:heartbeat [-- --sizes 4,64] [--seconds 20]

import { execFileSync, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const RANK = fileURLToPath(new URL('heartbeat/rank.mjs', import.meta.url))
const COMMAND = fileURLToPath(new URL('../bin/adasum.js', import.meta.url))
const LIMITS_MS = [3000, 2 ** 31 - 1]

const { values } = parseArgs({
  options: { sizes: { type: 'string', default: '4,64' }, seconds: { type: 'string', default: '20' } },
})
const seconds = Number(values.seconds)
if (!(seconds > 0)) throw new Error(`--seconds is ${values.seconds}: a number above 0`)

const namespace = `adasum${process.pid}`
const ip = (/** @type {string[]} */ ...args) => execFileSync('ip', args, { encoding: 'utf8' })

/** Bytes sent over loopback since the namespace was made. */
function sentByteLength() {
  const [link] = JSON.parse(ip('-n', namespace, '-j', '-s', 'link', 'show', 'dev', 'lo'))
  return /** @type {number} */ (link.stats64.tx.bytes)
}

/**
 * @param {number} size
 * @param {number} limitMs
 */
async function measure(size, limitMs) {
  const args = ['netns', 'exec', namespace, process.execPath, COMMAND, 'run', '-n', `${size}`]
  const child = spawn('ip', [...args, RANK, `${seconds}`, `${limitMs}`], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = new Promise((resolve) => child.once('close', resolve))
  let output = ''
  child.stdout.on('data', (/** @type {Buffer} */ data) => (output += data.toString()))
  // Bytes of the whole run: it begins and ends with few messages, the same with any limit.
  const [begin, before] = [performance.now(), sentByteLength()]
  await ended
  const [elapsedMs, sent] = [performance.now() - begin, sentByteLength() - before]
  const cpuMs = [...output.matchAll(/\{.*\}/g)].map(([line]) => /** @type {number} */ (JSON.parse(line).cpuMs))
  if (cpuMs.length !== size) throw new Error(`${cpuMs.length} of ${size} ranks have reported: ${output}`)
  const mean = cpuMs.reduce((sum, ms) => sum + ms, 0) / size
  return { cpuMsPerSecond: mean / seconds, bytesPerSecond: sent / size / (elapsedMs / 1000) }
}

ip('netns', 'add', namespace)
process.once('exit', () => ip('netns', 'del', namespace))
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) process.once(signal, () => process.exit(1))
ip('-n', namespace, 'link', 'set', 'dev', 'lo', 'up')
for (const text of values.sizes.split(',')) {
  const size = Number(text)
  for (const failureTimeoutMs of LIMITS_MS) {
    const { cpuMsPerSecond, bytesPerSecond } = await measure(size, failureTimeoutMs)
    const [cpu, bytes] = [Number(cpuMsPerSecond.toPrecision(3)), Math.round(bytesPerSecond)]
    console.log(JSON.stringify({ ranks: size, failureTimeoutMs, cpuMsPerSecond: cpu, bytesPerSecond: bytes, seconds }))
  }
}
