/** The page that stays: curves, table and how all of it was measured, in one file that needs nothing else. */
import { escapeHtml, lineChart } from './chart.mjs'
import { CURVE_IMAGES, LAYER_NAMES, stepsOf } from './config.mjs'
import { PAGE_STYLE } from './page-style.mjs'
import { summarize } from './records.mjs'
import { COLUMNS, tableRows, weightLines } from './table.mjs'
import { OP_NAMES, formatCount, formatPercent } from './text.mjs'
import { sentences } from './verdict.mjs'

/** @typedef {import('./records.mjs').Run} Run */

/** Steps on either side that a point of an orthogonality curve is averaged with. */
const SMOOTHING_STEPS = 5

/**
 * @param {{ title: string, facts: [string, string][], notice: string, examples: number, ranks: number }} setting
 * @param {Run[]} runs all done
 * @returns {string} HTML
 */
export function renderPage(setting, runs) {
  const summaries = runs.map(summarize)
  const rates = [...new Set(summaries.map(({ learningRate }) => learningRate))].sort((a, b) => a - b)
  const notice = setting.notice === '' ? '' : `<p class="notice">${escapeHtml(setting.notice)}</p>`
  return [
    '<!doctype html>',
    '<html lang="en">',
    `<head><meta charset="utf-8"/><meta name="viewport" content="width=device-width, initial-scale=1"/>`,
    `<meta name="color-scheme" content="light dark"/><title>${escapeHtml(setting.title)}</title>`,
    `<style>${PAGE_STYLE}</style></head>`,
    '<body><main>',
    `<h1>${escapeHtml(setting.title)}</h1>`,
    notice,
    ...sentences(summaries, stepsOf(setting.examples, setting.ranks)).map(
      (sentence) => `<p class="finding">${escapeHtml(sentence.replaceAll(' %', '\u00a0%'))}</p>`,
    ),
    accuracySection(setting, runs, rates),
    tableSection(summaries),
    orthogonalitySection(setting, runs, rates),
    factsSection(setting.facts),
    '</main></body></html>',
  ].join('\n')
}

/** @param {{ examples: number, ranks: number }} setting @param {Run[]} runs @param {number[]} rates */
function accuracySection({ examples, ranks }, runs, rates) {
  const charts = rates.map((rate) => {
    const series = runs.filter(({ learningRate }) => learningRate === rate).map((run) => accuracySeries(run, examples))
    const title = `Test accuracy at learning rate ${rate}, against training images seen`
    return figure(
      `Learning rate ${rate}`,
      lineChart({ id: `accuracy-${rates.indexOf(rate)}`, title, x: imagesAxis(examples), y: ACCURACY_AXIS, series }),
    )
  })
  const entries = ['adasum', 'sum', 'average', 'none'].map((op) => [
    `op-${op}`,
    op === 'none' ? 'one process alone' : `${ranks} ranks, ${OP_NAMES[op]}`,
  ])
  return section(
    'Accuracy while training',
    [
      `Measured on every fifth of the test images (${formatCount(CURVE_IMAGES)}).`,
      'The scale is logarithmic in the error, so that 98 and 99 % lie as far apart as 80 and 90 %.',
    ],
    legend(entries) + grid(charts),
  )
}

/** @param {Run} run @param {number} examples */
function accuracySeries(run, examples) {
  const { steps } = run.progress[0]
  const points = run.curve.map(({ step, accuracy }) => [(step / steps) * examples, accuracy])
  return { name: OP_NAMES[run.op], className: `op-${run.op}`, points, withMarkers: true }
}

const ACCURACY_AXIS = {
  label: 'test accuracy',
  domain: [0.05, 0.993],
  ticks: [0.1, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99],
  format: (value) => formatPercent(value, 1).replace('.0', ''),
  transform: (value) => -Math.log10(1 - value),
}

/** @param {number} examples */
function imagesAxis(examples) {
  return {
    label: 'training images seen, all ranks together (thousands)',
    domain: [0, examples],
    ticks: evenTicks(examples),
    format: (value) => String(value / 1000),
  }
}

