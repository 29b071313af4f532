/**
 * A handshake with an end that says what it likes. Choices: whether it dials or accepts, and whether it knows the secret. The
 * rest is what it says.
 */
import type { Pipe } from '../../../ts/src/transport/transport.ts'
import { PipeEnded } from '../../../ts/src/wire/exact-reader.ts'
import { acceptHandshake, dialHandshake } from '../../../ts/src/wire/handshake.ts'
import * as format from '../../../ts/src/wire/handshake-format.ts'
import { acceptor, dialler, runId } from '../../wire/_handshakes.ts'
import { connectPair } from '../_connect.ts'
import { foreignRefusal, inputOf, ensure, type Target } from '../_target.ts'

const SECRET = acceptor().secret
const NONCE = new Uint8Array(format.NONCE_BYTE_LENGTH).fill(5)
const { HELLO_BYTE_LENGTH, PREFIX_BYTE_LENGTH, PROOF_BYTE_LENGTH } = format

const DIALLER = Buffer.concat([
  format.encodeHello({ ...dialler(), role: 'dialler', nonce: NONCE }),
  new Uint8Array(PROOF_BYTE_LENGTH),
])
const HELLO = { role: 'acceptor', purpose: 'peer', rank: 2, peerRank: 1, size: 4, runId, nonce: NONCE } as const
const ACCEPTOR = Buffer.concat([
  format.encodeNotice('ok'),
  format.encodeHello(HELLO),
  new Uint8Array(format.VERDICT_BYTE_LENGTH),
])

/** The other end of a pipe: collects what comes. */
class Listening {
  bytes: Uint8Array = new Uint8Array(0)
  readonly #pipe: Pipe
  readonly #memory = new Uint8Array(256)
  #awaited: { byteLength: number; resolve: () => void } | undefined
  #hasEnded = false

  constructor(pipe: Pipe) {
    this.#pipe = pipe
    pipe.setSink({
      target: () => this.#memory,
      onFilled: (byteLength) => {
        this.bytes = Buffer.concat([this.bytes, this.#memory.subarray(0, byteLength)])
        this.#settle()
      },
      onEnd: () => {
        this.#hasEnded = true
        this.#settle()
      },
    })
  }

  /** Until so many bytes have come, or no more will. */
  has(byteLength: number): Promise<void> {
    return new Promise((resolve) => {
      this.#awaited = { byteLength, resolve }
      this.#settle()
    })
  }

  #settle(): void {
    if (this.#awaited && (this.#hasEnded || this.bytes.length >= this.#awaited.byteLength)) this.#awaited.resolve()
  }

  end(bytes: Uint8Array): void {
    this.#pipe.write(bytes)
    this.#pipe.end()
  }
}

/** Says the hello, waits for the answer, and gives the proof. */
/** What both ends have seen of a connection that is not encrypted. */
const seen = (diallerHello: Uint8Array, acceptorHello: Uint8Array): format.Transcript => ({
  ...{ diallerHello, acceptorHello },
  channelBinding: new Uint8Array(),
})

async function dialLying(pipe: Pipe, words: Uint8Array, knowsSecret: boolean): Promise<void> {
  const heard = new Listening(pipe)
  const hello = words.subarray(0, HELLO_BYTE_LENGTH)
  pipe.write(hello)
  const answerByteLength = PREFIX_BYTE_LENGTH + HELLO_BYTE_LENGTH
  if (hello.length === HELLO_BYTE_LENGTH) await heard.has(answerByteLength)
  const theirs = heard.bytes.subarray(PREFIX_BYTE_LENGTH, answerByteLength)
  const proof = knowsSecret ? format.diallerProof(SECRET, seen(hello, theirs)) : new Uint8Array(0)
  heard.end(Buffer.concat([proof, words.subarray(HELLO_BYTE_LENGTH + proof.length)]))
}

async function acceptLying(pipe: Pipe, words: Uint8Array, knowsSecret: boolean): Promise<void> {
  const heard = new Listening(pipe)
  const end = PREFIX_BYTE_LENGTH + HELLO_BYTE_LENGTH
  await heard.has(HELLO_BYTE_LENGTH)
  pipe.write(words.subarray(0, end))
  if (words.length > end) await heard.has(HELLO_BYTE_LENGTH + PROOF_BYTE_LENGTH)
  const status = format.decodeStatus(words[end] ?? -1)
  const hello = words.subarray(PREFIX_BYTE_LENGTH, end)
  const theirs = heard.bytes.subarray(0, HELLO_BYTE_LENGTH)
  const verdict =
    knowsSecret && status !== undefined ? format.encodeVerdict(SECRET, status, seen(theirs, hello)) : new Uint8Array(0)
  heard.end(Buffer.concat([verdict, words.subarray(end + verdict.length)]))
}

export const handshakes: Target = {
  name: 'handshakes',
  share: 1,
  largest: 256,
  seeds: () => [inputOf([0, 1], DIALLER), inputOf([1, 1], ACCEPTOR)],
  async run(input) {
    const [side = 0, secret = 0] = input
    const [words, knowsSecret, dials] = [input.subarray(2), secret % 2 === 1, side % 2 === 0]
    const [dialled, accepted] = await connectPair({ maxChunkByteLength: 80 })
    const lying = dials ? dialLying(dialled, words, knowsSecret) : acceptLying(accepted, words, knowsSecret)
    try {
      if (dials) {
        const { peerRank, groupId } = await acceptHandshake(accepted, acceptor())
        ensure(peerRank === dialler().rank, () => `it lets rank ${peerRank} in, which says that it dials itself`)
        ensure(/^[0-9a-f]{16}$/.test(groupId), () => `it lets a rank in for the group ${groupId}`)
      } else await dialHandshake(dialled, dialler())
      ensure(knowsSecret, 'it trusts an end that does not know the secret')
      return true
    } catch (error) {
      return foreignRefusal(error, (found) => found instanceof PipeEnded)
    } finally {
      await lying
      dialled.destroy()
      accepted.destroy()
      await Promise.all([dialled.closed, accepted.closed])
    }
  },
}
