/**
 * Lines that grow, pale as they are and strong as running means, and a plane with points on it, on canvases that follow
 * their place's size and the page's colours.
 */

/** The upper one has room for the words of a mark, so that no line runs through them. */
const MARGIN = { left: 52, right: 10, top: 24, bottom: 24 }
/** More points than pixels are joined. */
const MOST_POINTS = 600
const MEAN_RATE = 0.06

/** The canvas's context, cleared, in CSS pixels. */
function contextOf(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas
  const scale = globalThis.devicePixelRatio
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale)
  if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale)
  const context = canvas.getContext('2d')
  context.setTransform(scale, 0, 0, scale, 0, 0)
  context.clearRect(0, 0, width, height)
  return { context, width, height }
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()

/**
 * @param {HTMLCanvasElement} canvas
 * @param {{ colours: string[], stepCount: number, axisOf: (values: number[]) => import('./scale.mjs').Axis }} options names
 *   of the page's colours, the range of the steps, and the axis for all values so far
 */
export function lineChart(canvas, { colours, stepCount, axisOf }) {
  const series = colours.map(() => [])
  /** @param {{ step: number, words: string }} [mark] a step that has a meaning */
  const draw = (mark) => {
    const { context, width, height } = contextOf(canvas)
    const [right, bottom] = [width - MARGIN.right, height - MARGIN.bottom]
    const axis = axisOf(series.flat())
    const x = (step) => MARGIN.left + (step / stepCount) * (right - MARGIN.left)
    const y = (value) => bottom - axis.shareOf(value) * (bottom - MARGIN.top)
    drawAxes(context, { x, y, right, bottom, stepCount, axis })
    if (mark !== undefined) drawMark(context, { at: x(mark.step), words: mark.words, right, bottom })
    const line = (values, i, opacity) => {
      context.strokeStyle = colour(colours[i])
      context.globalAlpha = opacity
      context.beginPath()
      const stride = Math.max(1, Math.ceil(values.length / MOST_POINTS))
      for (let at = 0; at < values.length && Number.isFinite(values[at]); at += stride)
        context.lineTo(x(at + 1), y(values[at]))
      context.stroke()
    }
    series.forEach((values, i) => line(values, i, 0.2))
    context.lineWidth = 2.25
    series.forEach((values, i) => line(runningMean(values), i, 1))
  }
  return { draw, add: (...values) => values.forEach((value, i) => series[i].push(value)), clear: () => series.forEach((values) => (values.length = 0)) } // prettier-ignore
}

/** A mean of the last values, the newer the more. */
export function runningMean(values) {
  let mean = values[0]
  return values.map((value) => (mean += (value - mean) * MEAN_RATE))
}

function drawAxes(context, { x, y, right, bottom, stepCount, axis }) {
  context.font = '12px system-ui, sans-serif'
  context.fillStyle = colour('--faint')
  context.strokeStyle = colour('--rule')
  context.lineWidth = 1
  context.textAlign = 'right'
  context.textBaseline = 'middle'
  for (const value of axis.ticks) {
    context.beginPath()
    context.moveTo(MARGIN.left, Math.round(y(value)) + 0.5)
    context.lineTo(right, Math.round(y(value)) + 0.5)
    context.stroke()
    context.fillText(axis.format(value), MARGIN.left - 6, y(value))
  }
  context.textBaseline = 'top'
  for (const step of [0, stepCount / 2, stepCount]) {
    context.textAlign = step === 0 ? 'left' : step === stepCount ? 'right' : 'center'
    context.fillText(step === stepCount ? `step ${step}` : `${step}`, x(step), bottom + 7)
  }
}

/** A line across all values, its words above the plot. */
function drawMark(context, { at, words, right, bottom }) {
  context.strokeStyle = colour('--warning')
  context.fillStyle = colour('--warning')
  context.setLineDash([5, 4])
  context.beginPath()
  context.moveTo(at, MARGIN.top)
  context.lineTo(at, bottom)
  context.stroke()
  context.setLineDash([])
  context.textBaseline = 'bottom'
  const isLeft = at < (MARGIN.left + right) / 2
  context.textAlign = isLeft ? 'left' : 'right'
  context.fillText(words, at, MARGIN.top - 5)
}

const CELLS = 48

/** The square of side 2: what the model says of each place, and the points. */
export function drawPlane(canvas, probabilityAt, { points, labels, count }) {
  const { context, width, height } = contextOf(canvas)
  const sides = [colour('--spiral-0'), colour('--spiral-1')]
  for (let row = 0; row < CELLS; row++) {
    for (let column = 0; column < CELLS; column++) {
      const p = probabilityAt((2 * (column + 0.5)) / CELLS - 1, (2 * (row + 0.5)) / CELLS - 1)
      context.globalAlpha = 0.55 * Math.abs(2 * p - 1)
      context.fillStyle = sides[p > 0.5 ? 1 : 0]
      // Whole pixels, so that cells neither overlap nor leave a gap.
      const [left, right] = [column, column + 1].map((edge) => Math.round((edge * width) / CELLS))
      const [top, bottom] = [row, row + 1].map((edge) => Math.round((edge * height) / CELLS))
      context.fillRect(left, top, right - left, bottom - top)
    }
  }
  context.globalAlpha = 1
  for (let i = 0; i < count; i++) {
    context.fillStyle = sides[labels[i]]
    context.strokeStyle = colour('--panel')
    context.beginPath()
    context.arc(((points[2 * i] + 1) / 2) * width, ((points[2 * i + 1] + 1) / 2) * height, 2.6, 0, 2 * Math.PI)
    context.fill()
    context.stroke()
  }
}
