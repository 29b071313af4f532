import { AgreedFailure } from '../group/failure.ts'
import type { ScratchPool } from '../tensor/scratch.ts'
import type { Scratch } from './job.ts'

/** Runs a collective with memory that goes back to the pool at its end. */
export async function withScratch<T>(pool: ScratchPool, run: (scratch: Scratch) => Promise<T>): Promise<T> {
  const held: Uint8Array[] = []
  const scratch = (byteLength: number): Uint8Array => {
    const bytes = pool.acquire(byteLength)
    held.push(bytes)
    return bytes
  }
  try {
    return await run(scratch)
  } catch (error) {
    // After any other failure it is not given back: a connection may still be filling it.
    if (!(error instanceof AgreedFailure)) held.length = 0
    throw error
  } finally {
    for (const bytes of held) pool.release(bytes)
  }
}
