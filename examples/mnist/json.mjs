/** The last line of `--json`. */
import { WORKERS_PER_RANK } from './config.mjs'
import { runsOfRanks } from './records.mjs'
import { sortByRate } from './table.mjs'
import { countNearBest } from './verdict.mjs'

/** @param {number} ranks @param {import('./records.mjs').Results} results */
export function toJson(ranks, results) {
  const timed = ({ seconds, accuracy }) => ({ seconds, accuracy })
  return JSON.stringify({
    worldSize: ranks,
    logicalWorkers: ranks * WORKERS_PER_RANK,
    rates: sortByRate(results.rates).map(({ op, learningRate, accuracy }) => ({ op, learningRate, accuracy })),
    withinOnePoint: countNearBest(results.rates),
    epoch: { alone: timed(results.alone), ranks: timed(results.ranks) },
    weightsEqual: runsOfRanks(results).every(({ weightsEqual }) => weightsEqual),
  })
}
