// Puts every vector of testdata/vectors to npm jose, an implementation that
// nobody here wrote, and compares the verdicts. Where ours is stricter the
// vector stands in vectors-reviewed.json, by name, under the reason. Ours is
// never laxer.
//
// Prints one line of JSON and ends. With --list it prints what the reviewed
// list would have to hold, for a person to review.
import { readFileSync, readdirSync } from 'node:fs'
import { SignJWT, compactVerify, createLocalJWKSet, decodeProtectedHeader, errors, jwtVerify } from 'jose'

const folder = new URL('../testdata/vectors/', import.meta.url)

// Three things are put to jose in its own terms.
//
// It takes no key without kid for a token with one. ReachFive does not document
// that its keys have a kid, so that ours does; jose is given such keys under
// the token's own kid, where no key bears it. And WebCrypto imports no public
// key that has more operations than verify.
function keySet(jwks, token) {
  jwks = {
    keys: jwks.keys.map((key) =>
      Array.isArray(key.key_ops) && key.key_ops.includes('verify') ? { ...key, key_ops: ['verify'] } : key,
    ),
  }
  let kid
  try {
    kid = decodeProtectedHeader(token).kid
  } catch {
    return jwks
  }
  if (typeof kid !== 'string' || jwks.keys.some((key) => key.kid === kid)) return jwks
  return { keys: jwks.keys.map((key) => (key.kid == null ? { ...key, kid } : key)) }
}

// It takes no null for nbf, where ours takes a null optional claim as absent.
// Once it has verified the signature, it is asked about the claims without it.
async function withoutNullNotBefore(token, key, options) {
  const { payload } = await compactVerify(token, key)
  const claims = JSON.parse(new TextDecoder().decode(payload))
  if (claims.nbf !== null) throw new Error('nbf is not null')
  delete claims.nbf
  const own = new TextEncoder().encode('a secret for the claims of one vector')
  const resigned = await new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(own)
  return jwtVerify(resigned, own, { ...options, algorithms: ['HS256'] })
}

async function judge(token, key, options) {
  try {
    return await jwtVerify(token, key, options)
  } catch (error) {
    if (error.claim === 'nbf' && error.reason === 'invalid') {
      return withoutNullNotBefore(token, key, options).catch(() => {
        throw error
      })
    }
    throw error
  }
}

async function verify(file, vector) {
  const options = {
    algorithms: [vector.algorithm],
    issuer: `https://${vector.domain}`,
    audience: [vector.client_id, ...(vector.audiences ?? [])],
    requiredClaims: ['iss', 'aud', 'exp', 'iat', 'sub'],
    currentDate: new Date(vector.clock * 1000),
    // Ours lets iat and nbf lie a minute ahead; jose has one tolerance for all.
    clockTolerance: Math.max(60, vector.leeway ?? 0),
    ...(vector.checks?.max_token_age === undefined ? {} : { maxTokenAge: vector.checks.max_token_age }),
  }
  if (vector.algorithm === 'HS256') {
    await judge(vector.token, new TextEncoder().encode(vector.secret), options)
    return
  }
  const keys = createLocalJWKSet(keySet(file.jwks[vector.jwks], vector.token))
  try {
    await judge(vector.token, keys, options)
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error
    // As jose's documentation has it: several keys may do, so each is tried.
    for await (const key of error) {
      try {
        await judge(vector.token, key, options)
        return
      } catch (inner) {
        if (!(inner instanceof errors.JWSSignatureVerificationFailed)) throw inner
      }
    }
    throw error
  }
}

const counts = { vectors: 0, agreeToAccept: 0, bothRefuse: 0, oursStricter: 0 }
const stricter = new Map()
const laxer = []
for (const name of readdirSync(folder).sort()) {
  const file = JSON.parse(readFileSync(new URL(name, folder)))
  for (const vector of file.vectors) {
    counts.vectors++
    let refusal
    await verify(file, vector).catch((error) => (refusal = error))
    const ours = vector.want === 'accept'
    if (ours && refusal) laxer.push(`${vector.name}: ${refusal.code ?? refusal}`)
    else if (ours) counts.agreeToAccept++
    else if (refusal) counts.bothRefuse++
    else {
      counts.oursStricter++
      stricter.set(vector.name, vector.rule)
    }
  }
}

const reviewed = JSON.parse(readFileSync(new URL('vectors-reviewed.json', import.meta.url)))
const listed = new Set()
const byRule = {}
for (const { rule, reason, length, vectors } of reviewed.oursStricter) {
  if (!reason || vectors.length !== length) throw new Error(`${rule}: want a reason, and ${vectors.length} as its length`)
  for (const name of vectors) {
    if (listed.has(name)) throw new Error(`${name} is listed twice`)
    listed.add(name)
  }
  byRule[rule] = length
}
if (listed.size !== reviewed.length) throw new Error(`the reviewed list has ${listed.size} vectors, and says ${reviewed.length}`)

if (process.argv.includes('--list')) {
  const lists = {}
  for (const [name, rule] of stricter) (lists[rule] ??= []).push(name)
  console.log(JSON.stringify(lists, null, 2))
} else {
  console.log(
    JSON.stringify({
      ...counts,
      byRule,
      laxer,
      notReviewed: [...stricter.keys()].filter((name) => !listed.has(name)),
      noLongerStricter: [...listed].filter((name) => !stricter.has(name)),
    }),
  )
}
