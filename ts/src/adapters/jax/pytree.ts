/**
 * Trees of arrays, as jax-js has them: arrays in lists and plain objects, of any depth. jax-js itself lists the leaves
 * in the order in which the keys were added, which may differ between ranks. Here they are sorted by path.
 */
import * as jax from '@jax-js/jax'
import { AdasumError } from '../../errors.ts'
import { isWeightDtype } from '../../optim/flat-weights.ts'
import { printable } from '../../printable.ts'
import { kindOf } from '../../tensor/check.ts'

/** An array, or a list or plain object of such trees. */
export type ArrayTree = jax.JsTree<jax.Array>

export interface Leaf {
  /** Such as `layers[0].w`; `(root)` if the tree is an array itself. */
  readonly path: string
  readonly array: jax.Array
}

type Key = string | number

interface Item {
  readonly keys: readonly Key[]
  readonly value: unknown
}

/** Characters of a path in a message. */
const LONGEST = 200
const PLAIN_KEY = /^[A-Za-z_][A-Za-z0-9_]*$/

/** A tree whose references have been taken over: whoever has it uses each of them, or disposes of it. */
export class Pytree<T extends ArrayTree> {
  /** Sorted by path. */
  readonly leaves: readonly Leaf[]
  readonly #structure: jax.JsTreeDef
  /** All leaves in the order of the structure, also those that are null or undefined, and mean nothing. */
  readonly #items: readonly unknown[]
  /** For each of `leaves` its index in the order of the structure. */
  readonly #places: readonly number[]

  /**
   * @param tree - is no more the caller's, also if this throws
   * @param what - the argument, for messages
   * @throws AdasumError ERR_ARGUMENT for a leaf that is no array, or has been freed; ERR_UNSUPPORTED for a dtype other
   *   than float32, int32, uint32 and bool
   */
  constructor(tree: T, what: string) {
    const found: Item[] = []
    collect(tree, [], found)
    const places = [...found.keys()].filter((place) => found[place]!.value != null)
    places.sort((a, b) => compareKeys(found[a]!.keys, found[b]!.keys))
    this.#places = places
    this.#items = found.map(({ value }) => value)
    this.leaves = places.map((place) => ({ path: pathOf(found[place]!.keys), array: this.#items[place] as jax.Array }))
    this.#structure = jax.tree.structure(tree)
    try {
      for (const leaf of this.leaves) checkLeaf(leaf, what)
      checkReferences(this.leaves, what)
    } catch (error) {
      this.dispose()
      throw error
    }
  }

  /** A tree of the same structure, whose arrays are others. */
  with(arrays: readonly jax.Array[]): T {
    const items = [...this.#items]
    arrays.forEach((array, index) => (items[this.#places[index]!] = array))
    return jax.tree.unflatten(this.#structure, items) as T
  }

  dispose(): void {
    disposeTree(this.#items)
  }
}

/** Ends a reference to each of the arrays that has one left. */
export function disposeArrays(arrays: readonly jax.Array[]): void {
  for (const array of arrays) if (array.refCount > 0) array.dispose()
}

/** The arrays in a tree that may have other leaves, too. */
export function arraysOf(tree: unknown): jax.Array[] {
  return jax.tree.leaves(tree).filter(isArray)
}

/** Ends a reference to each array of a tree that may have other leaves, too. */
export function disposeTree(tree: unknown): void {
  disposeArrays(arraysOf(tree))
}

function isArray(value: unknown): value is jax.Array {
  return value instanceof jax.Array
}

/** The leaves as jax-js finds them: in the order of the lists, and of the keys of plain objects. */
function collect(tree: unknown, keys: readonly Key[], found: Item[]): void {
  if (Array.isArray(tree)) tree.forEach((child, index) => collect(child, [...keys, index], found))
  else if (isPlainObject(tree)) for (const [key, child] of Object.entries(tree)) collect(child, [...keys, key], found)
  else found.push({ keys, value: tree })
}

/** Whether jax-js looks for leaves in it. */
function isPlainObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && value.constructor === Object
}

function compareKeys(a: readonly Key[], b: readonly Key[]): number {
  const at = a.findIndex((key, index) => key !== b[index])
  if (at < 0) return a.length - b.length
  const [first, second] = [a[at]!, b[at]]
  if (second === undefined) return 1
  if (typeof first !== typeof second) return typeof first === 'number' ? -1 : 1
  return first < second ? -1 : 1
}

/** No two lists of keys have the same path, and what ends a line or a column is quoted in it. */
function pathOf(keys: readonly Key[]): string {
  if (keys.length === 0) return '(root)'
  const parts = keys.map((key, depth) => {
    if (PLAIN_KEY.test(String(key))) return depth === 0 ? key : `.${key}`
    return `[${JSON.stringify(key)}]`
  })
  return parts.join('')
}

function checkLeaf({ path, array }: Leaf, what: string): void {
  const place = `${what}: ${leafText(path)}`
  if (!isArray(array)) {
    const advice =
      'Pass arrays of the same copy of @jax-js/jax, outside of jit and grad; make one of a number by np.array.'
    throw new AdasumError('ERR_ARGUMENT', `${place} is ${kindOf(array)}, and no array. ${advice}`)
  }
  if (isWeightDtype(array.dtype)) return
  const why = array.dtype === jax.DType.Float16 ? 'has no Float16Array to hold it' : 'cannot make it an array again'
  const advice = 'Convert it by astype(np.float32).'
  throw new AdasumError(
    'ERR_UNSUPPORTED',
    `${place} is ${array.dtype}; float32, int32, uint32 and bool can be exchanged: with Node.js 20 jax-js ${why}. ${advice}`,
  )
}

/** A leaf as messages name it. */
export function leafText(path: string): string {
  return `leaf ${printable(path, LONGEST)}`
}

/** The same array may lie in several places, if there is a reference for each. */
function checkReferences(leaves: readonly Leaf[], what: string): void {
  const uses = new Map<jax.Array, number>()
  for (const { path, array } of leaves) {
    const count = (uses.get(array) ?? 0) + 1
    uses.set(array, count)
    if (count <= array.refCount) continue
    const place = `${what}: ${leafText(path)}`
    const state =
      array.refCount === 0 ? 'has been freed' : `is use ${count} of an array with ${array.refCount} references`
    throw new AdasumError(
      'ERR_ARGUMENT',
      `${place} ${state}. Take .ref of an array, or tree.ref, for each further use.`,
    )
  }
}
