// Opens the demo's page in a Chromium that signs in with the vendor's SDK, which
// speaks https only: a throw-away profile takes the tenant's certificate by its
// key, and nothing on the machine is made to trust it. Ends with the window.

import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { executablePath, quietly } from './chromium.mjs'
import { startDemo } from './demo.mjs'

const { url, spki, stop } = await startDemo()
const profile = mkdtempSync(join(tmpdir(), 'reachfive-profile-'))
console.log(`${url}sdk`)
const chromium = spawn(executablePath, [
  `--user-data-dir=${profile}`, `--ignore-certificate-errors-spki-list=${spki}`, ...quietly,
  ...process.getuid?.() === 0 ? ['--no-sandbox'] : [], // it refuses to run as root with one
  ...process.argv.slice(2), `${url}sdk`,
], { stdio: 'ignore' })
chromium.on('error', (error) => console.error(`Chromium did not start: ${error.message}`))
process.once('exit', () => {
  chromium.kill('SIGKILL') // before its profile goes
  rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
})
await new Promise((resolve) => chromium.once('close', resolve))
stop()
