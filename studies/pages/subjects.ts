/** What each study's page is about, by the study's name. */
import type { Answer } from './answers/answer.ts'
import * as elastic from './answers/elastic.ts'
import * as emulation from './answers/emulation.ts'
import * as largestBatch from './answers/largest-batch.ts'
import * as operators from './answers/operators.ts'
import * as orthogonality from './answers/orthogonality.ts'
import * as precision from './answers/precision.ts'
import * as transformer from './answers/transformer.ts'
import { elasticCharts } from './charts/elastic.ts'
import { emulationCharts } from './charts/emulation.ts'
import { operatorsCharts, precisionCharts } from './charts/harm.ts'
import { orthogonalityCharts } from './charts/orthogonality.ts'
import type { Chart } from './charts/render.ts'
import { largestBatchCharts, plainCharts, transformerCharts } from './charts/scaling.ts'
import type { Figures } from './figures.ts'

export interface Subject {
  readonly answer: Answer
  readonly charts: (figures: Figures) => Chart[]
}

export const SUBJECTS: Readonly<Record<string, Subject>> = {
  'largest-batch': { answer: largestBatch, charts: largestBatchCharts },
  transformer: { answer: transformer, charts: transformerCharts },
  orthogonality: { answer: orthogonality, charts: orthogonalityCharts },
  operators: { answer: operators, charts: operatorsCharts },
  elastic: { answer: elastic, charts: elasticCharts },
  emulation: { answer: emulation, charts: emulationCharts },
  precision: { answer: precision, charts: precisionCharts },
  plain: { answer: { predictions: [], sentences: [] }, charts: plainCharts },
}
