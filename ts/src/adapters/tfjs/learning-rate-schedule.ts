/**
 * A schedule for any optimizer of TensorFlow.js in `fit`. Those of TensorFlow.js itself have a number for a rate, under a
 * name that they do not publish, or a method that sets it.
 */
import { AdasumError } from '../../errors.ts'
import { rateAfter } from '../../optim/hyperparameters.ts'
import type { Schedule } from '../../optim/schedules.ts'
import { kindOf } from '../../tensor/check.ts'
import type { FitCallbacks } from './distribute.ts'
import { FitHooks, type TrainableModel } from './fit-hooks.ts'
import { checkModel } from './variables.ts'

/** What optimizers have in common here; those of tfjs-core have `learningRate`, though only for themselves. */
interface RatedOptimizer {
  readonly iterations: number
  learningRate: unknown
  setLearningRate?(rate: number): void
}

const nothing = (): Promise<void> => Promise.resolve()

/**
 * A callback of `model.fit` and `model.fitDataset` that sets the learning rate of the model's optimizer before each batch, by
 * the steps that this optimizer has done. So training that is resumed with the optimizer's state goes on where it was. It may
 * stand before or behind `distribute` and any other callback, for which `fit` and `fitDataset` of this model become properties
 * of its own.
 *
 * @param model - compiled, also later, with any optimizer that has a learning rate
 * @param schedule - the rate by the number of steps that have been done: one of `adasum/optim`, or a function of your own
 * @returns the callback. It rejects `fit` with ERR_ARGUMENT if the schedule returns no finite number, or the optimizer has no rate
 * @throws AdasumError ERR_ARGUMENT for what is no model or no function
 */
export function learningRateSchedule(model: TrainableModel, schedule: Schedule): FitCallbacks {
  checkModel(model)
  if (typeof schedule !== 'function')
    throw new AdasumError('ERR_ARGUMENT', `schedule must be a function; got ${kindOf(schedule)}.`)
  // So that instances of callback classes may stand behind it, without `distribute`, too.
  FitHooks.of(model)
  return {
    setParams: () => undefined,
    setModel: () => undefined,
    onTrainBegin: nothing,
    onEpochBegin: nothing,
    async onBatchBegin() {
      const optimizer = ratedOptimizerOf(model)
      const rate = rateAfter(optimizer.iterations, schedule)
      if (optimizer.setLearningRate) optimizer.setLearningRate(rate)
      else optimizer.learningRate = rate
    },
    onBatchEnd: nothing,
    onEpochEnd: nothing,
    onTrainEnd: nothing,
  }
}

function ratedOptimizerOf(model: object): RatedOptimizer {
  const { optimizer } = model as { optimizer?: Partial<RatedOptimizer> }
  if (optimizer && 'learningRate' in optimizer && typeof optimizer.iterations === 'number')
    return optimizer as RatedOptimizer
  throw new AdasumError('ERR_ARGUMENT', 'the model has no optimizer with a learning rate. Compile it with one.')
}
