/** What a section of the report has found to be wrong. */
export interface Problem {
  section: 'versions' | 'machine' | 'binding' | 'sharedMemory' | 'network' | 'gpu'
  /** Whether nothing works without it; only such a problem makes the exit code 1. */
  essential: boolean
  message: string
  /** What to do about it. */
  action: string
}
