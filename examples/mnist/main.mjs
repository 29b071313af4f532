/**
 * Four processes of four workers each train LeNet-5 together, by three operators at five learning rates, and then for an
 * epoch beside one process alone. This process starts them, draws what they report, and writes the result down; see
 * README.md beside it.
 */
import { HELP, UsageError, readOptions } from './options.mjs'

const EXIT_FAILURE = 1
const EXIT_USAGE = 2
const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 }

for (const [signal, number] of Object.entries(SIGNALS)) {
  process.once(signal, () => {
    process.stderr.write(`\nEnded by ${signal}.\n`)
    process.exit(128 + number)
  })
}

try {
  const options = readOptions(process.argv.slice(2))
  if (options.help) process.stdout.write(HELP)
  else await (await importExperiment()).runExperiment(options)
} catch (error) {
  process.stderr.write(`\nexamples/mnist: ${error.message}\n`)
  process.exitCode = error instanceof UsageError ? EXIT_USAGE : EXIT_FAILURE
}

/** Not a static import: a checkout that is not set up deserves a sentence, not a stack. */
async function importExperiment() {
  try {
    return await import('./experiment.mjs')
  } catch (cause) {
    if (cause.code !== 'ERR_MODULE_NOT_FOUND') throw cause
    const missing = cause.message.split(' imported from')[0]
    throw new Error(`${missing}. Run \`npm run setup\` in the repository's root first.`, { cause })
  }
}
