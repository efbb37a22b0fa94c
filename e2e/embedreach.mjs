// Drives examples/embedded in Debian's Chromium with Reach's own React
// components: the sign-in, the bridge, and a new token each time the SDK asks.
// No request leaves the machine: this script answers for api.embedreach.com, and
// aborts and lists requests to every other host.
//
//   node e2e/embedreach.mjs [--screenshot FILE.png] [--headed]

import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import jwt from 'jsonwebtoken'
import { launch } from './chromium.mjs'
import { bundle } from './embedded-bundle.mjs'
import { answerReach } from './reach-api.mjs'
import { finish, scenario } from './scenarios.mjs'

const { values: flags } = parseArgs({ options: { screenshot: { type: 'string' }, headed: { type: 'boolean' } } })
const secret = 'a-shared-secret-of-forty-bytes-for-tests'
const partnerId = 'partner-42'
const email = 'jane@acme.example'
const password = 'correct horse battery staple'

// The hosts that the components call besides Reach's API, for telemetry and
// feature flags. The last scenario fails if a version adds one.
const telemetryHosts = ['app.launchdarkly.com', 'events.launchdarkly.com']

const temp = mkdtempSync(join(tmpdir(), 'embedded-'))
const aborted = new Map()
// To the browser, 127.0.0.1 is not the same site as localhost.
const sitesSeen = []
const elsewhere = createServer((request, response) => {
  sitesSeen.push(`${request.url} ${request.headers['sec-fetch-site']}`)
  response.setHeader('content-type', 'text/html').end('<h1>Another site</h1>')
})
let backend
let browser
let origin

async function startBackend() {
  const binary = join(temp, 'embedded')
  execFileSync('go', ['build', '-o', binary, './embedded'], {
    cwd: fileURLToPath(new URL('../examples', import.meta.url)), stdio: 'inherit',
  })
  await bundle(join(temp, 'bundle'))
  const args = ['--addr', '127.0.0.1:0', '--bundle', join(temp, 'bundle'), '--partner-id', partnerId]
  backend = spawn(binary, args, { env: { ...process.env, REACH_SHARED_JWT_SECRET: secret }, stdio: ['ignore', 'pipe', 'inherit'] })
  for await (const line of createInterface({ input: backend.stdout })) {
    const page = /^The page is (http:\/\/localhost:\d+)\/\.$/.exec(line)
    if (page) return page[1]
  }
  throw new Error('the example ended before it served')
}

// visit opens the page in a new browser context. api answers in place of Reach's
// API. The result records what the page did.
async function visit({ api = answerReach, rewrite } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 1180 } })
  const seen = { api: [], reachTokens: [], problems: [] }
  await context.route('**/*', async (route) => {
    const request = route.request()
    const url = new URL(request.url())
    if (url.hostname === 'api.embedreach.com') {
      const call = { path: url.pathname, token: request.headers().authorization?.replace(/^Bearer /, '') }
      seen.api.push(call)
      const answer = await api(call, seen)
      call.status = answer.status
      return route.fulfill({
        status: answer.status,
        headers: { 'access-control-allow-origin': origin, 'access-control-allow-credentials': 'true' },
        json: answer.json,
      })
    }
    if (url.hostname === 'localhost' || url.hostname === '127.0.0.1') {
      const answer = url.pathname === '/reach-authtoken' && rewrite?.(seen)
      if (answer) return route.fulfill(answer)
      return route.continue()
    }
    aborted.set(url.hostname, (aborted.get(url.hostname) ?? 0) + 1)
    return route.abort('blockedbyclient')
  })
  context.setDefaultTimeout(15_000)
  const page = await context.newPage()
  page.on('response', async (response) => {
    if (new URL(response.url()).pathname !== '/reach-authtoken') return
    const answer = await response.json().catch(() => ({}))
    seen.reachTokens.push({ status: response.status(), token: answer.token, cache: response.headers()['cache-control'] })
  })
  page.on('console', (message) => {
    if (message.type() !== 'error') return
    // The page is not at fault for a status that the scenario caused, for an
    // aborted telemetry request, or for what LaunchDarkly prints about it.
    if (/Failed to load resource|LaunchDarkly|launchdarkly\.com/.test(message.text() + message.location().url)) return
    seen.problems.push(message.text())
  })
  page.on('pageerror', (error) => seen.problems.push(String(error)))
  await page.goto(origin)
  return { context, page, seen }
}

