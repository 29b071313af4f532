import { AdasumError } from '../errors.ts'
import { displayText } from './json-reader.ts'
import { type FileTensor, storedTensors, type TensorInputs } from './tensors.ts'

/**
 * Copies stored arrays into those of a program, by name. Nothing is written before everything has been checked.
 *
 * @param targets - arrays of the dtypes and lengths that were saved; stored arrays that are not among them are left out
 * @throws AdasumError ERR_MISMATCH for a name that is missing, or another dtype, length or shape; ERR_ARGUMENT for what is no
 *   array
 */
export function restoreArrays(stored: ReadonlyMap<string, FileTensor>, targets: TensorInputs): void {
  const copies = storedTensors(targets).map(({ name, dtype, shape, bytes }) => {
    const found = stored.get(name)
    const [mine, theirs] = [textOf({ dtype, shape }), found === undefined ? 'missing' : textOf(found)]
    if (found === undefined || (mine !== theirs && !isFlat(shape, found, dtype)))
      throw new AdasumError(
        'ERR_MISMATCH',
        `the array ${displayText(name)} is ${mine} in the program and ${theirs} in the file. Load what this program saved.`,
      )
    return { bytes, data: found.data }
  })
  for (const { bytes, data } of copies) bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
}

const textOf = ({ dtype, shape }: Pick<FileTensor, 'dtype' | 'shape'>): string => `${dtype}[${shape.join(', ')}]`

/** An array without a shape takes elements of any shape. */
function isFlat(shape: readonly number[], found: FileTensor, dtype: string): boolean {
  return shape.length === 1 && shape[0] === found.data.length && found.dtype === dtype
}
