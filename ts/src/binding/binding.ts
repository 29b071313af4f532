/**
 * The border to Rust: one contract, implemented by the native addon and by WebAssembly. Which of them computes is decided
 * where `#binding` is imported; no file outside this folder imports an implementation.
 *
 * The whole interface speaks bytes, numbers and Float64Arrays. All checks of lengths, alignment, overlap and codes stand
 * in adasum-core's byte-level entry points; they throw errors whose `code` is ERR_ARGUMENT. Asynchronous forms of the
 * addon run on the libuv pool; the memory they are given must stay attached and untouched until the promise settles.
 *
 * A *slice* is a run of consecutive elements of a vector; *pieces* says which segments it consists of: a Float64Array
 * with three numbers a piece, [segmentElementCount, firstElement, elementCount], where firstElement counts from the
 * segment's start and is a multiple of BLOCK_ELEMENTS, and elementCount is one too unless the piece reaches the
 * segment's end. A piece is whole if it covers its segment, else cut. All inputs and the output hold the whole slice.
 *
 * *nodes* are partial Gram matrices of cut pieces: nodes of the canonical binary tree over a segment's blocks. A node
 * holds `productCount` doubles: for k inputs the upper triangle, row by row, k (k + 1) / 2 numbers.
 */

/** The contract's version: `abi()` of a binding must return it. Grows with every change of the contract. */
export const ABI = 6

/** Elements in a block of the canonical order of additions; slices are cut at segment or block boundaries only. */
export const BLOCK_ELEMENTS = 2048

/** Codes of the dtypes that can be reduced, and folded; the half formats are storage, everything is computed in f64. */
export const DTYPE_CODES = { f32: 0, f64: 1, f16: 2, bf16: 3 } as const
/** Codes of the dtypes that can be folded only. */
export const INTEGER_CODES = { u8: 5, i32: 9, u32: 10, i64: 11, u64: 12 } as const
/** Codes of the reduction operators. */
export const OP_CODES = { sum: 0, average: 1, adasum: 2 } as const
/** Codes of the operators that fold elements without coefficients. */
export const FOLD_OP_CODES = { sum: 0, min: 3, max: 4 } as const
/** Codes of the formats in which f32 travels in fewer bytes. */
export const FORMAT_CODES = { f16: 2, bf16: 3, int8: 4 } as const
/** Bytes of a code, and of the scale that precedes the codes of each block. */
export const FORMAT_WIDTHS = {
  f16: { scale: 0, code: 2 },
  bf16: { scale: 0, code: 2 },
  int8: { scale: 4, code: 1 },
} as const

/** What works on vectors. Each kernel has an asynchronous form, too: one more is a signature here and a line in ASYNC_NAMES. */
export interface Kernels {
  /**
   * Reduces a slice. sum, average: all of it. adasum: whole pieces go gram -> coefficients -> (refinement) -> combine, one
   * after the other; of cut pieces only the nodes are written, in order, and `out` stays as it is there.
   * `weights` has a number an input: how many ranks' vectors it stands for, whole, from 0 to 2^32; 0 leaves the input out,
   * unread. adasum joins subtrees in proportion to their weights, average multiplies with weight / sum of the weights, sum
   * with 1 what is not left out.
   * `stats` has 2 + k doubles a piece: orthogonality (1 if all inputs are zero, NaN if the Gram matrix is not finite), the
   * sum of the squared norms of the inputs that are not left out, then the coefficients; all NaN for cut pieces. sum and
   * average touch neither nodes nor stats.
   * `out` is of resultDtype: dtype, or f32 where dtype is f16 or bf16. It may be one of the inputs; any other overlap is
   * refused.
   */
  readonly reduce: (
    op: number,
    dtype: number,
    resultDtype: number,
    inputs: Uint8Array[],
    weights: Float64Array,
    pieces: Float64Array,
    out: Uint8Array,
    nodes: Float64Array,
    stats: Float64Array,
  ) => void

  /** Nodes of every piece, whole or cut, in order (a whole piece has one node, its root). */
  readonly gram: (dtype: number, inputs: Uint8Array[], pieces: Float64Array, nodes: Float64Array) => void

  /**
   * For each of m coefficient vectors (m x k numbers) the vector x = sum c_i g_i is formed in f64, and its products
   * (x.x, x.g_0 .. x.g_(k-1)) are taken in canonical order: m (k + 1) products a node. `pieces` is one piece.
   */
  readonly refine: (
    dtype: number,
    inputs: Uint8Array[],
    vectors: Float64Array,
    pieces: Float64Array,
    nodes: Float64Array,
  ) => void

  /**
   * out = sum c_i g_i. `elementCounts` cuts the slice in consecutive parts; `coefficients` has k numbers a part. An input
   * whose coefficient is 0 is not read; if all are, the part becomes +0. `out` may be one of the inputs.
   */
  readonly combine: (
    dtype: number,
    resultDtype: number,
    inputs: Uint8Array[],
    elementCounts: Float64Array,
    coefficients: Float64Array,
    out: Uint8Array,
  ) => void