async function signIn(page, user = email, pass = password) {
  await page.getByLabel('E-mail').fill(user)
  await page.getByLabel('Password').fill(pass)
  await page.getByRole('button', { name: 'Sign in' }).click()
}

async function until(condition, what, limit = 15_000) {
  for (const end = Date.now() + limit; Date.now() < end;) {
    if (await condition()) return
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  assert.fail(`not within ${limit / 1000} s: ${what}`)
}

// heard waits until this many answers of our endpoint have been read, which may
// be later than the page shows their effect, and fails if there are more.
async function heard(seen, answers) {
  await until(() => seen.reachTokens.length >= answers, `${answers} answers with a token`)
  assert.equal(seen.reachTokens.length, answers)
}

// The heading that the components show from the answer of Reach's API.
const opened = (page) => page.getByRole('heading', { name: 'Welcome, new puppy' })

const faded = () => {
  for (let e = document.querySelector('iframe'); e; e = e.parentElement) {
    if (getComputedStyle(e).opacity !== '1') return false
  }
  return true
}

const verify = (token) => jwt.verify(token, secret, { algorithms: ['HS256'] })

// within runs a scenario in a new browser context.
const within = (options, run) => async () => {
  const visited = await visit(options)
  try {
    await run(visited)
    assert.deepEqual(visited.seen.problems, [], 'console errors')
  } catch (error) {
    error.stack += `\nconsole: ${visited.seen.problems.join('\n')}\npage: ${await visited.page.locator('body').innerText()}`
    throw error
  } finally {
    await visited.context.close()
  }
}

async function scenarios() {
  await scenario('a wrong password is refused, and Reach is not called', within({}, async ({ page, seen }) => {
    await signIn(page, email, 'wrong')
    await page.getByRole('alert').filter({ hasText: /\S/ }).waitFor()
    assert.deepEqual(seen.api, [])
    assert.deepEqual(seen.reachTokens, [])
  }))

  await scenario('sign-in, bridge, embedded UI: ReachProvider takes our token', within({}, async ({ page, seen }) => {
    await signIn(page)
    await opened(page).waitFor()
    assert.equal(await page.getByText('Authentication Error').count(), 0)
    assert.equal(new URL(page.url()).search, '', 'the code has left the address bar')
    await heard(seen, 1)
    const [{ status, token, cache }] = seen.reachTokens
    assert.deepEqual([status, cache], [200, 'no-store'])
    const { externalId, iat, exp, ...claims } = verify(token)
    assert.deepEqual(claims, { email, name: 'Jane Doe', tenantExternalId: 'acme-pets', partnerId })
    assert.match(externalId, /\S/)
    assert.equal(exp - iat, 3600)
    await until(() => seen.api.length >= 2, 'two calls of the API')
    for (const call of seen.api) assert.equal(call.token, token)
    await page.frameLocator('iframe[title="Email Preview"]').getByText('Hello').waitFor()
    assert.deepEqual(seen.api.filter((call) => call.status !== 200), [])
    if (flags.screenshot) await until(() => page.evaluate(faded), 'the preview has faded in')
    if (flags.screenshot) await page.screenshot({ path: flags.screenshot })
  }))

  // The times in a token are whole seconds: a new token differs from the first
  // one only if it is made in a later second.
  const expired = async (call, seen) => {
    seen.expired ??= call.token
    if (call.token !== seen.expired) return answerReach(call)
    const { iat } = jwt.decode(call.token)
    await until(() => Date.now() / 1000 >= iat + 1, 'the next second')
    return { status: 401, json: { error: 'Unauthorized' } }
  }
  await scenario('first call 401, onReauthRequested fires, the next calls carry the new token', within({ api: expired }, async ({ page, seen }) => {
    await signIn(page)
    await opened(page).waitFor()
    await heard(seen, 2) // one token to begin with, one on request
    const [first, second] = seen.reachTokens.map(({ token }) => token)
    assert.notEqual(first, second)
    assert.equal(verify(second).externalId, verify(first).externalId)
    assert.equal(seen.api[0].token, first)
    assert.equal(seen.api[0].status, 401)
    const later = () => seen.api.filter(({ status }) => status === 200)
    await until(() => later().length >= 2, 'two calls with the new token')
    for (const call of later()) assert.equal(call.token, second)
    console.log(`      ${seen.api.map(({ status, path, token }) => `${status} ${path} ${token === first ? 'first' : 'new'} token`).join('\n      ')}`)
  }))

  for (const missing of ['tenantExternalId', 'partnerId']) {
    const without = () => {
      const claims = { email, name: 'Jane Doe', externalId: '1', tenantExternalId: 'acme-pets', partnerId }
      delete claims[missing]
      return { json: { success: true, token: jwt.sign(claims, secret, { expiresIn: '1h' }) } }
    }
    await scenario(`a token without ${missing} is the vendor's "Authentication Error"`, within({ rewrite: without }, async ({ page, seen }) => {
      await signIn(page)
      await page.getByRole('heading', { name: 'Authentication Error' }).waitFor()
      assert.deepEqual(seen.api, [])
    }))
  }

  await scenario('a user of no tenant gets 403 and no token', within({}, async ({ page, seen }) => {
    await signIn(page, 'stranger@elsewhere.example')
    await page.getByRole('alert').filter({ hasText: 'forbidden' }).waitFor()
    await heard(seen, 1)
    assert.deepEqual(seen.reachTokens.map(({ status, token }) => [status, token]), [[403, undefined]])
    assert.deepEqual(seen.api, [])
  }))

  const down = (seen) => {
    seen.asked = (seen.asked ?? 0) + 1
    return seen.asked === 1 && { status: 503, headers: { 'retry-after': '1' }, json: { success: false, error: 'keys_unavailable' } }
  }
  await scenario('503 signs nobody out: the page says so and tries again', within({ rewrite: down }, async ({ page }) => {
    await signIn(page)
    await page.getByRole('alert').filter({ hasText: 'keys_unavailable' }).waitFor()
    await page.getByRole('button', { name: 'Try again' }).click()
    await opened(page).waitFor()
  }))

  const over = () => ({ status: 401, json: { success: false, error: 'expired' } })
  await scenario('401 signs out', within({ rewrite: over }, async ({ page, seen }) => {
    await signIn(page)
    await page.getByText('You have been signed out').waitFor()
    assert.deepEqual(seen.api, [])
  }))

  await scenario("another site's page gets no token, with a good ID token too", within({}, async ({ page, context }) => {
    const [request] = await Promise.all([page.waitForRequest('**/reach-authtoken'), signIn(page)])
    const authorization = request.headers().authorization
    assert.match(authorization, /^Bearer /)
    const evil = await context.newPage()
    await evil.goto(`http://127.0.0.1:${elsewhere.address().port}/`)
    const read = (mode) => evil.evaluate(([url, mode]) => fetch(url, { mode, credentials: 'include' })
      .then((response) => response.text(), () => 'unreadable'), [`${origin}/reach-authtoken`, mode])
    assert.equal(await read('cors'), 'unreadable')
    const [response, opaque] = await Promise.all([
      evil.waitForEvent('response', (r) => r.url() === `${origin}/reach-authtoken`), read('no-cors'),
    ])
    assert.equal(opaque, '')
    assert.equal(response.status(), 401)
    assert.equal(response.headers()['access-control-allow-origin'], undefined)
    // The browser marks such a request: the test's own server sees it.
    await evil.evaluate((url) => fetch(url, { mode: 'no-cors' }), `http://localhost:${elsewhere.address().port}/marked`)
    assert.ok(sitesSeen.includes('/marked cross-site'), sitesSeen.join(', '))
    // A request with that mark is refused even with a good ID token.
    const forged = await fetch(`${origin}/reach-authtoken`, { headers: { authorization, 'sec-fetch-site': 'cross-site' } })
    assert.equal(forged.status, 403)
    assert.equal(await forged.text(), '{"success":false,"error":"Cross-site request refused"}')
    const honest = await fetch(`${origin}/reach-authtoken`, { headers: { authorization, 'sec-fetch-site': 'same-origin' } })
    assert.equal(honest.status, 200)
  }))

  await scenario('the only hosts besides are the telemetry hosts, and all were aborted', () => {
    for (const [host, times] of [...aborted].sort()) console.log(`      aborted: ${host}, ${times} times`)
    assert.deepEqual([...aborted.keys()].sort(), telemetryHosts)
  })
}

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    backend?.kill()
    process.exit(1)
  })
}

try {
  await new Promise((resolve) => elsewhere.listen(0, '127.0.0.1', resolve))
  origin = await startBackend()
  browser = await launch({ headless: !flags.headed })
  await scenarios()
} finally {
  await browser?.close()
  backend?.kill()
  elsewhere.close()
  rmSync(temp, { recursive: true, force: true })
}
finish()
