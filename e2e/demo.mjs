// Runs `reachfive demo --serve` for the scripts that open its page.

import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

// ReachFive's bundle, from npm.
export const sdkBundle = fileURLToPath(new URL('node_modules/@reachfive/identity-core/umd/identity-core.min.js', import.meta.url))

// startDemo resolves once the page is up. It returns the page's address, the digest
// of the tenant's key, and a function that ends the demo.
export async function startDemo() {
  const temp = mkdtempSync(join(tmpdir(), 'reachfive-demo-'))
  const binary = join(temp, 'reachfive')
  let demo
  const stop = () => {
    demo?.kill()
    rmSync(temp, { recursive: true, force: true })
  }
  process.once('exit', stop)
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))
  execFileSync('go', ['build', '-o', binary, '.'], {
    cwd: fileURLToPath(new URL('../cmd/reachfive', import.meta.url)), stdio: 'inherit',
  })
  demo = spawn(binary, ['demo', '--serve', '--sdk', sdkBundle], { stdio: ['ignore', 'pipe', 'inherit'] })
  let spki
  for await (const line of createInterface({ input: demo.stdout })) {
    spki = /--ignore-certificate-errors-spki-list=(\S+)/.exec(line)?.[1] ?? spki
    const url = /Open (\S+) in a browser/.exec(line)?.[1]
    if (url) return { url, spki, stop }
  }
  throw new Error('the demo ended before it served')
}
