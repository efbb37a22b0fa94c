// How the demo's page looks and whom it serves: keyboard, small windows, dark mode,
// forced colours, no JavaScript, and the rules of axe-core.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { launch } from './chromium.mjs'
import { button, on, signedIn, signIn, url } from './demo-page.mjs'
import { scenario } from './scenarios.mjs'

const axe = readFileSync(fileURLToPath(import.meta.resolve('axe-core')), 'utf8')

// violations runs axe-core. The debugger evaluates it, so the page's policy stays.
async function violations(page) {
  await page.evaluate(axe)
  const { violations, passes } = await page.evaluate(() => globalThis.axe.run())
  assert.ok(passes.length > 20, `${passes.length} rules passed`)
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target).join(', ')}`)
}

// fill signs in and fills every result box.
async function fill(page) {
  await signIn(page)
  await button(page, 'Try them all').click()
  await page.waitForFunction(() => document.querySelectorAll('#forgeries .pill').length === 9)
}

const looks = {
  light: { colorScheme: 'light' },
  dark: { colorScheme: 'dark' },
  '390 px': { viewport: { width: 390, height: 800 } },
  '390 px, dark': { viewport: { width: 390, height: 800 }, colorScheme: 'dark' },
  'forced colours': { forcedColors: 'active' },
}

// backgroundOf is a picture of a link's left padding: the style that scripts see is
// the page's own, whatever forced colours make of it.
async function backgroundOf(page, link) {
  const { x, y, height } = await page.locator(link).boundingBox()
  return page.screenshot({ clip: { x: x + 4, y: y + height / 2, width: 2, height: 2 } })
}

export async function look(screenshots) {
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

  for (const [name, options] of Object.entries(looks)) {
    await scenario(`axe-core finds nothing, signed out and signed in, ${name}`, on('/', options, async ({ page }) => {
      assert.deepEqual(await violations(page), [], 'signed out')
      await fill(page)
      await button(page, 'Send my token').click()
      await page.getByText('Your token is accepted').waitFor()
      assert.deepEqual(await violations(page), [], 'signed in')
      const width = page.viewportSize().width
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width, 'nothing is wider than the window')
      await page.goto(new URL('/web/paste.html', url).href)
      assert.deepEqual(await violations(page), [], 'the page to paste a token')
    }))
  }

  await scenario('forced colours show which client is selected', on('/', { forcedColors: 'active' }, async ({ page }) => {
    const [selected, other] = [await backgroundOf(page, '#to-own'), await backgroundOf(page, '#to-sdk')]
    assert.ok(!selected.equals(other))
  }))

  await scenario('without JavaScript the page says that it needs it', async () => {
    // Playwright's own switch leaves <noscript> out, and its locators are scripts.
    const other = await launch({ args: ['--blink-settings=scriptEnabled=false'] })
    try {
      const page = await (await other.newContext()).newPage()
      await page.goto(url, { waitUntil: 'load' })
      const { nodes } = await (await page.context().newCDPSession(page)).send('Accessibility.getFullAXTree')
      const said = nodes.filter(({ ignored }) => !ignored).map(({ name }) => name?.value).join('\n')
      assert.match(said, /This page needs JavaScript/)
    } finally {
      await other.close()
    }
  })

  await scenario('the list of keys shows the last five', on('/', {}, async ({ page }) => {
    const rotate = () => Promise.all([page.waitForResponse(/\/demo\/provider\/./), button(page, 'Rotate the key').click()])
    for (let i = 0; i < 7; i++) await rotate()
    const shown = page.locator('#state dd').nth(1)
    await shown.filter({ hasText: /^(key-\d+, ){4}key-\d+ and [3-9] older$/ }).waitFor()
    await button(page, 'Remove the old key').click()
    await shown.filter({ hasText: /^key-\d+$/ }).waitFor()
  }))

  await scenario('every forgery, a rotation, and a sign-in that the backend accepts', on('/', {}, async ({ page }) => {
    await button(page, 'Try them all').click()
    await page.waitForFunction(() => document.querySelectorAll('#forgeries .pill').length === 9)
    await button(page, 'Rotate the key').click()
    await signIn(page)
  }))

  if (!screenshots) return
  for (const colorScheme of ['light', 'dark']) {
    await scenario(`screenshot, ${colorScheme}`, on('/', { colorScheme }, async ({ page }) => {
      await fill(page)
      await button(page, 'Send my token').click()
      await page.getByText('Your token is accepted').waitFor()
      await page.evaluate(() => document.activeElement.blur())
      await page.mouse.move(0, 0)
      await page.screenshot({ path: join(screenshots, `demo-${colorScheme}.png`), fullPage: true })
    }))
  }
}
