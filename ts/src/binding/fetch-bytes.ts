import { AdasumError, reasonOf } from '../errors.ts'

/** The bytes of a file of the package; `inline` names what has them inside. @throws AdasumError ERR_BINDING if they are not where they should be */
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
