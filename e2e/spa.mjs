// Drives the page of `reachfive demo --serve` in Debian's Chromium: sign-in with
// ReachFive's own SDK and with the page's small script, the forgeries, the
// provider's switches, and what another site may try. No request leaves the
// machine: one that would is aborted and fails the run.
//
//   node e2e/spa.mjs [--screenshots FOLDER] [--headed]

import assert from 'node:assert/strict'
import { createServer, request as httpRequest } from 'node:http'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { launch } from './chromium.mjs'
import { startDemo } from './demo.mjs'
import { finish, scenario } from './scenarios.mjs'

const { values: flags } = parseArgs({ options: { screenshots: { type: 'string' }, headed: { type: 'boolean' } } })

const { url, spki, stop } = await startDemo()
const app = new URL(url)
const browser = await launch({ headless: !flags.headed, args: [`--ignore-certificate-errors-spki-list=${spki}`] })
const away = new Set() // hosts that are not this machine

// Another site, on a host of its own.
const elsewhere = createServer((_, response) => response.setHeader('content-type', 'text/html').end('<h1>Another site</h1>'))
await new Promise((resolve) => elsewhere.listen(0, '127.0.0.1', resolve))

// A refusal that a scenario asked for is an error to the console, not to us.
const asked = /Failed to load resource: the server responded with a status of (401|403|503)/

async function visit(path, { rewrite, in: within = browser, ...options } = {}) {
  const context = await within.newContext({ viewport: { width: 1180, height: 900 }, ...options })
  context.setDefaultTimeout(15_000)
  const problems = []
  const calls = []
  await context.route('**/*', async (route) => {
    const { hostname, pathname } = new URL(route.request().url())
    calls.push(`${route.request().method()} ${pathname}`)
    if (!/^(.+\.localhost|127\.0\.0\.1)$/.test(hostname)) {
      away.add(hostname)
      return route.abort('blockedbyclient')
    }
    return await rewrite?.(route, pathname) ?? route.continue()
  })
  const page = await context.newPage()
  page.on('console', (message) => {
    if (message.type() === 'error' && !asked.test(message.text())) problems.push(message.text())
  })
  page.on('pageerror', (error) => problems.push(String(error)))
  await page.goto(new URL(path, url).href)
  await page.getByText('Backend knows').waitFor()
  return { context, page, problems, calls }
}

// on runs a scenario on a page of its own, in a fresh profile.
const on = (path, options, run) => async () => {
  const visited = await visit(path, options)
  try {
    await run(visited)
    if (!options.flawed) assert.deepEqual(visited.problems, [], 'console errors')
  } catch (error) {
    error.stack += `\nconsole: ${visited.problems.join('\n')}\npage: ${await visited.page.locator('body').innerText()}`
    throw error
  } finally {
    await visited.context.close()
  }
}

const button = (page, name) => page.getByRole('button', { name, exact: true })
const signedIn = (page) => page.getByRole('heading', { name: 'Signed in as: John Doe' })

async function signIn(page, flow = 'By web message') {
  await page.getByLabel(flow).check()
  await button(page, 'Sign in').click()
  await signedIn(page).waitFor()
  await page.getByRole('timer').waitFor()
}

// postedToken signs in and has the token that the page posted. It rotates no key,
// so it leaves the verifier's fetches for unknown keys to who asks for them.
async function postedToken(page) {
  const [request] = await Promise.all([page.waitForRequest('**/session'), signIn(page)])
  return new URLSearchParams(request.postData()).get('idtoken')
}

const sessionOf = async (context) => (await context.cookies(url)).find(({ name }) => name === 'session')

// raw sends one request without a browser, with the page's cookies if wanted.
function raw(method, path, { headers = {}, body = '' } = {}) {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: '127.0.0.1', port: app.port, method, path, headers: { host: app.host, ...headers } }, async (response) => {
      let text = ''
      for await (const chunk of response) text += chunk
      const description = text.startsWith('{') ? JSON.parse(text).error_description : undefined
      resolve({ status: response.statusCode, headers: response.headers, text, code: description?.split(':')[0] })
    })
    request.on('error', reject)
    request.end(body)
  })
}

const form = { 'content-type': 'application/x-www-form-urlencoded' }

// --- the provider, first: its verifier still has both fetches for unknown keys

const answer = (page) => page.locator('#provider-result')
const flip = async (page, name) => Promise.all([page.waitForResponse(/\/demo\/provider\/./), button(page, name).click()])

