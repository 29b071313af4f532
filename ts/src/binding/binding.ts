/**
 * The border to Rust: one contract, implemented by the native addon and by WebAssembly. Which of them computes is
 * decided where `#binding` is imported; no file outside this folder imports an implementation.
 *
 * Arguments and results are numbers, Uint8Arrays and Float64Arrays only. A Uint8Array has the bytes of elements of a
 * dtype, in the byte order of the machine, and begins at a multiple of the element's size. Lengths are exact: no array
 * may be longer than what is read from it or written to it. An array that is written must not overlap an input or
 * another array that is written, unless the function says so. Float64Arrays that are only read may overlap anything:
 * they are read before anything is written.
 *
 * The byte-level entry points of adasum-core check lengths, alignment, overlap and codes. They throw errors whose
 * `code` is ERR_ARGUMENT, and have then written nothing. Asynchronous forms of the addon run on the libuv pool; the
 * memory of their arguments must stay attached and untouched until the promise settles.
 *
 * reduce, gram, refine and combine compute in f64; what they store in another dtype is rounded once, to nearest, ties
 * to even. Every float that is stored as NaN is the canonical NaN of its dtype. Equal inputs give equal bits with every
 * implementation, instruction set and number of threads.
 *
 * Words of this contract, for k inputs:
 *
 * - A *vector* consists of *segments* (layers). A *slice* is a range of consecutive elements of a vector. Every input,
 *   and the output, holds the whole slice.
 * - *pieces* are the parts of a slice that belong to different segments, in order: a Float64Array with three numbers a
 *   piece, [segmentElementCount, firstElement, elementCount]. firstElement counts from the segment's start and is a
 *   multiple of BLOCK_ELEMENTS; so is elementCount, unless the piece reaches the segment's end. A piece is whole if it
 *   covers its segment, otherwise it is cut.
 * - A *run* is the same thing seen from the segment: a range of consecutive elements of one segment, cut at blocks.
 * - A *Gram matrix* holds the products of the k inputs with each other in one segment: k (k + 1) / 2 doubles, the upper
 *   triangle, row by row.
 * - *nodes* are partial sums of such products over parts of a segment: the nodes of a fixed binary tree over the
 *   segment's blocks (crates/adasum-core/src/blocks.rs). A cut piece has one or more of them, a whole piece has its
 *   root. For a Gram matrix each node holds k (k + 1) / 2 doubles.
 * - To *refine* is to take dot products directly for a vector whose terms cancel so far that the Gram matrix has no
 *   digits left for it (crates/adasum-core/src/coefficients/mod.rs).
 */

/** The contract's version, which `abi()` of a binding must return. It grows with every change of the contract. */
export const ABI = 11

/** Elements in a block of the canonical order of additions; slices are cut at segment or block boundaries only. */
export const BLOCK_ELEMENTS = 2048

/** Codes of the dtypes that can be reduced, and folded. The half formats are for storage only. */
export const DTYPE_CODES = { f32: 0, f64: 1, f16: 2, bf16: 3 } as const
/** Codes of the dtypes that can be folded only. */
export const INTEGER_CODES = { u8: 5, i32: 9, u32: 10, i64: 11, u64: 12 } as const
/** Codes of the reduction operators. */
export const OP_CODES = { sum: 0, average: 1, adasum: 2 } as const
/** Codes of the operators that fold elements without coefficients. */
export const FOLD_OP_CODES = { sum: 0, min: 3, max: 4 } as const
/** Codes of the rules by which `coefficients` combines two vectors. */
export const PAIR_RULE_CODES = { adasum: 0, damped: 1, adascale: 2 } as const
/** Codes of the formats in which f32 travels in fewer bytes. */
export const FORMAT_CODES = { f16: 2, bf16: 3, int8: 4 } as const
/** Codes of the rules by which optimizers step. */
export const STEP_RULE_CODES = { sgd: 0, momentum: 1, adam: 2, lamb: 3, muon: 4 } as const
/** Numbers in a part's row of factors, by rule. */
export const STEP_FACTOR_COUNTS = { sgd: 5, momentum: 8, adam: 12, lamb: 15, muon: 6 } as const
/** Bytes of each code, and of the scale that precedes the codes of a block. */
export const FORMAT_WIDTHS = {
  f16: { scale: 0, code: 2 },
  bf16: { scale: 0, code: 2 },
  int8: { scale: 4, code: 1 },
} as const

