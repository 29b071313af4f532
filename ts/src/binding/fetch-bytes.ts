import { AdasumError, reasonOf } from '../errors.ts'

/**
 * Fetches a file of the package.
 *
 * @param inline - the entry point of the package that contains the same bytes, for the error's advice
 * @throws AdasumError ERR_BINDING if the file cannot be fetched
 */
export async function fetchBytes(url: URL, inline: string): Promise<Uint8Array> {
  let reason: string
  let cause: unknown
  try {
    const answer = await fetch(url)
    if (answer.ok) return new Uint8Array(await answer.arrayBuffer())
    reason = `status ${answer.status}`
  } catch (error) {
    cause = error
    reason = reasonOf(error)
  }
  throw new AdasumError(
    'ERR_BINDING',
    `${url.href} cannot be loaded (${reason}). Serve this file of the package there, or import '${inline}', which has it inside.`,
    { cause },
  )
}