/** @param {{ ranks: number }} setting @param {Run[]} runs @param {number[]} rates */
function orthogonalitySection({ ranks }, runs, rates) {
  const reference = { value: 1 / ranks, label: `${(1 / ranks).toFixed(2)}: identical updates, Adasum is their average` }
  const charts = rates.map((rate) => {
    const run = runs.find(({ op, learningRate }) => op === 'adasum' && learningRate === rate)
    const values = run.done[0].orthogonality
    const series = LAYER_NAMES.map((name, layer) => ({
      name,
      className: `layer-${layer}`,
      points: smooth(values.map((tensors) => tensors[2 * layer])),
    }))
    const x = {
      label: 'step',
      domain: [0, Math.max(1, values.length)],
      ticks: evenTicks(values.length),
      format: formatCount,
    }
    const title = `Orthogonality of the ${ranks} ranks’ updates, layer by layer, at learning rate ${rate}`
    return figure(
      `Learning rate ${rate}`,
      lineChart({
        id: `orthogonality-${rates.indexOf(rate)}`,
        title,
        x,
        y: ORTHOGONALITY_AXIS,
        series,
        references: [reference],
      }),
    )
  })
  return section(
    'Orthogonality of the ranks’ updates',
    [
      '|result|² / Σ|update|² of each layer’s kernel in the Adasum runs,',
      `a mean over ${2 * SMOOTHING_STEPS + 1} steps. At 1 the updates are orthogonal, and Adasum is their sum.`,
    ],
    legend([...LAYER_NAMES.map((name, layer) => [`layer-${layer}`, name]), ['is-reference', reference.label]]) +
      grid(charts),
  )
}

const ORTHOGONALITY_AXIS = {
  label: 'orthogonality (ratio)',
  domain: [0, 1.05],
  ticks: [0, 0.25, 0.5, 0.75, 1],
  format: (value) => String(value),
}

/** Centred moving mean; at the ends over what there is. @param {number[]} values @returns {[number, number][]} */
export function smooth(values) {
  return values.map((_, i) => {
    const window = values.slice(Math.max(0, i - SMOOTHING_STEPS), i + SMOOTHING_STEPS + 1)
    return [i + 1, window.reduce((a, b) => a + b, 0) / window.length]
  })
}

/** About five round ticks from 0 to `end`. @param {number} end */
export function evenTicks(end) {
  const power = 10 ** Math.floor(Math.log10(Math.max(end, 1) / 4))
  const spacing = Math.max(
    1,
    [1, 2, 5, 10].map((factor) => factor * power).find((size) => end / size <= 6),
  )
  return Array.from({ length: Math.floor(end / spacing) + 1 }, (_, i) => i * spacing)
}

/** @param {import('./records.mjs').Summary[]} summaries */
function tableSection(summaries) {
  const cells = (row, tag) =>
    row
      .map((cell, i) => `<${tag}${i === 1 || row.length - 1 === i ? ' class="text"' : ''}>${escapeHtml(cell)}</${tag}>`)
      .join('')
  const rows = tableRows(summaries).map((row) => `<tr>${cells(row, 'td')}</tr>`)
  const head = `<thead><tr>${cells(COLUMNS, 'th')}</tr></thead>`
  // The keyboard, too, must be able to scroll what is wider than the page.
  const table = `<div class="wide" role="region" aria-label="Result" tabindex="0"><table>${head}<tbody>${rows.join('\n')}</tbody></table></div>`
  const hint = '<p class="hint">The table is wider than this screen: scroll it sideways. →</p>'
  const weights = `<ul class="weights">${weightLines(summaries)
    .map((line) => `<li>${escapeHtml(line)}</li>`)
    .join('')}</ul>`
  return section(
    'Result',
    [
      'Accuracy on all 10,000 test images. Seconds are those of training, evaluation left out; communicating is the',
      'share of them spent in all-reduce, waiting for the slowest rank included; sent is by all ranks together;',
      'orthogonality is the mean over steps and weight tensors.',
    ],
    hint + table + weights,
  )
}

/** @param {[string, string][]} facts */
function factsSection(facts) {
  const items = facts.map(([name, value]) => `<dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd>`)
  return section('How it was measured', [], `<dl>${items.join('\n')}</dl>`)
}

/** @param {string} title @param {string[]} words @param {string} content */
function section(title, words, content) {
  const paragraph = words.length === 0 ? '' : `<p>${escapeHtml(words.join(' '))}</p>`
  return `<section><h2>${escapeHtml(title)}</h2>\n${paragraph}\n${content}</section>`
}

/** @param {string[][]} entries class name and words */
function legend(entries) {
  const sample = '<svg class="sample" viewBox="0 0 36 12" aria-hidden="true"><path d="M1 6H35"/></svg>'
  const items = entries.map(
    ([className, words]) => `<li class="series ${className}">${sample}<span>${escapeHtml(words)}</span></li>`,
  )
  return `<ul class="legend">${items.join('')}</ul>\n`
}

/** @param {string[]} figures */
const grid = (figures) => `<div class="grid-of-charts">${figures.join('\n')}</div>`

/** @param {string} caption @param {string} chart */
const figure = (caption, chart) => `<figure><figcaption>${escapeHtml(caption)}</figcaption>${chart}</figure>`
