// A real browser: Debian's Chromium.

import { chromium } from 'playwright-core'
import { installPackages, works } from './debian.mjs'

const EXECUTABLE = '/usr/bin/chromium'
/** Options without the sandbox, which root cannot have, and without anything that uses the network by itself. */
const FLAGS = [
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // WebGPU without a GPU: Chromium's own software renderer.
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
]

/** Installs Chromium if it is missing (which takes root) and starts it, with an empty profile. */
export async function launchBrowser() {
  installPackages(['chromium'], () => works(EXECUTABLE, ['--version']))
  return chromium.launch({ executablePath: EXECUTABLE, args: FLAGS })
}
