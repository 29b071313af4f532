/**
 * A rank that a peer sends anything. Choices: put checksums right; the call under way; whether the bytes come on the connection
 * that is for them. The call succeeds or throws, and nothing else happens to the process.
 */
import { loadBinding } from '#binding'
import { Communicator } from '../../../ts/src/communicator/communicator.ts'
import { AdasumError, reasonOf, systemCode } from '../../../ts/src/errors.ts'
import type { Pipe } from '../../../ts/src/transport/transport.ts'
import { WORLD_GROUP_ID } from '../../../ts/src/wire/handshake-format.ts'
import { World } from '../../../ts/src/world/world.ts'
import { connectPair } from '../_connect.ts'
import { foreignRefusal, inputOf, ensure, type Target } from '../_target.ts'
import { withChecksums } from './frames.ts'

type Call = (comm: Communicator) => Promise<unknown>
const CALLS: readonly Call[] = [
  (comm) => comm.barrier(),
  (comm) => comm.allReduce(new Float32Array(6).fill(1 + comm.rank), { op: 'adasum', segments: [4, 2] }),
  (comm) => comm.broadcast(new Float64Array(3).fill(comm.rank), { root: 1 }),
  (comm) => comm.allGather(new Uint8Array(2 + comm.rank), { uneven: true }),
  (comm) => comm.allReduce(new Float32Array(2), { op: 'average', weight: 2 }),
  (comm) => comm.reduceScatter(new Int32Array(4).fill(3), { op: 'max' }),
  (comm) => comm.join(),
]
/** The other end has gone by then, so a call that still waits would wait for ever. */
const TIMEOUT_MS = 30_000

interface Rank {
  readonly world: World
  readonly comm: Communicator
}

/** One of two ranks. @param onDialled - gets the other end of each connection that it opens to the other rank */
function makeRank(rank: number, onDialled: (accepted: Pipe) => void): Rank {
  const dial = async (): Promise<Pipe> => {
    const [dialled, accepted] = await connectPair()
    onDialled(accepted)
    return dialled
  }
  const routes = [0, 1].map((peer) => ({ machine: 0, address: `memory:${peer}`, dial }))
  const world = new World({ rank, binding: loadBinding(), routes, release: async () => undefined })
  return { world, comm: new Communicator(world, world.openRoot({ timeoutMs: TIMEOUT_MS })) }
}

/** What rank 1 sends rank 0 in a call that succeeds. */
async function record(call: Call): Promise<Uint8Array> {
  const sent: Uint8Array[] = []
  const ranks: Rank[] = []
  ranks[0] = makeRank(0, (accepted) => {
    const write = accepted.write.bind(accepted)
    accepted.write = (bytes, done) => {
      sent.push(Uint8Array.from(bytes))
      write(bytes, done)
    }
    ranks[1]!.world.connections.accept(0, WORLD_GROUP_ID, accepted)
  })
  ranks[1] = makeRank(1, (accepted) => ranks[0]!.world.connections.accept(1, WORLD_GROUP_ID, accepted))
  await Promise.all(ranks.map(({ comm }) => call(comm)))
  await Promise.all(ranks.map(({ comm }) => comm.close()))
  return Buffer.concat(sent)
}

/** Reads and forgets. */
function drain(pipe: Pipe): void {
  const waste = new Uint8Array(4096)
  pipe.setSink({ target: () => waste, onFilled: () => undefined, onEnd: () => pipe.destroy() })
}

export const links: Target = {
  name: 'links',
  share: 0.5,
  largest: 2048,
  seeds: async () => {
    const streams = await Promise.all(CALLS.map(record))
    return streams.map((stream, call) => inputOf([1, call, 0], stream))
  },
  async run(input) {
    const [repairs = 0, call = 0, way = 0] = input
    const content = input.subarray(3)
    const stream = repairs % 2 === 1 ? withChecksums(content) : Uint8Array.from(content)
    const pipes: Pipe[] = []
    const say = (pipe: Pipe, words: Uint8Array): void => {
      pipes.push(pipe)
      drain(pipe)
      if (words.length > 0) pipe.write(words)
      pipe.end()
    }
    const nothing = new Uint8Array(0)
    const { world, comm } = makeRank(0, (accepted) => say(accepted, way % 2 === 0 ? stream : nothing))
    const [dialled, accepted] = await connectPair()
    world.connections.accept(1, WORLD_GROUP_ID, accepted)
    if (way % 2 === 1) say(dialled, stream)
    else drain(dialled)
    pipes.push(dialled)
    const outcome = await settled(CALLS[call % CALLS.length]!(comm))
    for (const pipe of pipes) pipe.destroy()
    await comm.close()
    // A second call on what has failed throws as well.
    ensure(codeOf(outcome.error) !== 'ERR_TIMEOUT', 'a call waits for a peer that has gone')
    checkCauses(outcome.error)
    if (!outcome.isDone) ensure(!(await settled(comm.barrier())).isDone, 'a call succeeds after one has failed')
    return outcome.isDone || foreignRefusal(outcome.error)
  },
}

/** What breaks in our own code ends a link as a lost peer does; the causes tell. */
function checkCauses(error: unknown): void {
  for (let cause = error; cause !== undefined; cause = (cause as Error).cause) {
    const isKnown = cause instanceof AdasumError || systemCode(cause) !== undefined
    ensure(isKnown, () => `the cause behind ${reasonOf(error)} is ${reasonOf(cause)}`)
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof AdasumError ? error.code : undefined
}

async function settled(promise: Promise<unknown>): Promise<{ isDone: boolean; error?: unknown }> {
  try {
    await promise
    return { isDone: true }
  } catch (error) {
    return { isDone: false, error }
  }
}
