/** Every target there is. */
import type { Target } from '../_target.ts'
import { bindingCalls } from './bindings.ts'
import { causes } from './causes.ts'
import { folders, indexes, manifests } from './checkpoints.ts'
import { commandLine } from './command-line.ts'
import { environment } from './environment.ts'
import { frames } from './frames.ts'
import { handshakes } from './handshakes.ts'
import { json } from './json.ts'
import { links } from './links.ts'
import { messages } from './messages.ts'
import { offers } from './offers.ts'
import { records } from './records.ts'
import { safetensors } from './safetensors.ts'
import { segments } from './segments.ts'
import { timelines } from './timelines.ts'

export const TARGETS: readonly Target[] = [
  ...[frames, records, links, handshakes, messages, offers, causes],
  ...[json, safetensors, indexes, manifests, folders],
  ...[environment, commandLine, timelines],
  ...[bindingCalls, segments],
]

export function targetNamed(name: string): Target {
  const target = TARGETS.find((each) => each.name === name)
  if (target === undefined)
    throw new Error(`there is no target ${name}; there are ${TARGETS.map((each) => each.name).join(', ')}`)
  return target
}
