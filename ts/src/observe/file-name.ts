/**
 * The name of a rank's file: `%r` stands for the rank, `%p` for the process id, `%%` for a percent sign. Without `%r`,
 * the ranks of a world of several put theirs before the extension: `trace.json` is `trace.2.json` on rank 2.
 */
import { extname } from 'node:path'

export function fileNameOf(pattern: string, { rank, size }: { rank: number; size: number }): string {
  const meanings: Record<string, string> = { r: `${rank}`, p: `${process.pid}`, '%': '%' }
  const hasRank = /%r/.test(pattern.replaceAll('%%', ''))
  const name = pattern.replaceAll(/%([rp%])/g, (_, letter: string) => meanings[letter]!)
  if (hasRank || size === 1) return name
  const extension = extname(name)
  return `${name.slice(0, name.length - extension.length)}.${rank}${extension}`
}
