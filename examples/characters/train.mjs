/**
 * Several processes train one model on a text, each on a part of its own:
 *
 *     npx adasum run -n 4 examples/characters/train.mjs
 *
 * Every rank takes a step of Adam by itself, and then the changes of all are combined by Adasum.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { jit, numpy as np, tree, valueAndGrad } from '@jax-js/jax'
import { connect } from 'adasum'
import { allReduce, broadcast, DistributedOptimizer } from 'adasum/jax'
import { adam } from './adam.mjs'
import { debianText } from './debian-text.mjs'
import { CONTEXT, logitsOf, lossOf, makeParams } from './model.mjs'
import { HELP, readOptions } from './options.mjs'

const FOLDER = fileURLToPath(new URL('../../.tools/characters/', import.meta.url))
/** Steps from one line of progress to the next. */
const REPORT_EVERY = 10
const TEMPERATURE = 0.7

try {
  const options = readOptions(process.argv.slice(2))
  if (!options.help) await main(options)
  else if ((process.env.ADASUM_RANK ?? '0') === '0') process.stdout.write(HELP)
} catch (error) {
  process.stderr.write(`examples/characters: ${error.message}\n`)
  // Not only the exit code: the connections of a world that waits for this rank would keep the process alive.
  process.exit(1)
}

async function main({ text: path, steps, batch, rate, sample }) {
  const comm = await connect()
  const say = (line) => comm.rank === 0 && process.stdout.write(`${line}\n`)
  const text = await sharedText(comm, path)
  const characters = [...new Set(text)].sort()
  const { begin, end } = comm.shard(text.length)
  if (end - begin <= CONTEXT)
    throw new Error(`the text has ${text.length} characters; each rank needs more than ${CONTEXT}. Pass a longer one.`)
  const codes = new Map(characters.map((character, code) => [character, code]))
  const part = Int32Array.from(text.slice(begin, end), (character) => codes.get(character))

  const lossAndGradients = jit(valueAndGrad(lossOf))
  const optimizer = new DistributedOptimizer(adam(rate), comm, { op: 'adasum' })
  // Each rank draws other numbers; all begin with those of rank 0.
  let params = await broadcast(makeParams(characters.length, comm.rank), comm)
  const weightCount = tree.leaves(params).reduce((total, { size }) => total + size, 0)
  say(`${text.length} characters, ${characters.length} different ones; ${weightCount} weights, ${comm.size} ranks`)

  const next = randomNumbers(comm.rank + 1)
  let start = performance.now()
  for (let step = 1; step <= steps; step++) {
    const [inputs, targets] = piecesOf(part, batch, next)
    const [loss, gradients] = lossAndGradients(tree.ref(params), inputs, targets)
    params = await optimizer.step(gradients, params)
    if (step !== 1 && step % REPORT_EVERY !== 0 && step !== steps) loss.dispose()
    else {
      const { result } = await allReduce({ loss }, comm, { op: 'average' })
      const trained = (step === 1 ? 1 : REPORT_EVERY) * batch * CONTEXT * comm.size
      const perSecond = Math.round((1000 * trained) / (performance.now() - start))
      say(`step ${step} of ${steps}   loss ${result.loss.item().toFixed(3)}   ${perSecond} characters/s`)
      start = performance.now()
    }
  }
  params = await optimizer.flush(params)
  optimizer.dispose()
  await comm.close()
  if (comm.rank === 0) process.stdout.write(`\n${await write(params, characters, codes, sample, next)}\n`)
}

/** The text, which one rank reads and the others get. */
async function sharedText(comm, path) {
  const own = comm.rank === 0 ? new TextEncoder().encode(readText(path)) : new Uint8Array(0)
  const length = Float64Array.of(own.length)
  await comm.broadcast(length)
  if (length[0] === 0) throw new Error(`${path} is empty. Pass a text with --text FILE.`)
  const bytes = comm.rank === 0 ? own : new Uint8Array(length[0])
  await comm.broadcast(bytes)
  return new TextDecoder().decode(bytes)
}

function readText(path) {
  return path === undefined ? debianText(join(FOLDER)) : readFileSync(path, 'utf8')
}

/** Pieces of text from random places, and what follows each of their characters. */
function piecesOf(part, batch, next) {
  const [inputs, targets] = [new Int32Array(batch * CONTEXT), new Int32Array(batch * CONTEXT)]
  for (let row = 0; row < batch; row++) {
    const at = Math.floor(next() * (part.length - CONTEXT))
    inputs.set(part.subarray(at, at + CONTEXT), row * CONTEXT)
    targets.set(part.subarray(at + 1, at + CONTEXT + 1), row * CONTEXT)
  }
  return [inputs, targets].map((codes) => np.array(codes, { shape: [batch, CONTEXT] }))
}

/** Text by the model, from a line's beginning. Uses up the weights. */
async function write(params, characters, codes, count, next) {
  const logitsFor = jit(logitsOf)
  const written = [codes.get('\n') ?? 0]
  while (written.length <= count) {
    const seen = written.slice(-CONTEXT)
    const inputs = new Int32Array(CONTEXT)
    inputs.set(seen)
    const logits = await logitsFor(tree.ref(params), np.array(inputs, { shape: [1, CONTEXT] })).data()
    written.push(draw(logits.subarray((seen.length - 1) * characters.length, seen.length * characters.length), next))
  }
  tree.dispose(params)
  return written
    .slice(1)
    .map((code) => characters[code])
    .join('')
}

/** An index, drawn with the probabilities that logits give. */
function draw(logits, next) {
  const most = Math.max(...logits)
  const weights = Array.from(logits, (logit) => Math.exp((logit - most) / TEMPERATURE))
  let left = next() * weights.reduce((total, weight) => total + weight, 0)
  const index = weights.findIndex((weight) => (left -= weight) <= 0)
  return index < 0 ? weights.length - 1 : index
}

/** The same numbers from 0 to 1 in every run with this seed. */
function randomNumbers(seed) {
  let state = Math.imul(seed, 2654435761) >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}
