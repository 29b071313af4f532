/**
 * How this copy of the package was installed, and so what to do if a compiled part of it is missing. An installed copy
 * gets the addon as a package of its own, one for each platform; a checkout builds everything.
 */
import { existsSync, realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, sep } from 'node:path'
import { AdasumError, reasonOf, systemCode } from '../errors.ts'

/**
 * `require` for the files of the package.
 *
 * @throws AdasumError ERR_BINDING in a bundle, which has left them behind
 */
export function ownRequire(url: string | undefined = import.meta.url): NodeJS.Require {
  if (url === undefined || !isOwnFile(new URL(url))) throw inBundle(url)
  return createRequire(url)
}

/** False in a bundle: some bundlers keep the URL that this module had on the machine where the bundle was made. */
function isOwnFile(url: URL): boolean {
  if (!existsSync(url)) return false
  try {
    const root = dirname(createRequire(url).resolve('adasum/package.json'))
    return realpathSync(url).startsWith(join(realpathSync(root), sep))
  } catch {
    return false
  }
}

function inBundle(url: string | undefined, cause?: unknown): AdasumError {
  const where = url === undefined ? '' : ` (${url})`
  const message = `adasum is part of a bundle${where}, which has left its compiled part behind. Mark adasum as external, and install it where the bundle runs: see "Bundles for Node.js" in docs/browser.md`
  return new AdasumError('ERR_BINDING', message, { cause })
}

/** A part of the package that is compiled, and what to do if it is missing or broken. */
export interface CompiledPart {
  /** The name as the beginning of a sentence. */
  readonly name: () => string
  readonly remedy: (isMissing: boolean) => string
}

export const ADDON: CompiledPart = { name: () => `The native addon for ${platformName()}`, remedy: addonRemedy }
export const WASM_MODULE: CompiledPart = { name: () => 'The WebAssembly module', remedy: wasmRemedy }

/** The error that says why a part could not be loaded, and what to do. An AdasumError is returned as it is. */
export function loadFailure({ name, remedy }: CompiledPart, cause: unknown): AdasumError {
  if (cause instanceof AdasumError) return cause
  // The package's own name for the file means nothing to the package.json that is nearest to a bundle.
  if (systemCode(cause) === 'ERR_PACKAGE_IMPORT_NOT_DEFINED') return inBundle(import.meta.url, cause)
  const missing = isMissing(cause)
  const why = missing ? 'it is not there' : reasonOf(cause).split('\n', 1)[0]
  const message = `${name()} cannot be loaded (${why}). ${remedy(missing)}`
  return new AdasumError('ERR_BINDING', message, { cause })
}

const MOST_CAUSES = 100

/**
 * Whether a file or package was not found. One that was found and failed to load is not missing. The addon's loader
 * tries several paths, and chains the errors; it keeps their messages only.
 */
export function isMissing(error: unknown): boolean {
  const words: string[] = []
  for (let at = error; isObject(at) && words.length < MOST_CAUSES; at = (at as { cause?: unknown }).cause)
    if (!(at instanceof AdasumError)) words.push(reasonOf(at))
  return words.length > 0 && words.every((message) => message.startsWith('Cannot find '))
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

interface Manifest {
  readonly version: string
  /** In an installed copy: the packages for the platforms, in exactly its version. */
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

function addonRemedy(isMissing: boolean): string {
  const { isCheckout, manifest } = installation()
  if (isCheckout) return `Build it${isMissing ? '' : ' again'}: npm run setup`
  const name = `adasum-${platformName()}`
  const version = manifest.optionalDependencies?.[name]
  if (version === undefined)
    return 'There is none for this platform: WebAssembly, which is always there, takes its place'
  if (!isMissing) return `Install it again: npm install ${name}@${version}; or set ADASUM_BINDING=wasm`
  return `Install it: npm install ${name}@${version}. npm leaves it out where optional dependencies are omitted (npm ci --omit=optional), or where the lock file was made on another platform`
}

function wasmRemedy(): string {
  const { isCheckout, manifest } = installation()
  return isCheckout
    ? 'Build it: npm run build:wasm'
    : `Install the package again: npm install adasum@${manifest.version}`
}

function installation(): { isCheckout: boolean; manifest: Manifest } {
  const path = ownRequire().resolve('adasum/package.json')
  const manifest = ownRequire()(path) as Manifest
  return { isCheckout: existsSync(join(dirname(path), 'Cargo.toml')), manifest }
}

/** This platform as the packages for it are named: `linux-x64-gnu`, `darwin-arm64`. */
export function platformName(): string {
  const { platform, arch } = process
  const abi = { linux: glibcVersion() === null ? 'musl' : 'gnu', win32: 'msvc' }[platform as string]
  return [platform, arch, ...(abi === undefined ? [] : [abi])].join('-')
}

/** The C library Node.js runs on, which an addon must not be newer than; null where there is no glibc. */
export function glibcVersion(): string | null {
  // With the network in it, the report would look up the names of the peers of open sockets.
  Object.assign(process.report, { excludeNetwork: true })
  const report = process.report.getReport() as unknown as { header: { glibcVersionRuntime?: string } }
  return report.header.glibcVersionRuntime ?? null
}
