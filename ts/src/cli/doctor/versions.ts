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

function glibcVersion(): string | null {
  // Naming the peers of open sockets would ask the network's name servers.
  Object.assign(process.report, { excludeNetwork: true })
  const report = process.report.getReport() as unknown as { header: { glibcVersionRuntime?: string } }
  return report.header.glibcVersionRuntime ?? null
}
