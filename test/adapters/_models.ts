/** Models for tests and benchmarks. Initial weights come from a seed, so that ranks can be given equal or unequal ones. */
import * as layers from '@tensorflow/tfjs-layers'

export interface ModelOptions {
  seed: number
}

const init = (seed: number): ReturnType<typeof layers.initializers.glorotUniform> =>
  layers.initializers.glorotUniform({ seed })

/** LeNet-5 with 'same' padding in the first layer: 61,706 parameters, 28 x 28 x 1 to ten logits. */
export function leNet({ seed }: ModelOptions): layers.Sequential {
  const model = layers.sequential()
  const convolution = { kernelSize: 5, activation: 'relu', kernelInitializer: init(seed) } as const
  model.add(layers.layers.conv2d({ ...convolution, inputShape: [28, 28, 1], filters: 6, padding: 'same' }))
  model.add(layers.layers.maxPooling2d({ poolSize: 2 }))
  model.add(layers.layers.conv2d({ ...convolution, filters: 16 }))
  model.add(layers.layers.maxPooling2d({ poolSize: 2 }))
  model.add(layers.layers.flatten())
  model.add(layers.layers.dense({ units: 120, activation: 'relu', kernelInitializer: init(seed + 1) }))
  model.add(layers.layers.dense({ units: 84, activation: 'relu', kernelInitializer: init(seed + 2) }))
  model.add(layers.layers.dense({ units: 10, kernelInitializer: init(seed + 3) }))
  return model
}

/** 784 numbers to ten logits over one hidden layer: 101,770 parameters. */
export function mlp({ seed }: ModelOptions): layers.Sequential {
  const model = layers.sequential()
  const hidden = { units: 128, activation: 'relu', kernelInitializer: init(seed) } as const
  model.add(layers.layers.flatten({ inputShape: [28, 28, 1] }))
  model.add(layers.layers.dense(hidden))
  model.add(layers.layers.dense({ units: 10, kernelInitializer: init(seed + 1) }))
  return model
}
