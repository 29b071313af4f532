/** What can be asked of a typed array whatever realm it comes from and whatever was done to it. */

const { get: tagOf } = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype) as object,
  Symbol.toStringTag,
) as { get: (this: unknown) => string | undefined }

/**
 * The name of a typed array's class, of a subclass that of the one it extends; undefined for everything else. The tag is a
 * getter of the TypedArray prototype: it works across realms and cannot be fooled by a property.
 */
export function typedArrayName(value: unknown): string | undefined {
  return tagOf.call(value)
}

/** Whether the array's memory has been transferred away (such an array looks like an empty one). */
export function isDetached(array: ArrayBufferView): boolean {
  if (array.byteLength > 0) return false
  try {
    void new Uint8Array(array.buffer)
    return false
  } catch {
    return true
  }
}

/** Whether other threads may write the array's memory. */
export function isShared(array: ArrayBufferView): boolean {
  return Object.prototype.toString.call(array.buffer) !== '[object ArrayBuffer]'
}
