import { glibcVersion } from '../../binding/installation.ts'
import { packageVersion } from '../package-version.ts'

export interface VersionsSection {
  adasum: string
  node: string
  platform: NodeJS.Platform
  arch: NodeJS.Architecture
  /** The C library Node.js runs on, which an addon must not be newer than; null where there is no glibc. */
  glibc: string | null
}

export function examineVersions(): VersionsSection {
  return {
    adasum: packageVersion(),
    node: process.versions.node,
    platform: process.platform,
    arch: process.arch,
    glibc: glibcVersion(),
  }
}
