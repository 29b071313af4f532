import { type Optimizer, type OptimizerOptions, adam, adamw, lamb, muon, sgd } from '../../ts/src/optim/index.ts'
import type { GoldenCase } from './_golden.ts'

/** The optimizer of a case, with a rate for each step. */
export function optimizerOf(golden: GoldenCase): Optimizer {
  const { rule, options, dtype, segments, learningRates } = golden
  const { preset, momentum, dampening, nesterov, beta1, beta2, epsilon, alwaysAdapt } = options
  const common: OptimizerOptions = {
    segments,
    dtype,
    learningRate: (stepCount) => learningRates[stepCount]!,
    weightDecay: options.weightDecay,
    groups: segments.flatMap(({ name, weightDecay }) =>
      weightDecay === undefined ? [] : [{ matches: (segment) => segment.name === name, weightDecay }],
    ),
    ...(options.clipNorm !== undefined && { clipNorm: options.clipNorm }),
  }
  const moments = { ...common, beta1: beta1!, beta2: beta2!, epsilon: epsilon! }
  switch (rule) {
    case 'sgd':
      return sgd({ ...common, momentum: momentum ?? 0, dampening: dampening ?? 0, nesterov: nesterov ?? false })
    case 'adam':
      return adam(moments)
    case 'adamw':
      return adamw(moments)
    case 'lamb':
      return lamb({
        ...moments,
        preset: preset as 'paper' | 'timm' | 'apex',
        ...(alwaysAdapt !== undefined && { alwaysAdapt }),
      })
    case 'muon':
      return muon({
        ...common,
        preset: preset as 'torch' | 'optax',
        momentum: momentum!,
        nesterov: nesterov!,
        epsilon: epsilon!,
        coefficients: options.coefficients!,
        newtonSchulzSteps: options.newtonSchulzSteps!,
        consistentRms: options.consistentRms!,
        adamw: { epsilon: epsilon!, weightDecay: options.weightDecay },
      })
  }
}
