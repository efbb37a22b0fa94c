// Runs named scenarios. Each prints its name, and one failure makes the script's
// exit code 1.

const failures = []
let passed = 0

export async function scenario(name, run) {
  try {
    await run()
    passed++
    console.log(`ok    ${name}`)
  } catch (error) {
    failures.push(name)
    console.log(`FAIL  ${name}\n      ${String(error.stack ?? error).replaceAll('\n', '\n      ')}`)
  }
}

export function finish() {
  console.log(`${passed} passed, ${failures.length} failed`)
  if (failures.length > 0 || passed === 0) process.exitCode = 1
}
