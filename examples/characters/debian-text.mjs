/**
 * Six novels of Jane Austen, 4 MB of plain text in the public domain, out of a package of Debian: it is unpacked into a
 * folder of this clone, and nothing is installed.
 */
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { inflateSync } from 'node:zlib'

const PACKAGE = 'r-cran-janeaustenr'
/** Where the package has the novels: as a database of the language R. */
const DATABASE = join('usr', 'lib', 'R', 'site-library', 'janeaustenr', 'data', 'Rdata.rdb')

/** What R calls the types of its values. */
const STRINGS = 16
const STRING = 9

/**
 * The text, which is kept in `folder` for the next time.
 *
 * @param {string} folder
 * @returns {string}
 */
export function debianText(folder) {
  const kept = join(folder, 'austen.txt')
  if (existsSync(kept)) return readFileSync(kept, 'utf8')
  mkdirSync(folder, { recursive: true })
  const unpacked = mkdtempSync(join(folder, 'package-'))
  try {
    unpack(unpacked)
    const text = textOf(readFileSync(join(unpacked, DATABASE)))
    // Whole or not there, also if several runs begin at once.
    writeFileSync(join(unpacked, 'austen.txt'), text)
    renameSync(join(unpacked, 'austen.txt'), kept)
    return text
  } finally {
    rmSync(unpacked, { recursive: true, force: true })
  }
}

/** @param {string} folder */
function unpack(folder) {
  run('apt-get', ['download', PACKAGE], folder)
  const [file] = readdirSync(folder).filter((name) => name.endsWith('.deb'))
  run('dpkg', ['-x', /** @type {string} */ (file), '.'], folder)
}

/**
 * @param {string} command
 * @param {readonly string[]} args
 * @param {string} cwd
 */
function run(command, args, cwd) {
  try {
    execFileSync(command, args, { cwd, stdio: ['ignore', 'ignore', 'pipe'] })
  } catch (cause) {
    const { code, stderr } = /** @type {{ code?: string, stderr?: Buffer }} */ (cause)
    const why = code === 'ENOENT' ? 'is not on this machine' : `failed: ${String(stderr).trim().split('\n').at(-1)}`
    const source = `The text is in Debian's package ${PACKAGE}, which is fetched by apt-get and unpacked by dpkg`
    throw new Error(`${source}. ${command} ${why}. Pass a text of your own: --text FILE.`, { cause })
  }
}

/**
 * All lists of strings in a database, a line a string.
 *
 * @param {Buffer} database records, each of which is its length and a stream of zlib
 * @returns {string}
 */
export function textOf(database) {
  const lines = []
  for (let at = 0; at < database.length;) {
    // The types of Node.js do not know the result of this option.
    const { buffer, engine } = /** @type {any} */ (inflateSync(database.subarray(at + 4), { info: true }))
    lines.push(...stringsOf(buffer))
    at += 4 + engine.bytesWritten
  }
  return `${lines.join('\n')}\n`
}

/**
 * The strings of a value that R has written in its format XDR; none if it is no list of strings.
 *
 * @param {Buffer} bytes
 * @returns {string[]}
 */
function stringsOf(bytes) {
  if (bytes.toString('latin1', 0, 2) !== 'X\n') return []
  let at = 2
  const next = () => bytes.readInt32BE((at += 4) - 4)
  const [version] = [next(), next(), next()]
  // From version 3 on, the name of an encoding follows.
  if (version === 3) {
    const length = next()
    at += length
  }
  if ((next() & 0xff) !== STRINGS) return []
  return Array.from({ length: next() }, () => {
    if ((next() & 0xff) !== STRING) throw new Error(`The database of ${PACKAGE} is not what it was. Pass --text FILE.`)
    const length = Math.max(0, next())
    return bytes.toString('utf8', at, (at += length))
  })
}
