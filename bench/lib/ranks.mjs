// One process a rank, each in the network namespace of its host.

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'

const STORE_PORT = 29_500
const LIMIT_MS = 60 * 60_000

/**
 * Runs a program on every host; its argument is `{ place, settings }` as JSON, where `place` is what `connect` takes.
 *
 * @param {{ hosts: readonly { namespace: string, address: string }[], remove: () => void }} network
 * @param {string} program
 * @param {object} settings
 * @returns {Promise<string>} what rank 0 has printed
 * @throws {Error} if a rank fails
 */
export async function runRanks(network, program, settings) {
  const { hosts } = network
  process.on('exit', network.remove)
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP']))
    process.once(signal, () => process.exit(1))
  const store = `${hosts[0]?.address}:${STORE_PORT}`
  const common = { ...process.env, ADASUM_SECRET: randomBytes(16).toString('hex') }
  const outputs = await Promise.all(
    hosts.map(({ namespace, address }, rank) => {
      const argument = JSON.stringify({ place: { rank, size: hosts.length, store, host: address }, settings })
      const args = ['netns', 'exec', namespace, process.execPath, program, argument]
      // Otherwise they would find out that they share a machine, and use its memory.
      return outputOf('ip', args, { ...common, ADASUM_MACHINE: namespace })
    }),
  )
  return outputs[0] ?? ''
}

/**
 * @param {string} command
 * @param {readonly string[]} args
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<string>}
 */
function outputOf(command, args, env) {
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'inherit'], timeout: LIMIT_MS })
  process.on('exit', () => child.kill())
  let output = ''
  child.stdout.on('data', (/** @type {Buffer} */ data) => (output += data.toString()))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => {
      if (code === 0) resolve(output)
      else reject(new Error(`a rank ended with ${signal ?? `exit code ${code}`}`))
    })
  })
}
