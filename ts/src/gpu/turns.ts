import { AdasumError } from '../errors.ts'
import { forgetSharedDevice } from './device.ts'
import { typed } from './typed.ts'

/** Does calls one after the other, in the order in which they were made. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve()

  take<T>(call: () => T | Promise<T>): Promise<T> {
    const done = this.#last.then(() => typedOn(call))
    this.#last = done.catch(() => undefined)
    return done
  }
}

/**
 * The same as `typed`, for calls on a device. If the device is lost, the shared device is opened again for the next
 * reducer.
 */
export async function typedOn<T>(call: () => T | Promise<T>): Promise<T> {
  try {
    return await typed(call)
  } catch (error) {
    if (error instanceof AdasumError && error.code === 'ERR_DEVICE_LOST') forgetSharedDevice()
    throw error
  }
}