/**
 * The functions that work on vectors. Each has an asynchronous form, too: one more is a signature here and a line in
 * ASYNC_NAMES.
 */
export interface Kernels {
  /**
   * Reduces a slice. sum and average reduce all of it. adasum reduces the whole pieces, one after the other, each by
   * gram, coefficients, refinement if it is needed, and combine; for cut pieces it writes their nodes only, in order,
   * and leaves `out` as it is there.
   *
   * @param op - a code of OP_CODES
   * @param dtype - that of the inputs, a code of DTYPE_CODES
   * @param resultDtype - that of `out`: `dtype`, or f32 if `dtype` is f16 or bf16
   * @param inputs - 1 to 4096 arrays, each with the whole slice
   * @param weights - one number an input, from 0 to 2^69: how many ranks' vectors, or samples, the input stands for. An
   *   input of weight 0 takes no part and is not read. adasum combines subtrees in proportion to their weights, average
   *   multiplies each input with its weight over the sum of the weights, and sum with 1
   * @param out - as many elements as the slice has. It may be exactly one of the inputs
   * @param nodes - with adasum, the nodes of all cut pieces: `nodeCount(pieces)` times k (k + 1) / 2 doubles. Not
   *   touched otherwise
   * @param stats - with adasum, 2 + k doubles a piece: the orthogonality, |result|^2 over the sum of the inputs'
   *   squared norms (1 if all inputs are zero, NaN if the Gram matrix is not finite); the sum of the squared norms of
   *   the inputs that take part; then the k coefficients. If it is that much longer, k (k + 1) / 2 more a piece: the upper
   *   triangle of the Gram matrix, row by row, 0 where an input takes no part. All NaN for cut pieces. Not touched otherwise
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

  /**
   * Writes the nodes of the Gram matrices of every piece, whole or cut, in order: k (k + 1) / 2 doubles a node. A whole
   * piece has one node, the root.
   */
  readonly gram: (dtype: number, inputs: Uint8Array[], pieces: Float64Array, nodes: Float64Array) => void

  /**
   * Refines m vectors x = sum c_i g_i, each given by its k coefficients: forms x in f64, and takes its products x.x,
   * x.g_0 .. x.g_(k-1), added in the order of the tree.
   *
   * @param vectors - m times k coefficients. An input whose coefficient is 0 takes no part in x
   * @param pieces - exactly one piece
   * @param nodes - m (k + 1) doubles a node of the piece
   */
  readonly refine: (
    dtype: number,
    inputs: Uint8Array[],
    vectors: Float64Array,
    pieces: Float64Array,
    nodes: Float64Array,
  ) => void

  /**
   * out = sum c_i g_i, added in the order of the inputs. An input whose coefficient is 0 is not read; if all
   * coefficients are 0, the part becomes +0.
   *
   * @param resultDtype - that of `out`: `dtype`, or f32 if `dtype` is f16 or bf16
   * @param elementCounts - the lengths of the consecutive parts of which the slice consists
   * @param coefficients - k numbers a part
   * @param out - as many elements as the slice has. It may be exactly one of the inputs
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
   * Joins all inputs element by element; no bit depends on the order of the inputs. min and max of floats are NaN if
   * one of the elements is, and -0 is less than +0. sum is for integers only, modulo 2^bits.
   *
   * @param op - a code of FOLD_OP_CODES
   * @param dtype - a code of DTYPE_CODES or INTEGER_CODES
   * @param inputs - arrays of the length of `out`
   * @param out - it may be exactly one of the inputs
   */
  readonly fold: (op: number, dtype: number, inputs: Uint8Array[], out: Uint8Array) => void