await scenario("provider down: my token passes, a new key's gets 503 with Retry-After, nobody is signed out", on('/', {}, async ({ page, context }) => {
  await signIn(page)
  await flip(page, 'Take it down')
  await button(page, 'Send my token').click()
  await answer(page).getByText('Your token passes').waitFor()
  const [response] = await Promise.all([page.waitForResponse('**/check'), button(page, 'Send a token of a new key').click()])
  assert.equal(response.status(), 503)
  assert.match(response.headers()['retry-after'], /^[1-9]\d*$/)
  assert.equal(response.headers()['www-authenticate'], undefined)
  await answer(page).getByText('keys_unavailable').waitFor()
  await answer(page).getByText(/^Retry-After: \d+$/).waitFor()
  await button(page, 'Send my token').click()
  await answer(page).getByText('Your token passes').waitFor()
  assert.ok(await sessionOf(context))
  await page.reload()
  await signedIn(page).waitFor()
  await flip(page, 'Bring it up')
}))

await scenario('provider up again: a rotated key is accepted on its first token, a removed one is refused', on('/', {}, async ({ page }) => {
  await signIn(page)
  await flip(page, 'Rotate the key')
  await button(page, 'Send a token of a new key').click()
  await answer(page).getByText('A new key’s token passes').waitFor()
  await button(page, 'Send my token').click()
  await answer(page).getByText('Your token passes').waitFor()
  await flip(page, 'Remove the old key')
  await button(page, 'Send my token').click()
  await answer(page).getByText('unknown_key', { exact: true }).waitFor()
  assert.ok(await button(page, 'Remove the old key').isDisabled())
}))

// --- signing in

const clients = [['/', 'the small script'], ['/sdk', "the vendor's SDK"]]

for (const [path, client] of clients) {
  for (const flow of ['By redirect', 'By web message']) {
    await scenario(`sign-in with ${client}, ${flow.toLowerCase()}`, on(path, {}, async ({ page, context, calls }) => {
      const posts = []
      page.on('request', (request) => {
        if (request.method() === 'POST' && request.url() === new URL('/session', url).href) posts.push(request)
      })
      await signIn(page, flow)
      assert.equal(posts.length, 1)
      assert.match(posts[0].postData(), /^idtoken=[\w-]+\.[\w-]+\.[\w-]+$/)
      assert.equal(posts[0].resourceType(), 'xhr')
      assert.equal((await posts[0].response()).status(), 200)
      assert.equal(page.url(), new URL(path, url).href, 'the code has left the address bar')
      for (const text of ['john.doe@example.com (verified)', 'RS256', 'the configured one; the token has no say in it']) {
        await page.getByText(text).waitFor()
      }
      assert.match(await page.getByRole('timer').innerText(), /^in 2[34]:\d\d:\d\d$/)
      const before = await page.getByRole('timer').innerText()
      await page.waitForFunction((text) => document.getElementById('timer').textContent !== text, before)
      const { httpOnly, secure, sameSite } = await sessionOf(context)
      assert.deepEqual({ httpOnly, secure, sameSite }, { httpOnly: true, secure: true, sameSite: 'Strict' })
      for (const call of ['POST /identity/v1/password/login', 'GET /oauth/authorize', 'POST /oauth/token']) {
        assert.ok(calls.includes(call), calls.join(', '))
      }
      assert.equal(calls.includes('GET /identity/v1/config'), path === '/sdk')
    }))
  }

  await scenario(`a wrong password is refused, with ${client}`, on(path, {}, async ({ page, context }) => {
    await page.getByLabel('Password').fill('wrong')
    await button(page, 'Sign in').click()
    await page.getByText('Invalid email or password').waitFor()
    assert.equal(await sessionOf(context), undefined)
    assert.ok(await button(page, 'Sign in').isEnabled())
  }))

  await scenario(`sign-out ends the session and revokes the tokens, with ${client}`, on(path, {}, async ({ page, context }) => {
    await signIn(page)
    const { value } = await sessionOf(context)
    const revoked = page.waitForResponse((response) => response.url().endsWith('/oauth/revoke') && response.request().method() === 'POST')
    const loggedOut = page.waitForResponse('**/identity/v1/logout?*')
    await button(page, 'Sign out').click()
    assert.equal((await revoked).status(), 204)
    assert.equal((await loggedOut).status(), 302)
    await page.waitForURL((at) => at.href === new URL(path, url).href && at.search === '')
    await page.getByText('you have signed out').waitFor()
    assert.equal(await sessionOf(context), undefined)
    assert.equal((await raw('GET', '/me', { headers: { cookie: `session=${value}` } })).status, 401, 'the old cookie opens nothing')
    await page.reload()
    await button(page, 'Sign in').waitFor()
  }))
}

await scenario('the tab may be loaded anew: the session goes on, the token is gone', on('/', {}, async ({ page }) => {
  await signIn(page)
  await page.reload()
  await signedIn(page).waitFor()
  await page.getByText('the ID token is gone').waitFor()
  assert.ok(await button(page, 'Send my token').isDisabled())
}))

