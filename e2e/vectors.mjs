// Verifies every vector of testdata/vectors with npm jose, an implementation
// that nobody here wrote, and compares the verdicts. jose gets the token, the
// key set and the secret as they are in the vector. vectors-reviewed.json names
// each vector on which the verdicts differ, under the reason: those where this
// module is stricter, and the few where it is laxer.
//
// Prints one line of JSON and ends. With --list it prints what the reviewed
// lists would have to hold, for a person to review.
import { readFileSync, readdirSync } from 'node:fs'
import { createLocalJWKSet, errors, jwtVerify } from 'jose'

const folder = new URL('../testdata/vectors/', import.meta.url)

async function verify(file, vector) {
  const options = {
    algorithms: [vector.algorithm],
    issuer: `https://${vector.domain}`,
    audience: [vector.client_id, ...(vector.audiences ?? [])],
    requiredClaims: ['iss', 'aud', 'exp', 'iat', 'sub'],
    currentDate: new Date(vector.clock * 1000),
    clockTolerance: vector.leeway ?? 0,
    ...(vector.checks?.max_token_age === undefined ? {} : { maxTokenAge: vector.checks.max_token_age }),
  }
  if (vector.algorithm === 'HS256') {
    await jwtVerify(vector.token, new TextEncoder().encode(vector.secret), options)
    return
  }
  const keys = createLocalJWKSet(file.jwks[vector.jwks])
  try {
    await jwtVerify(vector.token, keys, options)
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error
    // As jose's documentation shows it: try each of several matching keys.
    for await (const key of error) {
      try {
        await jwtVerify(vector.token, key, options)
        return
      } catch (inner) {
        if (!(inner instanceof errors.JWSSignatureVerificationFailed)) throw inner
      }
    }
    throw error
  }
}

const counts = { vectors: 0, agreeToAccept: 0, bothRefuse: 0, oursStricter: 0, oursLaxer: 0 }
const differ = { oursStricter: new Map(), oursLaxer: new Map() }
for (const name of readdirSync(folder).sort()) {
  const file = JSON.parse(readFileSync(new URL(name, folder)))
  for (const vector of file.vectors) {
    counts.vectors++
    const theirs = await verify(file, vector).then(
      () => true,
      () => false,
    )
    const ours = vector.want === 'accept'
    if (ours === theirs) counts[ours ? 'agreeToAccept' : 'bothRefuse']++
    else {
      const kind = ours ? 'oursLaxer' : 'oursStricter'
      counts[kind]++
      differ[kind].set(vector.name, vector.rule)
    }
  }
}

// compare returns how the reviewed list of a kind differs from what was found.
function compare(kind, groups) {
  const listed = new Set()
  const byRule = {}
  for (const { rule, reason, length, vectors } of groups) {
    if (!reason || vectors.length !== length) throw new Error(`${rule}: want a reason, and ${vectors.length} as its length`)
    for (const name of vectors) {
      if (listed.has(name)) throw new Error(`${name} is listed twice`)
      listed.add(name)
    }
    byRule[rule] = length
  }
  return {
    reviewed: listed.size,
    byRule,
    notReviewed: [...differ[kind].keys()].filter((name) => !listed.has(name)),
    noLongerSo: [...listed].filter((name) => !differ[kind].has(name)),
  }
}

if (process.argv.includes('--list')) {
  const lists = {}
  for (const kind in differ) {
    lists[kind] = {}
    for (const [name, rule] of differ[kind]) (lists[kind][rule] ??= []).push(name)
  }
  console.log(JSON.stringify(lists, null, 2))
} else {
  const reviewed = JSON.parse(readFileSync(new URL('vectors-reviewed.json', import.meta.url)))
  const stricter = compare('oursStricter', reviewed.oursStricter)
  const laxer = compare('oursLaxer', reviewed.oursLaxer)
  if (stricter.reviewed !== reviewed.length) throw new Error(`the list has ${stricter.reviewed} vectors, and says ${reviewed.length}`)
  console.log(JSON.stringify({ ...counts, stricter, laxer }))
}
