/** Trees of jax-js's arrays from plain descriptions, and what plain arrays say of them. */
import * as jax from '@jax-js/jax'
import type { ArrayTree } from '../../../ts/src/adapters/jax/index.ts'
import { fc } from '../../_property.ts'
import { gaussian } from '../../optim/_oracle.ts'

export type LeafDtype = 'float32' | 'int32' | 'uint32' | 'bool'

export interface LeafSpec {
  path: string
  shape: number[]
  dtype: LeafDtype
}

/** A leaf, a list, or the members of an object in any order. */
export type TreeSpec = LeafSpec | TreeSpec[] | { members: [key: string, child: TreeSpec][] }

export const isLeaf = (spec: TreeSpec): spec is LeafSpec => 'dtype' in spec

const DTYPES: LeafDtype[] = ['float32', 'int32', 'uint32', 'bool']
const KEYS = ['w', 'b', 'layers', 'Zeta', 'a b', 'a.b', '0', '10', '9', '_x', 'ä', '"', '\t']

/** Trees in which the paths are still empty. */
const specs = (dtypes: readonly LeafDtype[]): fc.Arbitrary<TreeSpec> => {
  const leaf = fc.record({
    path: fc.constant(''),
    shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }),
    dtype: fc.constantFrom(...dtypes),
  })
  return fc.letrec<{ tree: TreeSpec; members: TreeSpec }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      leaf,
      fc.array(tie('tree'), { maxLength: 3 }),
      tie('members'),
    ),
    members: fc
      .uniqueArray(fc.tuple(fc.constantFrom(...KEYS), tie('tree')), { selector: ([key]) => key, maxLength: 4 })
      .map((members) => ({ members })),
  })).tree
}

/** Random trees; each leaf knows its path, as it would be written in JavaScript. */
export const trees = (dtypes: readonly LeafDtype[] = DTYPES): fc.Arbitrary<TreeSpec> =>
  specs(dtypes).map((spec) => withPaths(spec, ''))

function withPaths(spec: TreeSpec, path: string): TreeSpec {
  if (Array.isArray(spec)) return spec.map((child, index) => withPaths(child, `${path}[${index}]`))
  if (isLeaf(spec)) return { ...spec, path: path === '' ? '(root)' : path }
  const step = (key: string): string =>
    /^[A-Za-z_]\w*$/.test(key) ? (path === '' ? key : `${path}.${key}`) : `${path}[${JSON.stringify(key)}]`
  return { members: asListed(spec.members.map(([key, child]) => [key, withPaths(child, step(key))])) }
}

/** The same tree, with the members of all objects in another order. */
export function reordered(spec: TreeSpec, by: number): TreeSpec {
  if (Array.isArray(spec)) return spec.map((child) => reordered(child, by))
  if (isLeaf(spec)) return spec
  const members = spec.members.map(([key, child]): [string, TreeSpec] => [key, reordered(child, by)])
  const cut = members.length === 0 ? 0 : by % members.length
  const turned = [...members.slice(cut), ...members.slice(0, cut)]
  return { members: asListed(by % 2 === 0 ? turned : turned.reverse()) }
}

/** In the order in which an object lists them: JavaScript puts whole numbers first. */
function asListed<V>(members: [key: string, value: V][]): [key: string, value: V][] {
  return Object.entries(Object.fromEntries(members))
}

/** Leaves in the order of the description. */
export function leavesOf(spec: TreeSpec): LeafSpec[] {
  if (Array.isArray(spec)) return spec.flatMap(leavesOf)
  return isLeaf(spec) ? [spec] : spec.members.flatMap(([, child]) => leavesOf(child))
}

export const sizeOf = ({ shape }: LeafSpec): number => shape.reduce((product, size) => product * size, 1)

/** What a leaf holds on a rank: others in each place, of the kind of its dtype. */
export function valuesOf(leaf: LeafSpec, rank: number): number[] {
  const seed = [...leaf.path].reduce((sum, character) => 31 * sum + character.codePointAt(0)!, rank + 1) % 9973
  const numbers = [...gaussian(sizeOf(leaf), seed)]
  const kinds: Record<LeafDtype, (value: number) => number> = {
    float32: (value) => value,
    int32: (value) => Math.trunc(1e9 * value) | 0,
    uint32: (value) => Math.trunc(1e9 * value) >>> 0,
    bool: (value) => Number(value > 0),
  }
  return numbers.map(kinds[leaf.dtype])
}

export function arrayOf(leaf: LeafSpec, values: readonly number[]): jax.Array {
  const { shape, dtype } = leaf
  if (values.length === 0) return jax.numpy.zeros(shape, { dtype: dtype as jax.DType })
  const Typed = { float32: Float32Array, int32: Int32Array, uint32: Uint32Array, bool: Int32Array }[dtype]
  return jax.numpy.array(Typed.from(values), { shape, dtype: dtype as jax.DType })
}

export function treeOf(spec: TreeSpec, rank: number): ArrayTree {
  if (Array.isArray(spec)) return spec.map((child) => treeOf(child, rank))
  if (isLeaf(spec)) return arrayOf(spec, valuesOf(spec, rank))
  return Object.fromEntries(spec.members.map(([key, child]) => [key, treeOf(child, rank)]))
}

export const arraysIn = (tree: ArrayTree): jax.Array[] => jax.tree.leaves<jax.Array>(tree)

/** All references that there are to the arrays. */
export const references = (arrays: readonly jax.Array[]): number[] => arrays.map(({ refCount }) => refCount)

export async function read(array: jax.Array): Promise<number[]> {
  return [...((await array.ref.data()) as Float32Array)]
}