  /**
   * Quantises f32: writes the codes of input + residual, and replaces the residual by the error that the codes leave.
   *
   * f16 and bf16 have one code for each element, rounded once, and no scale; finite numbers beyond the range become the
   * largest finite number. int8 has for each block a scale (f32, max |x| / 127), then one code for each element,
   * round(x / scale), ties to even; a block with an element that is not finite is NaN as a whole. All arithmetic here
   * is in f32.
   *
   * @param format - a code of FORMAT_CODES
   * @param blockElementCount - elements of a block: a power of two from 16 to 2048
   * @param input - f32
   * @param elementCounts - the lengths of the consecutive parts of which the input consists. Each part is cut into
   *   blocks from its own start; its last block may be shorter
   * @param residual - f32 and as long as the input, read and written; or empty: then there is none
   * @param codes - for each block its scale and its codes, of the widths in FORMAT_WIDTHS, without gaps. They need not
   *   be aligned
   */
  readonly quantize: (
    format: number,
    blockElementCount: number,
    input: Uint8Array,
    elementCounts: Float64Array,
    residual: Uint8Array,
    codes: Uint8Array,
  ) => void

  /**
   * Writes the numbers that codes stand for. The arguments are those of `quantize`.
   *
   * @param out - f32, as many elements as `elementCounts` add up to
   */
  readonly dequantize: (
    format: number,
    blockElementCount: number,
    codes: Uint8Array,
    elementCounts: Float64Array,
    out: Uint8Array,
  ) => void

  /**
   * One step of an optimizer, in place. All arithmetic is in `dtype`, operation by operation, each rounded:
   *
   *     every rule   g = clamp(gradientScale gradient, +-clipValue) + l2 w;  w = keep w;  then
   *     sgd          w -= rate g
   *     momentum     first = momentum first + undamped g;  w -= rate (nesterov ? g + momentum first : first)
   *     adam         first = beta1 first + taken1 g;  second = beta2 second + taken2 g g
   *                  w -= ((rate / correction1) first) / (sqrt(second) / rootCorrection2 + epsilon)
   *     lamb         first and second as in adam
   *                  u = ((1 / correction1) first) / ((1 / rootCorrection2) sqrt(second) + epsilon) + decay w
   *                  w -= (rate ratio) u; the ratio is 1 or, if it adapts, min(|w| / |u|, most), with 1 in place of the
   *                  quotient if a norm is zero
   *     muon         g = clamp(gradientScale gradient, +-clipValue), without w;  first = momentum first + taken g
   *                  w = ofMomentum first + ofGradient g: no weights but a direction, which `orthogonalize` takes
   *
   * @param rule - a code of STEP_RULE_CODES
   * @param dtype - f32 or f64, of all arrays of bytes
   * @param elementCounts - the lengths of the consecutive parts; with lamb each is a segment
   * @param factors - a row a part: gradientScale, clipValue, rate, l2, keep; momentum adds momentum, undamped, nesterov
   *   (0 or 1); adam adds beta1, taken1, beta2, taken2, epsilon, correction1, rootCorrection2; lamb adds to these decay,
   *   adapts (0 or 1), most. muon has gradientScale, clipValue, momentum, taken, ofMomentum, ofGradient alone
   * @param weights - with muon written only
   * @param first - the momentum or first moment; empty for sgd
   * @param second - the second moment; empty for sgd, momentum and muon
   */
  readonly step: (
    rule: number,
    dtype: number,
    gradient: Uint8Array,
    elementCounts: Float64Array,
    factors: Float64Array,
    weights: Uint8Array,
    first: Uint8Array,
    second: Uint8Array,
  ) => void

  /**
   * Makes a matrix nearly orthogonal, in place, by Newton-Schulz iterations on X = matrix / max(|matrix| + addedToNorm,
   * leastNorm), where |matrix| is the root of the sum of all squares:
   *
   *     A = X X^T;  X = a X + (b A + c A A) X
   *
   * or the same on the transpose, if there are more rows than columns. The norm is computed in f64 and rounded once, the
   * rest in `dtype`: a product of matrices adds its terms in order, beginning with zero, each rounded. A matrix whose
   * divisor is zero is left as it is.
   *
   * @param dtype - f32 or f64
   * @param factors - addedToNorm, leastNorm, then a, b and c of each iteration, of which there may be 100
   * @param matrix - its rows, one behind the other
   */
  readonly orthogonalize: (
    dtype: number,
    rows: number,
    columns: number,
    factors: Float64Array,
    matrix: Uint8Array,
  ) => void
}