await scenario('an answer of another sign-in is not taken', on('/?code=stolen&state=another', {}, async ({ page, context }) => {
  await page.getByText('The answer belongs to another sign-in').waitFor()
  assert.equal(new URL(page.url()).search, '')
  assert.equal(await sessionOf(context), undefined)
}))

// --- forgeries

const forgeries = {
  'Expired token': 'expired',
  'Another client’s token': 'wrong_audience',
  'Another issuer’s token': 'wrong_issuer',
  'alg “none”': 'malformed_token',
  'HMAC confusion': 'unsupported_algorithm',
  'Changed payload': 'invalid_signature',
  'A newline inside': 'malformed_token',
  'Unsigned JSON around a real token': 'malformed_token',
  'A removed key’s token': 'unknown_key',
}

for (const [name, code] of Object.entries(forgeries)) {
  await scenario(`fool it: ${name} is 401 ${code}`, on('/', {}, async ({ page }) => {
    const [response] = await Promise.all([page.waitForResponse('**/check'), button(page, name).click()])
    assert.equal(response.status(), 401)
    const row = page.getByRole('listitem').filter({ has: button(page, name) })
    await row.getByText('401', { exact: true }).waitFor()
    await row.getByText(code, { exact: true }).waitFor()
    await row.getByText(`WWW-Authenticate: Bearer realm="reachfive", error="invalid_token", error_description="${code}: `).waitFor()
    assert.equal((await response.json()).error, 'invalid_token')
  }))
}

// --- another site, and bad input

await scenario('another site signs nobody in, by XMLHttpRequest or by form', on('/', {}, async ({ page, context }) => {
  const token = await postedToken(page)
  const before = (await sessionOf(context)).value
  const evil = await context.newPage()
  await evil.goto(`http://127.0.0.1:${elsewhere.address().port}/`)
  const unreadable = evil.waitForEvent('requestfailed')
  const readable = await evil.evaluate(([target, idtoken]) => new Promise((resolve) => {
    const xhr = new XMLHttpRequest()
    xhr.open('POST', target)
    xhr.withCredentials = true
    xhr.setRequestHeader('Content-Type', 'application/x-www-form-urlencoded')
    xhr.onload = () => resolve(true)
    xhr.onerror = () => resolve(false)
    xhr.send('idtoken=' + idtoken)
  }), [new URL('/session', url).href, token])
  assert.equal(readable, false)
  assert.equal((await unreadable).url(), new URL('/session', url).href)
  const [navigated] = await Promise.all([evil.waitForResponse('**/session'), evil.evaluate(([target, idtoken]) => {
    const sent = document.createElement('form')
    sent.method = 'post'
    sent.action = target
    const field = document.createElement('input')
    field.name = 'idtoken'
    field.value = idtoken
    sent.append(field)
    document.body.append(sent)
    sent.submit()
  }, [new URL('/session', url).href, token])])
  assert.equal(navigated.status(), 403)
  assert.match((await navigated.json()).error_description, /^untrusted_origin: /)
  assert.equal((await sessionOf(context)).value, before, 'the visitor is who they were')
}))

let token
await scenario('the page posts its token as idtoken=', on('/', {}, async ({ page }) => {
  token = await postedToken(page)
  assert.match(token, /^[\w-]+\.[\w-]+\.[\w-]+$/)
}))

const badInput = [
  ['a form over 64 KiB', 'POST', '/session', { headers: form, body: 'idtoken=' + 'a'.repeat(64 << 10) }, 413, 'body_too_large'],
  ['JSON', 'POST', '/session', { headers: { 'content-type': 'application/json' }, body: '{"idtoken":"x"}' }, 415, 'wrong_content_type'],
  ['multipart', 'POST', '/session', { headers: { 'content-type': 'multipart/form-data; boundary=b' }, body: '--b--\r\n' }, 415, 'wrong_content_type'],
  ['two idtoken fields', 'POST', '/session', { headers: form, body: `idtoken=${token}&idtoken=${token}` }, 400, 'invalid_request'],
  ['a token in the query', 'POST', `/session?idtoken=${token}`, { headers: form, body: 'a=b' }, 401, 'missing_token'],
  ['a form and a Bearer token together', 'POST', '/check', { headers: { ...form, authorization: `Bearer ${token}` }, body: `idtoken=${token}` }, 400, 'invalid_request'],
  ['a token that belongs to no sign-in of this browser', 'POST', '/session', { headers: form, body: `idtoken=${token}` }, 401, 'wrong_nonce'],
  ['an untrusted Origin', 'POST', '/session', { headers: { ...form, origin: 'https://other.example' }, body: `idtoken=${token}` }, 403, 'untrusted_origin'],
  ['GET', 'GET', '/session', {}, 405, undefined],
]
for (const [name, method, path, sent, status, code] of badInput) {
  await scenario(`bad input: ${name} is ${status} ${code ?? 'by the mux'}`, async () => {
    const got = await raw(method, path, sent)
    assert.deepEqual([got.status, got.code], [status, code], got.text)
    if (status !== 405) assert.equal(got.headers['cache-control'], 'no-store')
    assert.equal(got.headers['set-cookie'], undefined)
  })
}