  /**
   * Element by element over all inputs, which have the length of `out`; `out` may be one of them, any other overlap is
   * refused. min, max: of floats NaN if there is one (stored as the canonical NaN), and -0 is less than +0. sum: of integers
   * only, modulo 2^bits. No bit depends on the order of the inputs.
   */
  readonly fold: (op: number, dtype: number, inputs: Uint8Array[], out: Uint8Array) => void

  /**
   * Quantises f32: writes the codes of input + residual, and what they leave over back into `residual`, which may be empty:
   * then there is none. `elementCounts` cuts the input in consecutive parts, each of which is cut in blocks of
   * `blockElementCount` (a power of two from 16 to 2048; the last one may be shorter). f16 and bf16 have a code an element,
   * rounded once, and nothing a block; numbers beyond their range become the largest there is. int8 has for each block a
   * scale (f32, max |x| / 127), then a code an element, round(x / scale), ties to even; a block in which something is not
   * finite is NaN. Codes lie anywhere, in the byte order of the machine.
   */
  readonly quantize: (
    format: number,
    blockElementCount: number,
    input: Uint8Array,
    elementCounts: Float64Array,
    residual: Uint8Array,
    codes: Uint8Array,
  ) => void

  /** The numbers (f32) for which codes stand. */
  readonly dequantize: (
    format: number,
    blockElementCount: number,
    codes: Uint8Array,
    elementCounts: Float64Array,
    out: Uint8Array,
  ) => void
}

/** The same off the calling thread, under names that end in Async. */
type AsyncKernels = {
  readonly [K in keyof Kernels as `${K}Async`]: (...args: Parameters<Kernels[K]>) => Promise<ReturnType<Kernels[K]>>
}

const ASYNC_NAMES = {
  reduce: 'reduceAsync',
  gram: 'gramAsync',
  refine: 'refineAsync',
  combine: 'combineAsync',
  fold: 'foldAsync',
  quantize: 'quantizeAsync',
  dequantize: 'dequantizeAsync',
} as const satisfies { readonly [K in keyof Kernels]: `${K}Async` }

/** Both forms of all kernels, each made from its name. */
export function kernelForms(
  sync: (name: keyof Kernels) => Kernels[keyof Kernels],
  async: (name: keyof Kernels) => AsyncKernels[keyof AsyncKernels],
): Kernels & AsyncKernels {
  const names = Object.keys(ASYNC_NAMES) as (keyof Kernels)[]
  const forms = names.flatMap((name) => [
    [name, sync(name)],
    [ASYNC_NAMES[name], async(name)],
  ])
  return Object.fromEntries(forms) as Kernels & AsyncKernels
}

/** Functions, not methods: each may be passed on alone. */
export interface Binding extends Kernels, AsyncKernels {
  /** Which implementation this is. The asynchronous forms of WebAssembly run on the calling thread. */
  readonly kind: 'native' | 'wasm'
  readonly abi: () => number
  /** Name of the instruction set in use: `scalar`, `avx2`, `avx512`, `neon`, `simd128`. */
  readonly isa: () => string
  /** Names of all instruction sets this CPU can run, scalar first. */
  readonly isas: () => string[]

  /** True if `input` has NaN or infinity in it; for f64 also if a segment's squared norm leaves the finite range. */
  readonly hasNonFinite: (dtype: number, input: Uint8Array, segmentElementCounts: Float64Array) => boolean

  /** How many tree nodes the cut pieces have together. */
  readonly nodeCount: (pieces: Float64Array) => number

  /**
   * Adds the nodes of one segment into its Gram matrix. `runs` has two numbers a run, [firstElement, elementCount]; the
   * runs cover the segment in ascending order, and `nodes` holds their nodes in the same order. Returns productCount numbers.
   */
  readonly gramFinish: (
    segmentElementCount: number,
    runs: Float64Array,
    nodes: Float64Array,
    productCount: number,
  ) => Float64Array

  /**
   * Coefficients of the count-weighted balanced tree for one segment, from its Gram matrix (k (k + 1) / 2 numbers).
   * Returns [0, orthogonality, squaredNormSum, c_0 .. c_(k-1)] as in `stats`, or [m, then m times (first, count, c_0 .. c_(k-1))] if m tree nodes cancel
   * so far that their vectors' products must be taken directly: call `refine` for them and come again with the answers
   * appended to `refinements` (for each node: first, count, then the k + 1 numbers of refine).
   */
  readonly coefficients: (
    dtype: number,
    weights: Float64Array,
    gram: Float64Array,
    refinements: Float64Array,
  ) => Float64Array

  /** Copies as many bytes as `to` has, of other memory, past the cache; absent where `to.set(from)` does it as well. */
  readonly copy?: (from: Uint8Array, to: Uint8Array) => void

  /**
   * Zeroed memory in which arrays are used where they are, at a multiple of 16, for good; absent where every array is used
   * where it is. It is detached when the memory that it is part of has to grow.
   */
  readonly allocate?: (byteLength: number) => Uint8Array
}
