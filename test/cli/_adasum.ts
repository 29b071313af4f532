/** The command as people run it, bin/adasum.js over dist, on scripts made for one test. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ExecutionContext } from 'ava'
import { execa } from 'execa'
import { ROOT } from '../_user-folder.ts'

export { ROOT }

const BIN = join(ROOT, 'bin', 'adasum.js')

/** A test of what was compiled yesterday would say nothing: call it before the first. */
export function compile(): void {
  execFileSync(process.execPath, [join(ROOT, 'scripts', 'setup.mjs'), 'typescript'], { stdio: 'inherit' })
}

interface Options {
  cwd: string
  env?: Record<string, string>
}

const SET_BY_LAUNCHERS = /^(ADASUM_(?!TFJS_BACKEND)|FORCE_COLOR|NO_COLOR|TF_NUM_|CUDA_)/

/** The environment of the tests without what a launcher around them may have set. */
function plainEnvironment(): Record<string, string> {
  const entries = Object.entries(process.env).map(([name, value]): [string, string] => [name, value ?? ''])
  return Object.fromEntries(entries.filter(([name]) => !SET_BY_LAUNCHERS.test(name)))
}

/**
 * On a busy machine ranks may start more than 5 s apart, and then those that wait say so. Options that the tests run
 * under, such as one that finds them another TensorFlow.js, stay.
 */
export const QUIET = { NODE_OPTIONS: `${process.env['NODE_OPTIONS'] ?? ''} --disable-warning=ADASUM_WAITING`.trim() }

function spawnAdasum(args: readonly string[], { cwd, env = {} }: Options) {
  return execa(process.execPath, [BIN, ...args], {
    reject: false,
    extendEnv: false,
    stripFinalNewline: false,
    stdin: 'ignore',
    cwd,
    env: { ...plainEnvironment(), ...QUIET, ...env },
  })
}

export type Started = ReturnType<typeof spawnAdasum>

/** Starts the command; it is killed when the test ends, should it still run then. */
export function startAdasum(t: ExecutionContext, args: readonly string[], options: Options): Started {
  const child = spawnAdasum(args, options)
  t.teardown(() => child.kill('SIGKILL'))
  return child
}

export interface Outcome {
  exitCode: number | undefined
  stdout: string
  stderr: string
}

/** Runs the command to its end. */
export async function runAdasum(t: ExecutionContext, args: readonly string[], options: Options): Promise<Outcome> {
  return outcomeOf(startAdasum(t, args, options))
}

export async function outcomeOf(child: Started): Promise<Outcome> {
  const { exitCode, stdout, stderr } = await child
  return { exitCode, stdout, stderr }
}

/** Waits until the command has printed `count` lines to stdout that match, and returns their first groups. */
export async function linesOf(child: Started, pattern: RegExp, count: number): Promise<string[]> {
  let printed = ''
  const collect = (chunk: Buffer): void => void (printed += chunk.toString())
  const matches = (): RegExpExecArray[] => [...printed.matchAll(new RegExp(pattern, 'g'))]
  child.stdout.on('data', collect)
  await waitUntil(() => matches().length >= count, `${count} times ${pattern.source} on stdout`)
  child.stdout.off('data', collect)
  return matches().map(([whole, group]) => group ?? whole)
}

export async function waitUntil(condition: () => boolean, what: string, limitMs = 10_000): Promise<void> {
  const end = performance.now() + limitMs
  while (!condition()) {
    if (performance.now() > end) throw new Error(`${what}: not after ${limitMs} ms`)
    await sleep(20)
  }
}

/** State of a process as the kernel gives it: R running, S sleeping, T stopped; undefined once it has ended. */
export function processState(pid: number): string | undefined {
  try {
    const state = /\) (\w)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1]
    // Ended, and its new parent has not asked for its exit code yet.
    return state === 'Z' ? undefined : state
  } catch {
    return undefined
  }
}

/** Sorted lines, since ranks print in any order. */
export function sortedLines(text: string): string[] {
  return text.split('\n').slice(0, -1).sort()
}
