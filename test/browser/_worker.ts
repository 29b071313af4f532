interface Scope {
  readonly document?: object
  onmessage: unknown
  postMessage(value: unknown): void
}

/** In a worker: answers every message with what `run` makes of it, or with words if it fails. */
export function answerInWorker(run: (message: never) => Promise<unknown>): void {
  const scope = globalThis as unknown as Scope
  if (scope.document !== undefined) return
  scope.onmessage = ({ data }: { data: never }) =>
    void run(data).then(
      (report) => scope.postMessage(report),
      (error: unknown) => scope.postMessage(error instanceof Error ? error.stack : String(error)),
    )
}
