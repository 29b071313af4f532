import { AdasumError, inspect } from '../errors.ts'
import { type ArraysByName, namedDtype } from '../tensor/dtype.ts'
import type { SharedMemory } from '../shared-memory/shared-memory.ts'

/** A zeroed array, in shared memory if there is some. */
export function allocateArray<N extends keyof ArraysByName>(
  memory: SharedMemory | undefined,
  name: N,
  count: number,
): ArraysByName[N] {
  const { Array: type, byteLength } = namedDtype(name)
  if (!Number.isSafeInteger(count) || count < 0 || !Number.isSafeInteger(count * byteLength))
    throw new AdasumError(
      'ERR_ARGUMENT',
      `count is ${inspect(count)}; it must be a whole number of elements from 0 up.`,
    )
  try {
    const buffer = memory?.allocate(count * byteLength)
    return (buffer ? new type(buffer, 0, count) : new type(count)) as ArraysByName[N]
  } catch (cause) {
    const message = `${count} elements of ${name} cannot be had: they are more than this process may hold. Ask for fewer.`
    throw new AdasumError('ERR_ARGUMENT', message, { cause })
  }
}
