/** How many files a process may have open: its connections count, and so does each segment of shared memory. */
import { AdasumError, systemCode } from '../errors.ts'

/** With fewer places, ranks that come at the same time would drive each other out. */
const ALWAYS_ROOM = 16

let limit: number | undefined

/** Files that this process may have open at a time; infinity where nothing limits it. It takes milliseconds, once. */
export function openFileLimit(): number {
  return (limit ??= reportedLimit())
}

/**
 * Whether there is room for one more stranger among `count`: there may be `most`, or that share of the files that this
 * process may have open, if that is less.
 */
export function hasRoom(count: number, share: number, most: number): boolean {
  return count < ALWAYS_ROOM || count < Math.min(most, openFileLimit() * share)
}

/** Taken from Node's diagnostic report, since reading a file could itself need one file too many. */
function reportedLimit(): number {
  // Otherwise the report would ask name servers for the names of all peers.
  Object.assign(process.report, { excludeNetwork: true })
  const { userLimits } = process.report.getReport() as { userLimits?: { open_files?: { soft?: unknown } } }
  const soft = userLimits?.open_files?.soft
  return typeof soft === 'number' ? soft : Infinity
}

/** ERR_OPEN_FILES if the system has refused something for want of files; undefined for any other cause. */
export function openFilesError(what: string, cause: unknown): AdasumError | undefined {
  const code = systemCode(cause)
  if (code !== 'EMFILE' && code !== 'ENFILE') return undefined
  const whose =
    code === 'EMFILE'
      ? `this process has all ${openFileLimit()} files and connections open`
      : 'this machine has all files open'
  const message = `${what}: ${whose} that it may (${code}). Raise the limit (ulimit -n), or close what is not needed.`
  return new AdasumError('ERR_OPEN_FILES', message, { cause })
}
