// Opens the demo's page in a Chromium that can sign in with ReachFive's SDK, which
// needs https. Only this Chromium, with a temporary profile, trusts the tenant's
// certificate. Ends when the window is closed.

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
  ...process.getuid?.() === 0 ? ['--no-sandbox'] : [], // as root it does not run with a sandbox
  ...process.argv.slice(2), `${url}sdk`,
], { stdio: 'ignore' })
chromium.on('error', (error) => console.error(`Chromium did not start: ${error.message}`))
process.once('exit', () => {
  chromium.kill('SIGKILL') // before its profile goes
  rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
})
await new Promise((resolve) => chromium.once('close', resolve))
stop()
