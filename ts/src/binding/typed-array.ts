/** What can be asked of a typed array whatever realm it comes from and whatever was done to it. */

/**
 * Getters of the TypedArray and ArrayBuffer prototypes, taken once: they work across realms, and cannot be fooled by what a
 * subclass or an array itself defines under their names.
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

/** The name of a typed array's class, of a subclass that of the one it extends; undefined for everything else. */
export function typedArrayName(value: unknown): string | undefined {
  return tagOf.call(value)
}

/** Elements of a typed array; 0 once its memory has been transferred away. */
export function lengthOf(array: ArrayBufferView): number {
  return lengthGetter.call(array)
}

/** Where a typed array lies. */
export function placeOf(array: ArrayBufferView): { buffer: ArrayBuffer; byteOffset: number; byteLength: number } {
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
