import type { Launcher } from './launcher.ts'
import { numberIn } from './numbered.ts'

const SIZE = /^VC_\w+_NUM$/

export const volcano: Launcher = {
  name: 'Volcano',
  detect(env) {
    const rank = numberIn(env, 'VC_TASK_INDEX')
    const names = Object.keys(env).filter((name) => SIZE.test(name))
    // One a kind of task, of which some may not take part.
    const sizes = names.flatMap((name) => numberIn(env, name) ?? [])
    const [size] = sizes.sort((a, b) => Number(b.text) - Number(a.text))
    return rank === undefined || size === undefined ? undefined : { rank, size }
  },
}
