// One set-up at a time in a folder: a lock directory, because mkdir either makes it or fails, on every file system.
//
// Its owner touches it once a second. A waiter that has watched it for ten seconds without a change takes it to be
// dead: this needs neither process ids, which other containers reuse, nor equal clocks. Two waiters may come to that
// conclusion at the same moment, so removing a dead lock is itself done under a second directory.

import { mkdirSync, rmdirSync, statSync, utimesSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const TOUCH_EVERY_MS = 1_000
const DEAD_AFTER_MS = 10_000
const POLL_EVERY_MS = 100

/**
 * Runs `work` while no other process does so under the same path.
 *
 * @template T
 * @param {string} path of the lock directory
 * @param {() => Promise<T>} work
 * @param {{ onWait?: () => void, deadAfterMs?: number, touchEveryMs?: number }} [options] `onWait` is called once if somebody
 *   else holds it
 * @returns {Promise<T>}
 */
export async function withFolderLock(path, work, options = {}) {
  const { onWait = () => {}, deadAfterMs = DEAD_AFTER_MS, touchEveryMs = TOUCH_EVERY_MS } = options
  mkdirSync(dirname(path), { recursive: true })
  await acquire(path, onWait, deadAfterMs)
  const inode = statSync(path).ino
  const isOurs = () => statSync(path, { throwIfNoEntry: false })?.ino === inode
  const release = () => isOurs() && rmdirSync(path)
  const heartbeat = setInterval(() => isOurs() && utimesSync(path, new Date(), new Date()), touchEveryMs)
  // process.exit() in a signal handler must not leave the lock to those who wait.
  process.once('exit', release)
  try {
    return await work()
  } finally {
    clearInterval(heartbeat)
    process.removeListener('exit', release)
    release()
  }
}

/**
 * @param {string} path
 * @param {() => void} onWait
 * @param {number} deadAfterMs
 */
async function acquire(path, onWait, deadAfterMs) {
  let seen = ''
  let seenSince = 0
  for (let told = false; !makeDirectory(path); told = true) {
    if (!told) onWait()
    const state = stateOf(path)
    // One that has gone meanwhile was let go, and is nobody's to remove.
    if (state !== seen || state === '') [seen, seenSince] = [state, performance.now()]
    else if (performance.now() - seenSince > deadAfterMs) removeDead(path, state, deadAfterMs)
    await sleep(POLL_EVERY_MS)
  }
}

/**
 * @param {string} path
 * @param {string} deadState
 * @param {number} deadAfterMs
 */
function removeDead(path, deadState, deadAfterMs) {
  const removing = `${path}.removing`
  if (!makeDirectory(removing)) {
    // Held for the time of two system calls; one that is old was left by a process killed between them.
    const made = statSync(removing, { throwIfNoEntry: false })
    if (made !== undefined && Date.now() - made.mtimeMs > deadAfterMs) rmdirSync(removing)
    return
  }
  try {
    if (stateOf(path) === deadState) removeDirectory(path)
  } finally {
    rmdirSync(removing)
  }
}

/** @param {string} path what may have gone meanwhile */
function removeDirectory(path) {
  try {
    rmdirSync(path)
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'ENOENT') throw error
  }
}

/** @param {string} path */
function makeDirectory(path) {
  try {
    mkdirSync(path)
    return true
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === 'EEXIST') return false
    throw error
  }
}

/** @param {string} path */
function stateOf(path) {
  const state = statSync(path, { throwIfNoEntry: false })
  return state === undefined ? '' : `${state.ino} ${state.mtimeMs}`
}
