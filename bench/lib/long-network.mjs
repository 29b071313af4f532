// Network namespaces that a long link joins: a rate, a delay and a loss each way, by bench/lib/long-link.c.

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const SOURCE = fileURLToPath(new URL('long-link.c', import.meta.url))

/**
 * @typedef {object} Link each way
 * @property {number} mbits 1e6 bits a second
 * @property {number} delayMs
 * @property {number} lossPercent of packets
 * @property {string} congestionControl `cubic`, `bbr`, or what else the kernel has
 *
 * @typedef {object} Host
 * @property {string} namespace
 * @property {string} address
 *
 * @typedef {object} Network
 * @property {readonly Host[]} hosts
 * @property {() => void} remove
 */

/** @param {readonly string[]} words */
function run(...words) {
  const [command = '', ...args] = words
  try {
    execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  } catch (error) {
    const { stderr, message } = /** @type {Error & { stderr?: Buffer }} */ (error)
    const why = stderr?.toString().trim() || message
    const needs = 'This needs Linux with /dev/net/tun, root, iproute2 and a C compiler.'
    throw new Error(`${words.join(' ')}: ${why}. ${needs}`, { cause: error })
  }
}

/**
 * @param {number} size 2 to 60
 * @param {Link} link
 * @returns {Promise<Network>}
 * @throws {Error} if something cannot be made; then nothing is left of it
 */
export async function makeLongNetwork(size, { mbits, delayMs, lossPercent, congestionControl }) {
  const name = `adasum${process.pid}`
  const hosts = Array.from({ length: size }, (_, i) => ({ namespace: `${name}rank${i}`, address: `10.214.0.${i + 1}` }))
  const namespaces = hosts.map(({ namespace }) => namespace)
  const folder = mkdtempSync(join(tmpdir(), 'adasum-link-'))
  /** @type {import('node:child_process').ChildProcess | undefined} */
  let carrier
  const remove = () => {
    carrier?.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
    for (const namespace of namespaces) {
      try {
        run('ip', 'netns', 'del', namespace)
      } catch {
        // It was not made, or is gone already.
      }
    }
  }
  try {
    const program = join(folder, 'long-link')
    run('cc', '-O2', '-o', program, SOURCE)
    for (const namespace of namespaces) run('ip', 'netns', 'add', namespace)
    const args = [mbits, delayMs, lossPercent].map(String)
    carrier = spawn(program, [...args, ...namespaces], { stdio: ['ignore', 'pipe', 'inherit'] })
    const ready = carrier.stdout && once(carrier.stdout, 'data')
    await Promise.race([ready, once(carrier, 'exit').then(([code]) => Promise.reject(new Error(`long-link: ${code}`)))])
    for (const { namespace, address } of hosts) {
      const setting = `net.ipv4.tcp_congestion_control=${congestionControl}`
      run('ip', 'netns', 'exec', namespace, 'sysctl', '-q', '-w', setting)
      run('ip', '-n', namespace, 'link', 'set', 'dev', 'lo', 'up')
      run('ip', '-n', namespace, 'addr', 'add', `${address}/24`, 'dev', 'link0')
      run('ip', '-n', namespace, 'link', 'set', 'dev', 'link0', 'up', 'mtu', '1500', 'txqueuelen', '10000')
    }
  } catch (error) {
    remove()
    throw error
  }
  return { hosts, remove }
}
