/** What this machine offers, as `adasum doctor` sees it. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const ADASUM = fileURLToPath(new URL('../../bin/adasum.js', import.meta.url))

/**
 * Throws with the doctor's words if adasum cannot work here.
 *
 * @returns {Promise<{ isa: string, cores: number }>}
 */
export async function examineMachine() {
  const report = await runDoctor()
  const broken = report.problems.find((problem) => problem.essential)
  if (broken !== undefined) throw new Error(`${broken.message}. What to do: ${broken.action}.`)
  return { isa: report.binding.isa, cores: report.machine.availableCores }
}

/** The report comes with exit code 1 if something is wrong, so only an unreadable report is a failure here. */
function runDoctor() {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [...process.execArgv, ADASUM, 'doctor', '--json'], (error, stdout, stderr) => {
      try {
        resolve(JSON.parse(stdout))
      } catch {
        reject(new Error(`adasum doctor gave no report. ${stderr.trim() || error?.message || ''}`))
      }
    })
  })
}
