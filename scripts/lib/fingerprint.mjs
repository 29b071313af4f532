// What a build was made from, as one hash: contents, not times, because `git checkout` and a copied folder change times.

import { createHash } from 'node:crypto'
import { readFileSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

/**
 * @param {string} root
 * @param {readonly string[]} paths files and folders below `root`, with forward slashes; absent ones count as absent
 * @param {{ skip?: readonly string[] }} [options] `skip`: names of folders that do not count
 * @returns {string} SHA-256 in hex over the names and contents of all files, in a fixed order
 */
export function fingerprint(root, paths, { skip = [] } = {}) {
  const hash = createHash('sha256')
  for (const file of paths.flatMap((path) => filesBelow(root, path, skip)).sort()) {
    const content = readFileSync(join(root, file))
    // Lengths keep two different trees from being written as the same bytes.
    hash.update(`${file.length}:${file}${content.length}:`).update(content)
  }
  return hash.digest('hex')
}

/**
 * @param {string} root
 * @param {string} path
 * @param {readonly string[]} skip
 * @returns {string[]}
 */
export function filesBelow(root, path, skip = []) {
  const kind = statSync(join(root, path), { throwIfNoEntry: false })
  if (kind === undefined) return []
  if (!kind.isDirectory()) return [path]
  const names = readdirSync(join(root, path)).filter((name) => !skip.includes(name))
  return names.flatMap((name) => filesBelow(root, `${path}/${name}`, skip))
}
