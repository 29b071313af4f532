import { typedError } from '../binding/typed-error.ts'
import { AdasumError } from '../errors.ts'

/** Makes the call; throws its errors as AdasumErrors. */
export async function typed<T>(call: () => T | Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    throw error instanceof AdasumError ? error : typedError(error)
  }
}
