#!/usr/bin/env node
// The benchmark of the shaders, in the build that `npm run test:gpu` makes. `npm run bench:gpu` runs it; what follows `--` is for
// the benchmark's own program.

import { spawnSync } from 'node:child_process'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gpuCargoOptions } from './lib/gpu-package.mjs'
import { requireCargo } from './lib/requirements.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const cargo = ['bench', '--quiet', ...gpuCargoOptions(await requireCargo(root)), '--bench', 'gpu', '--']
const { status } = spawnSync('cargo', [...cargo, ...process.argv.slice(2)], { cwd: root, stdio: 'inherit' })
process.exitCode = status ?? 1
