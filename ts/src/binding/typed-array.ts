/** Queries on typed arrays that give true answers for arrays of every realm, and whatever properties they override. */

/**
 * A getter of the TypedArray or ArrayBuffer prototype. Getters work across realms, and ignore properties of the same
 * name that a subclass or an array defines.
 */
function getterOf<T>(prototype: object, name: string | symbol): (this: unknown) => T {
  const { get } = Object.getOwnPropertyDescriptor(prototype, name) as { get: (this: unknown) => T }
  return get
}

const typedArrayPrototype = Object.getPrototypeOf(Uint8Array.prototype) as object
const tagOf = getterOf<string | undefined>(typedArrayPrototype, Symbol.toStringTag)
const lengthGetter = getterOf<number>(typedArrayPrototype, 'length')
const byteLengthGetter = getterOf<number>(typedArrayPrototype, 'byteLength')
const byteOffsetGetter = getterOf<number>(typedArrayPrototype, 'byteOffset')
const bufferGetter = getterOf<ArrayBuffer>(typedArrayPrototype, 'buffer')
const bufferByteLengthGetter = getterOf<number>(ArrayBuffer.prototype, 'byteLength')
// Older browsers have none, nor buffers that could be resized.
const isResizableGetter =
  'resizable' in ArrayBuffer.prototype ? getterOf<boolean>(ArrayBuffer.prototype, 'resizable') : undefined

/** The name of a typed array's class (for a subclass that of the class it extends); undefined for everything else. */
export function typedArrayName(value: unknown): string | undefined {
  return tagOf.call(value)
}

/** Elements of a typed array; 0 once its memory has been transferred away. */
export function lengthOf(array: ArrayBufferView): number {
  return lengthGetter.call(array)
}

/** Where the bytes of a typed array are in memory. */
export function locationOf(array: ArrayBufferView): { buffer: ArrayBuffer; byteOffset: number; byteLength: number } {
  return {
    buffer: bufferGetter.call(array),
    byteOffset: byteOffsetGetter.call(array),
    byteLength: byteLengthGetter.call(array),
  }
}

/** Whether the array's memory has been transferred away (such an array looks like an empty one). */
export function isDetached(array: ArrayBufferView): boolean {
  if (byteLengthGetter.call(array) > 0) return false
  try {
    void new Uint8Array(bufferGetter.call(array))
    return false
  } catch {
    return true
  }
}

/** Whether other threads may write the array's memory. */
export function isShared(array: ArrayBufferView): boolean {
  try {
    bufferByteLengthGetter.call(bufferGetter.call(array))
    return false
  } catch {
    return true
  }
}

/** Whether the array's memory may shrink under it. */
export function isResizable(array: ArrayBufferView): boolean {
  return isResizableGetter?.call(bufferGetter.call(array)) === true
}
