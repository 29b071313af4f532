/** Starting the processes, listening to them, and ending all of them when one fails. */
import { fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { hostStore } from '#host-store'

const PROGRAM = fileURLToPath(new URL('rank.mjs', import.meta.url))

/** After a first failure, how long the others' last words are awaited: the cause may arrive after its consequences. */
const CAUSE_GRACE_MS = 500

/** How much of a process's standard error is kept for its obituary. */
const STDERR_CHARACTERS = 2000

/** Variables that tell a process its place in a world: this one's own must not reach the ranks. */
const PLACE_VARIABLES = [
  /^ADASUM_(RANK|SIZE|STORE|STORE_HOST|SECRET|HOST|LOCAL_RANK|LOCAL_SIZE|LAUNCHER_PIPE)$/,
  /^(RANK|WORLD_SIZE|MASTER_ADDR|MASTER_PORT)$/,
]

/** @type {Set<import('node:child_process').ChildProcess>} */
const living = new Set()
process.once('exit', endAll)

/** Ends every process at once. SIGKILL, because nothing they hold outlives them. */
function endAll() {
  for (const child of living) child.kill('SIGKILL')
}

/**
 * Runs a group of `size` ranks to its end. This process hosts the store at which they meet, so its port is known before
 * they start and no other program can take it in between.
 *
 * @param {{ size: number } & import('./rank.mjs').Part} part
 * @param {(rank: number, message: any) => void} onMessage
 */
export async function runGroup({ size, ...part }, onMessage) {
  const secret = randomBytes(32).toString('hex')
  const store = await hostStore({ host: '127.0.0.1', port: 0, size, secret })
  const environment = (rank) => ({
    ADASUM_RANK: String(rank),
    ADASUM_SIZE: String(size),
    ADASUM_STORE: `${store.host}:${store.port}`,
    ADASUM_STORE_HOST: 'launcher',
    ADASUM_SECRET: secret,
  })
  const ranks = Array.from({ length: size }, (_, rank) => ({ name: `rank ${rank}`, env: environment(rank), part }))
  try {
    await runProcesses(ranks, onMessage)
  } finally {
    await store.close()
  }
}

/**
 * Runs one process alone for each plan, all at the same time.
 *
 * @param {import('./rank.mjs').Part} part
 * @param {(index: number, message: any) => void} onMessage
 */
export async function runAlone({ plans, ...part }, onMessage) {
  const name = (i) => (plans.length === 1 ? 'the process alone' : `single process ${i + 1}`)
  const processes = plans.map((plan, i) => ({ name: name(i), env: {}, part: { ...part, plans: [plan] } }))
  await runProcesses(processes, onMessage)
}

/**
 * Resolves when all processes have ended well. When one fails, the rest is ended and the error says what the first
 * cause was.
 *
 * @param {{ name: string, env: Record<string, string>, part: object }[]} processes
 * @param {(index: number, message: any) => void} onMessage
 */
async function runProcesses(processes, onMessage) {
  /** @type {Failure[]} */
  const failures = []
  let ending = false
  const children = processes.map((one, index) => start(one, (message) => onMessage(index, message)))
  const ends = children.map(async ({ ended }, index) => {
    const failure = await ended
    if (failure === undefined || ending) return
    failures.push({ ...failure, name: processes[index].name })
    await Promise.race([Promise.all(children.map((child) => child.ended)), delay(CAUSE_GRACE_MS)])
    ending = true
    for (const { child } of children) child.kill('SIGKILL')
  })
  await Promise.all(ends)
  if (failures.length > 0) throw describeFailure(failures)
}

/**
 * @typedef {object} Failure
 * @property {string} [name]
 * @property {string} [signal]
 * @property {number} [exitCode]
 * @property {{ code?: string, message: string }} [report] what the process itself said
 * @property {string} stderr
 */

/** Starts one process and tells it its part. `ended` resolves to undefined, or to how it failed. */
function start({ env, part }, onMessage) {
  const isPlace = (name) => PLACE_VARIABLES.some((pattern) => pattern.test(name))
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !isPlace(name)))
  const child = fork(PROGRAM, { env: { ...inherited, ...env }, stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
  living.add(child)
  let stderr = ''
  let report
  child.stderr.setEncoding('utf8').on('data', (text) => (stderr = (stderr + text).slice(-STDERR_CHARACTERS)))
  child.on('message', (message) => (message.type === 'failed' ? (report = message) : onMessage(message)))
  // A process that dies before it has taken its part: 'close' tells.
  child.send(part, () => {})
  const ended = new Promise((resolve) => {
    child.once('error', (error) => resolve({ report: { message: error.message }, stderr }))
    child.once('close', (exitCode, signal) => {
      living.delete(child)
      resolve(exitCode === 0 && report === undefined ? undefined : { exitCode, signal, report, stderr })
    })
  })
  return { child, ended }
}

/**
 * The cause of several failures is a process that died without a word; then one whose error is not merely that it lost
 * another.
 *
 * @param {Failure[]} failures
 */
export function describeFailure(failures) {
  const cause =
    failures.find(({ report }) => report === undefined) ??
    failures.find(({ report }) => report.code !== 'ERR_PEER_LOST') ??
    failures[0]
  return new Error(describe(cause))
}

/** @param {Failure} failure */
function describe({ name, signal, exitCode, report, stderr }) {
  const words = stderr.trim() === '' ? '' : `\n${stderr.trim()}`
  if (report !== undefined) return `${name} failed: ${report.message}${words}`
  return `${name} ${signal ? `was ended by ${signal}` : `ended with exit code ${exitCode}`}.${words}`
}

const delay = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
