// What bench/webgpu/main.mjs runs in the page.

const ENTRIES = ['/wasm/browser/index.js', '/wasm/browser/gpu.js']

/**
 * @typedef {object} Figures
 * @property {string} adapter
 * @property {number} k
 * @property {number} length
 * @property {number} cpuMs
 * @property {number} uploadedMs
 * @property {number} residentMs
 * @property {number} gatheredMs
 * @property {number} error
 *
 * @typedef {import('../../ts/src/index.browser.ts')} Package
 * @typedef {import('../../ts/src/gpu/index.ts')} Gpu
 * @typedef {import('../../ts/src/gpu/web/webgpu.ts').WebGpuDevice} Device
 */

const [{ adasum }, { BufferReducer, GpuDevice, GpuReducer }] = /** @type {[Package, Gpu]} */ (
  await Promise.all(ENTRIES.map((entry) => import(entry)))
)
const { navigator } = /** @type {{ navigator: any }} */ (/** @type {unknown} */ (globalThis))
const adapter = await navigator.gpu.requestAdapter()
const page = /** @type {Device} */ (
  await adapter.requestDevice({ requiredLimits: { maxBufferSize: adapter.limits.maxBufferSize } })
)
const device = await GpuDevice.from(page)
// STORAGE, COPY_SRC and COPY_DST
const USAGE = 0x80 | 0x4 | 0x8

/**
 * @param {number} k
 * @param {number} length
 * @param {number} rounds
 * @returns {Promise<Figures>}
 */
export async function measure(k, length, rounds) {
  const inputs = Array.from({ length: k }, (_, i) =>
    Float32Array.from({ length }, (_, e) => Math.sin(e * (i + 1)) + 0.5),
  )
  const buffers = [...inputs, new Float32Array(length)].map((input) => {
    const buffer = page.createBuffer({ size: input.byteLength, usage: USAGE })
    page.queue.writeBuffer(buffer, 0, input)
    return buffer
  })
  const out = buffers.splice(k)
  const options = { device, inputs: k, segments: [length] }
  const slots = await GpuReducer.create({ device, slots: k, segments: [length] })
  const inPlace = await BufferReducer.create(options)
  const gathered = await BufferReducer.create({ ...options, inPlaceBytes: Infinity })
  const lists = buffers.map((buffer) => [buffer])
  const result = new Float32Array(length)
  let byCpu = result
  const runs = [
    async () => {
      byCpu = (await adasum(inputs)).result
    },
    async () => {
      for (const [slot, input] of inputs.entries()) await slots.write(slot, input)
      await slots.reduce('adasum')
      await slots.read(result)
    },
    () => inPlace.reduce('adasum', lists, out),
    () => gathered.reduce('adasum', lists, out),
  ]
  const seconds = await inTurns(runs, rounds)
  await Promise.all([slots.close(), inPlace.close(), gathered.close()])
  for (const buffer of [...buffers, ...out]) buffer.destroy()
  const [cpuMs = 0, uploadedMs = 0, residentMs = 0, gatheredMs = 0] = seconds
  const error = relativeError(result, byCpu)
  return { adapter: device.adapter.name, k, length, cpuMs, uploadedMs, residentMs, gatheredMs, error }
}

/**
 * Medians of milliseconds; the first round, in which shaders are compiled, does not count.
 *
 * @param {(() => Promise<unknown>)[]} runs
 * @param {number} rounds
 */
async function inTurns(runs, rounds) {
  /** @type {number[][]} */
  const all = runs.map(() => [])
  for (let round = 0; round <= rounds; round++) {
    for (const [index, run] of runs.entries()) {
      const begin = performance.now()
      await run()
      // What was submitted may still be at work.
      await /** @type {any} */ (page.queue).onSubmittedWorkDone()
      if (round > 0) all[index]?.push(performance.now() - begin)
    }
  }
  return all.map((times) => times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)])
}

/**
 * @param {Float32Array} ours
 * @param {Float32Array} theirs
 */
function relativeError(ours, theirs) {
  let [difference, norm] = [0, 0]
  for (const [e, x] of theirs.entries()) {
    difference += ((ours[e] ?? NaN) - x) ** 2
    norm += x ** 2
  }
  return Math.sqrt(difference / norm)
}
