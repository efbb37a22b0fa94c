// The SDK's bundle assigns this global. If it is not declared, the bundle evaluates
// a string instead, for which the policy would have to allow eval.
globalThis.regeneratorRuntime = undefined
