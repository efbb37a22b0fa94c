// Verifies embedreach's tokens with two independent JWT libraries: jsonwebtoken,
// which the sample in Reach's documentation uses, and jose.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import * as jose from 'jose'
import jwt from 'jsonwebtoken'
import { finish, scenario } from './scenarios.mjs'

const secret = 'KiHTYd2yCaoqRW2V8IxMP81XfyUbLadEZNO0IS02'
const partnerId = 'partner-42'
const now = 1_700_000_000
const ttl = 3600

const names = [
  'Jane Doe', `O'Neil & "Sons" <script>alert(1)</script>`, 'Søren Ångström', '山田 太郎', 'ناديا', '👩🏽‍🚀 Ripley',
  'line\u2028and\u2029paragraph', 'back\\slash /solidus', '","partnerId":"other', '\ufeffmark', '\ufffd', 'a'.repeat(255),
]
const identities = names.map((Name, i) => ({
  Email: `user+${i}@acme.example`, Name, ExternalID: `user-${i}`, TenantExternalID: `tenant/${i % 3}`,
}))
// Every printable character up to U+04FF, so that no escape is missed.
for (let from = 0x20; from < 0x500; from += 60) {
  const text = Array.from({ length: 60 }, (_, i) => from + i).filter((c) => c < 0x7f || c > 0x9f)
  identities.push({
    Email: 'all@acme.example', Name: 'x' + String.fromCodePoint(...text), ExternalID: randomBytes(20).toString('base64'),
    TenantExternalID: randomBytes(16).toString('hex'),
  })
}

function mint(request) {
  const out = execFileSync('go', ['run', './mint'], {
    cwd: fileURLToPath(new URL('.', import.meta.url)), input: JSON.stringify(request), maxBuffer: 1 << 24,
  })
  return JSON.parse(out)
}

const key = new TextEncoder().encode(secret)
const at = (seconds) => ({ algorithms: ['HS256'], clockTimestamp: seconds })
const joseAt = (seconds) => ({ algorithms: ['HS256'], typ: 'JWT', currentDate: new Date(seconds * 1000) })
const claimsOf = (id) => ({
  email: id.Email, name: id.Name, externalId: id.ExternalID, tenantExternalId: id.TenantExternalID,
  partnerId, iat: now, exp: now + ttl,
})

const minted = mint({ secret, partnerId, now, ttl, identities })

await scenario(`jsonwebtoken verifies ${identities.length} tenant tokens and reads every field`, () => {
  assert.equal(minted.tenant.length, identities.length)
  minted.tenant.forEach((token, i) => {
    const { header, payload } = jwt.verify(token, secret, { ...at(now), complete: true })
    assert.deepEqual(header, { alg: 'HS256', typ: 'JWT' })
    assert.deepEqual(payload, claimsOf(identities[i]))
  })
})

await scenario(`jose verifies ${identities.length} tenant tokens and reads every field`, async () => {
  for (const [i, token] of minted.tenant.entries()) {
    const { protectedHeader, payload } = await jose.jwtVerify(token, key, joseAt(now))
    assert.deepEqual({ ...protectedHeader }, { alg: 'HS256', typ: 'JWT' })
    assert.deepEqual({ ...payload }, claimsOf(identities[i]))
  }
})

await scenario("claims are those of the vendor sample's jwt.sign(payload, secret), plus externalId", () => {
  minted.tenant.forEach((token, i) => {
    const id = identities[i]
    const sample = jwt.sign({
      email: id.Email, name: id.Name, tenantExternalId: id.TenantExternalID, partnerId, iat: now, exp: now + ttl,
    }, secret)
    assert.deepEqual(jwt.decode(token), { ...jwt.decode(sample), externalId: id.ExternalID })
    assert.equal(token.split('.')[0], sample.split('.')[0], 'header, byte for byte')
  })
})

await scenario('jsonwebtoken signs the same token byte for byte, given the fields in the order of the table', () => {
  let compared = 0
  minted.tenant.forEach((token, i) => {
    // Go writes U+2028 and U+2029 as escapes: the same string, in other bytes.
    if (/[\u2028\u2029]/.test(identities[i].Name)) return
    assert.equal(token, jwt.sign(claimsOf(identities[i]), secret))
    compared++
  })
  assert.equal(compared, identities.length - 1)
})

await scenario('both read the partner token', async () => {
  const want = { partnerId, type: 'partner', iat: now, exp: now + ttl }
  assert.deepEqual(jwt.verify(minted.partner, secret, at(now)), want)
  assert.deepEqual({ ...(await jose.jwtVerify(minted.partner, key, joseAt(now))).payload }, want)
  assert.equal(minted.partner, jwt.sign(want, secret))
})

await scenario('both accept a token in its last second and refuse it in the next', async () => {
  const [token] = minted.tenant
  jwt.verify(token, secret, at(now + ttl - 1))
  await jose.jwtVerify(token, key, joseAt(now + ttl - 1))
  assert.throws(() => jwt.verify(token, secret, at(now + ttl)), { name: 'TokenExpiredError' })
  await assert.rejects(jose.jwtVerify(token, key, joseAt(now + ttl)), { code: 'ERR_JWT_EXPIRED' })
})

await scenario('both refuse another secret, and the secret decoded from base64url', async () => {
  const [token] = minted.tenant
  for (const wrong of [Buffer.from(secret.toLowerCase()), Buffer.from(secret, 'base64url'), Buffer.from(secret + '\n')]) {
    assert.throws(() => jwt.verify(token, wrong, at(now)), { name: 'JsonWebTokenError', message: 'invalid signature' })
    await assert.rejects(jose.jwtVerify(token, wrong, joseAt(now)), { code: 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED' })
  }
})

await scenario('both refuse a token whose tenant was changed', async () => {
  const [header, payload, signature] = minted.tenant[0].split('.')
  const claims = JSON.parse(Buffer.from(payload, 'base64url'))
  const changed = Buffer.from(JSON.stringify({ ...claims, tenantExternalId: 'tenant/1' })).toString('base64url')
  const forged = `${header}.${changed}.${signature}`
  assert.throws(() => jwt.verify(forged, secret, at(now)), { message: 'invalid signature' })
  await assert.rejects(jose.jwtVerify(forged, key, joseAt(now)), { code: 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED' })
})

finish()
