/** Shared memory of the native addon. */
import { isMainThread } from 'node:worker_threads'
import { AdasumError } from '../errors.ts'
import { ownRequire } from './installation.ts'
import type { SharedMemoryBinding } from './shared-memory.ts'

const CALLS = ['createSegment', 'openSegment', 'unlinkSegments'] as const

let loaded: SharedMemoryBinding | undefined

/** @throws AdasumError ERR_UNSUPPORTED if there is no native addon, or it knows of no shared memory */
export function loadNativeSharedMemory(): SharedMemoryBinding {
  loaded ??= unlinkAtExit(requireSharedMemory())
  return loaded
}

/**
 * Removes the names of segments when the process exits: process.exit() and uncaught exceptions end a process without
 * finalizers. The end of a worker thread does not end the process, and runs the thread's finalizers.
 */
function unlinkAtExit(binding: SharedMemoryBinding): SharedMemoryBinding {
  if (isMainThread) process.once('exit', () => binding.unlinkSegments())
  return binding
}

function requireSharedMemory(): SharedMemoryBinding {
  try {
    const addon = ownRequire()('#native') as SharedMemoryBinding
    if (CALLS.every((name) => typeof addon[name] === 'function')) return addon
  } catch (cause) {
    throw new AdasumError('ERR_UNSUPPORTED', 'There is no shared memory without the native addon.', { cause })
  }
  throw new AdasumError('ERR_UNSUPPORTED', 'The native addon knows of no shared memory. Build it again: npm run setup')
}
