/** How many files a process may have open: its connections count, and so does each segment of shared memory. */
import { AdasumError, systemCode } from '../errors.ts'

let limit: number | undefined

/** Files that this process may have open at a time; infinity where nothing limits it. It takes milliseconds, once. */
export function openFileLimit(): number {
  return (limit ??= reportedLimit())
}

/** By the report, since asking for a file could be one too many. */
function reportedLimit(): number {
  // Naming the peers of open sockets would ask the network's name servers.
  Object.assign(process.report, { excludeNetwork: true })
  const { userLimits } = process.report.getReport() as { userLimits?: { open_files?: { soft?: unknown } } }
  const soft = userLimits?.open_files?.soft
  return typeof soft === 'number' ? soft : Infinity
}

/** ERR_OPEN_FILES if that is why the system has refused something; undefined if it is not. */
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
