// A folder that is there as a whole or not at all: it is made beside its place and then renamed, so that what breaks off on the
// way, by an error, a signal or a power cut, leaves nothing that a later run would take for complete.

import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { withFolderLock } from './folder-lock.mjs'

const STAMP = '.complete'

/**
 * Makes a folder unless it has been made from the same recipe. One process does so at a time; those that wait for it find
 * its folder.
 *
 * @param {string} folder
 * @param {string} recipe what it is made from, as one word
 * @param {(building: string) => Promise<void>} make fills an empty folder, given by its path; may throw
 * @param {{ onWait?: () => void }} [options] `onWait` is called once if another process makes it
 */
export async function completeFolder(folder, recipe, make, options = {}) {
  const stamp = join(folder, STAMP)
  const isComplete = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === recipe
  if (isComplete()) return
  const building = `${folder}.building`
  await withFolderLock(
    `${folder}.lock`,
    async () => {
      // The process that held the lock before may have made it.
      if (isComplete()) return
      rmSync(building, { recursive: true, force: true })
      mkdirSync(building, { recursive: true })
      await make(building)
      writeFileSync(join(building, STAMP), recipe)
      rmSync(folder, { recursive: true, force: true })
      renameSync(building, folder)
    },
    options,
  )
}
