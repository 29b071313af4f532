// Network namespaces joined by a bridge, with slow links: ip and tc do it.

import { execFileSync } from 'node:child_process'

/**
 * @typedef {object} Link each way
 * @property {number} mbits 1e6 bits a second
 * @property {number} delayMs
 * @property {number} lossPercent of packets
 *
 * @typedef {object} Host
 * @property {string} namespace
 * @property {string} address
 *
 * @typedef {object} Network
 * @property {readonly Host[]} hosts
 * @property {(index: number) => void} cut drops every packet of a host from now on, without a word to anybody
 * @property {(index: number) => void} mute drops what a host sends from now on, and nothing that it is sent
 * @property {() => void} remove
 */

/** Bytes that may pass at once: what a clock that ticks 250 times a second needs, and never less than a large packet. */
const burstOf = (/** @type {number} */ mbits) => Math.max(64 << 10, Math.ceil((mbits * 1e6) / 8 / 250))
/** How long a packet may wait for its turn; what comes then is dropped, and TCP slows down. */
const QUEUE_MS = 200

/** @param {readonly string[]} words */
function run(...words) {
  const [command = '', ...args] = words
  try {
    execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  } catch (error) {
    const { stderr, message } = /** @type {Error & { stderr?: Buffer }} */ (error)
    const why = stderr?.toString().trim() || message
    throw new Error(`${words.join(' ')}: ${why}. This needs Linux, root, and iproute2.`, { cause: error })
  }
}

/**
 * @param {number} size
 * @param {Link} link
 * @returns {Network}
 * @throws {Error} if a namespace, a link or its limits cannot be made; then nothing is left of it
 */
export function makeNetwork(size, link) {
  const name = `adasum${process.pid}`
  const hub = `${name}hub`
  const hosts = Array.from({ length: size }, (_, i) => ({ namespace: `${name}rank${i}`, address: `10.213.0.${i + 1}` }))
  const remove = () => {
    for (const namespace of [hub, ...hosts.map((host) => host.namespace)]) {
      try {
        run('ip', 'netns', 'del', namespace)
      } catch {
        // It was not made, or is gone already.
      }
    }
  }
  try {
    run('ip', 'netns', 'add', hub)
    run('ip', '-n', hub, 'link', 'add', 'name', 'bridge', 'type', 'bridge')
    run('ip', '-n', hub, 'link', 'set', 'dev', 'bridge', 'up')
    hosts.forEach((host, i) => join(hub, host, i, link))
  } catch (error) {
    remove()
    throw error
  }
  const cut = (/** @type {number} */ index) => run('ip', '-n', hub, 'link', 'set', 'dev', `port${index}`, 'nomaster')
  return { hosts, cut, mute: (index) => mute(hosts, index), remove }
}

/** A hardware address that no host has. */
const NOBODY = '02:00:00:00:00:01'

/**
 * @param {readonly Host[]} hosts
 * @param {number} index
 */
function mute(hosts, index) {
  const { namespace = '' } = hosts[index] ?? {}
  for (const { address } of hosts.toSpliced(index, 1))
    run('ip', '-n', namespace, 'neigh', 'replace', address, 'lladdr', NOBODY, 'dev', 'eth0', 'nud', 'permanent')
}

/**
 * @param {string} hub
 * @param {Host} host
 * @param {number} index
 * @param {Link} link
 */
function join(hub, { namespace, address }, index, link) {
  const port = `port${index}`
  run('ip', 'netns', 'add', namespace)
  run('ip', '-n', namespace, 'link', 'set', 'dev', 'lo', 'up')
  run('ip', '-n', namespace, 'link', 'add', 'name', 'eth0', 'type', 'veth', 'peer', 'name', port, 'netns', hub)
  run('ip', '-n', namespace, 'addr', 'add', `${address}/24`, 'dev', 'eth0')
  run('ip', '-n', namespace, 'link', 'set', 'dev', 'eth0', 'up')
  run('ip', '-n', hub, 'link', 'set', 'dev', port, 'master', 'bridge')
  run('ip', '-n', hub, 'link', 'set', 'dev', port, 'up')
  // The rate holds for what the host sends and for what it is sent; delay and loss only for what it sends.
  limit(namespace, 'eth0', link)
  limit(hub, port, { ...link, delayMs: 0, lossPercent: 0 })
}

/**
 * @param {string} namespace
 * @param {string} device
 * @param {Link} link
 */
function limit(namespace, device, { mbits, delayMs, lossPercent }) {
  const tc = ['tc', '-n', namespace, 'qdisc', 'add', 'dev', device]
  const burst = String(burstOf(mbits))
  run(...tc, 'root', 'handle', '1:', 'tbf', 'rate', `${mbits}mbit`, 'burst', burst, 'latency', `${QUEUE_MS}ms`)
  if (delayMs === 0 && lossPercent === 0) return
  const harm = ['delay', `${delayMs}ms`, 'loss', `${lossPercent}%`]
  run(...tc, 'parent', '1:1', 'handle', '10:', 'netem', ...harm, 'limit', '100000')
}
