/**
 * Ends a rank when its launcher is gone, however that came about. Every rank loads this file before its script
 * (`node --import`). The launcher holds the other end of a pipe; whatever kills it, the kernel closes that end.
 *
 * A thread of its own reads the pipe, because a rank may compute for minutes, or for ever, without turning its event
 * loop. Where Node.js may make no thread (its permission model), the main thread reads it, and may notice late. Neither
 * the thread nor the pipe keeps a rank alive that has come to its end.
 */
import { Socket } from 'node:net'
import { Worker, isMainThread, workerData } from 'node:worker_threads'

/** The variable in which the launcher names the file descriptor of the pipe. */
const PIPE_VARIABLE = 'ADASUM_LAUNCHER_PIPE'
const GRACE_MS = 2_000

if (isMainThread) startWatching()
else watchInThread()

function startWatching(): void {
  const descriptor = process.env[PIPE_VARIABLE]
  // Worker threads and forked processes load this module too, as they inherit Node's options: the pipe is not theirs.
  delete process.env[PIPE_VARIABLE]
  if (descriptor === undefined) return
  const options = { workerData: { adasumLauncherPipe: Number(descriptor) }, execArgv: [], env: {} }
  try {
    new Worker(new URL(import.meta.url), options).unref()
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ERR_ACCESS_DENIED') throw error
    watch(Number(descriptor)).unref()
  }
}

function watchInThread(): void {
  const descriptor = (workerData as { adasumLauncherPipe?: number } | undefined)?.adasumLauncherPipe
  if (descriptor !== undefined) watch(descriptor)
}

function watch(descriptor: number): Socket {
  const pipe = new Socket({ fd: descriptor, readable: true, writable: false })
  pipe.on('error', () => {})
  pipe.on('close', () => {
    endGroup('SIGTERM')
    setTimeout(() => endGroup('SIGKILL'), GRACE_MS)
  })
  return pipe.resume()
}

/** The rank leads a process group, so what it has started goes with it. */
function endGroup(signal: NodeJS.Signals): void {
  try {
    process.kill(process.platform === 'win32' ? process.pid : -process.pid, signal)
  } catch {
    process.kill(process.pid, signal)
  }
}