// --- the page itself

await scenario('the page works without a mouse', on('/', {}, async ({ page }) => {
  const reach = async (id, key = 'Tab') => {
    for (let i = 0; i < 40; i++) {
      if (await page.evaluate((id) => document.activeElement.matches(id), id)) return
      await page.keyboard.press(key)
    }
    assert.fail(`${id} cannot be reached`)
  }
  await reach('[name=flow]')
  await page.keyboard.press('ArrowDown')
  await reach('#submit')
  await page.keyboard.press('Enter')
  await signedIn(page).waitFor()
  await page.waitForFunction(() => document.activeElement.id === 'who-title')
  await reach('[data-forgery=expired]')
  await page.keyboard.press('Space')
  await page.getByText('expired', { exact: true }).waitFor()
  await reach('#sign-out', 'Shift+Tab')
  await page.keyboard.press('Enter')
  await button(page, 'Sign in').waitFor()
  await page.waitForFunction(() => document.activeElement.id === 'email')
}))

for (const colorScheme of ['light', 'dark']) {
  await scenario(`the page fits 400 px, ${colorScheme}`, on('/', { viewport: { width: 400, height: 800 }, colorScheme }, async ({ page }) => {
    await signIn(page)
    await button(page, 'Try them all').click()
    await page.getByText('unknown_key', { exact: true }).waitFor()
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 400)
  }))
}

await scenario('a browser that does not trust the certificate is told why the SDK cannot sign in', async () => {
  const other = await launch()
  try {
    await on('/sdk', { in: other, flawed: true }, async ({ page }) => {
      await page.getByRole('alert').filter({ hasText: 'does not trust the tenant’s certificate: make demo-sdk' }).waitFor()
      assert.ok(await button(page, 'Sign in').isDisabled())
    })()
    await on('/', { in: other }, async ({ page }) => signIn(page))()
  } finally {
    await other.close()
  }
})

const strict = async (route, pathname) => {
  if (pathname !== '/sdk') return undefined
  const { headers, text } = await raw('GET', pathname)
  const policy = headers['content-security-policy'].replace(/; style-src-attr .*/, '')
  await route.fulfill({ body: text, contentType: 'text/html', headers: { 'content-security-policy': policy } })
  return true
}
await scenario("measured: the SDK's frame needs one style attribute beyond the strict policy", async () => {
  // A page that the test answers itself is of no network to Chromium, which
  // would ask for permission before it lets such a page reach loopback.
  const args = [`--ignore-certificate-errors-spki-list=${spki}`, '--disable-features=LocalNetworkAccessChecks']
  const other = await launch({ args })
  try {
    await on('/sdk', { in: other, rewrite: strict, flawed: true }, async ({ page, problems }) => {
      await signIn(page)
      assert.equal(problems.length, 1, problems.join('\n'))
      assert.match(problems[0], /inline style violates.*style-src 'self'/s)
    })()
  } finally {
    await other.close()
  }
})

const undeclared = (route, pathname) => pathname === '/web/before-sdk.js' ? route.fulfill({ body: '', contentType: 'text/javascript' }).then(() => true) : undefined
await scenario("measured: without its global declared the SDK's bundle evaluates a string, which the policy refuses", on('/sdk', { rewrite: undeclared, flawed: true }, async ({ page, problems }) => {
  await page.getByRole('alert').waitFor()
  assert.match(problems.join('\n'), /unsafe-eval|TrustedScript/)
}))

if (flags.screenshots) {
  for (const colorScheme of ['light', 'dark']) {
    await scenario(`screenshot, ${colorScheme}`, on('/', { colorScheme }, async ({ page }) => {
      await signIn(page)
      await button(page, 'Try them all').click()
      await page.waitForFunction(() => document.querySelectorAll('#forgeries .pill').length === 9)
      await button(page, 'Send my token').click()
      await answer(page).getByText('Your token passes').waitFor()
      await page.evaluate(() => document.activeElement.blur())
      await page.mouse.move(0, 0)
      await page.screenshot({ path: join(flags.screenshots, `demo-${colorScheme}.png`), fullPage: true })
    }))
  }
}

await scenario('no request left the machine', () => assert.deepEqual([...away], []))

await browser.close()
elsewhere.closeAllConnections()
elsewhere.close()
stop()
finish()