/** The same functions off the calling thread, under names that end in Async. */
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
  step: 'stepAsync',
  orthogonalize: 'orthogonalizeAsync',
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

/** The members are functions, not methods: each may be passed on without the binding. */
export interface Binding extends Kernels, AsyncKernels {
  /** Which implementation this is. The asynchronous forms of WebAssembly run on the calling thread. */
  readonly kind: 'native' | 'wasm'
  /** ABI of the sources that the implementation was built from. */
  readonly abi: () => number
  /** Name of the instruction set in use: `scalar`, `avx2`, `avx512`, `neon`, `simd128`. */
  readonly isa: () => string
  /** Names of all instruction sets this CPU can run, scalar first. */
  readonly isas: () => string[]

  /**
   * True if `input` has NaN or infinity in it; for f64 also if a segment's squared norm is not finite.
   *
   * @param segmentElementCounts - the lengths of the consecutive segments of which the input consists
   */
  readonly hasNonFinite: (dtype: number, input: Uint8Array, segmentElementCounts: Float64Array) => boolean

  /** How many tree nodes the cut pieces have together. */
  readonly nodeCount: (pieces: Float64Array) => number

  /**
   * Adds the nodes of one segment's runs, which several ranks have computed, up to the root. It adds Gram matrices and
   * the products of `refine` alike.
   *
   * @param runs - two numbers a run, [firstElement, elementCount]; the runs cover the segment in ascending order,
   *   without gaps
   * @param nodes - the nodes of all runs, in the same order
   * @param productCount - doubles in a node
   * @returns `productCount` numbers
   */
  readonly gramFinish: (
    segmentElementCount: number,
    runs: Float64Array,
    nodes: Float64Array,
    productCount: number,
  ) => Float64Array

  /**
   * The coefficients of one segment, from its Gram matrix. The inputs are the leaves of a balanced tree, whose nodes
   * combine their children by a rule, in proportion to the weights. (This tree is over the inputs; the one of `gram` is
   * over blocks.) For children a and b of weights m and k the rules are, where d = (m - k) / (m + k):
   *
   *     adasum     (1 - m / (m + k) a.b / |a|^2) a  +  (1 - k / (m + k) a.b / |b|^2) b
   *     damped     the same with kappa times what is subtracted from 1
   *     adascale   (1 + d cos) / (1 + cos) a  +  (1 - d cos) / (1 + cos) b, the cosine being at least 1 / cap - 1
   *
   * @param rule - a code of PAIR_RULE_CODES
   * @param parameter - kappa, from 0 to 2; cap, from 1 to 100; 0 for adasum
   * @param dtype - that of the inputs, which decides when a tree node must be refined
   * @param weights - as in `reduce`
   * @param gram - k (k + 1) / 2 numbers
   * @param refinements - empty at first; then one row for each refined tree node: first, count, and the k + 1 products
   *   of `refine`
   * @returns [0, orthogonality, squaredNormSum, c_0 .. c_(k-1)], as in `stats`; or, if m tree nodes must be refined
   *   first, m and m rows [first, count, c_0 .. c_(k-1)]: the caller refines the vectors with these coefficients,
   *   appends a row for each to `refinements`, and calls again. first and count name the node by its inputs
   */
  readonly coefficients: (
    rule: number,
    parameter: number,
    dtype: number,
    weights: Float64Array,
    gram: Float64Array,
    refinements: Float64Array,
  ) => Float64Array

  /** CRC-32 as in zlib and Ethernet. Absent where the platform's own is as fast. */
  readonly crc32?: (bytes: Uint8Array) => number

  /**
   * Copies as many bytes as `to` has from other memory, past the cache where the CPU can. Absent if `to.set(from)` is
   * as good.
   */
  readonly copy?: (from: Uint8Array, to: Uint8Array) => void

  /**
   * Allocates zeroed memory, at a multiple of 16, whose arrays the kernels use in place, without copies. It is never
   * freed, and it is detached when the memory that it is part of has to grow. Absent if the kernels use every array in
   * place.
   */
  readonly allocate?: (byteLength: number) => Uint8Array
}
