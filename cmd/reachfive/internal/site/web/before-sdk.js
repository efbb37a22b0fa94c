// The SDK's bundle assigns this global, and where it is not declared falls back
// on evaluating a string, for which the policy would have to allow eval.
globalThis.regeneratorRuntime = undefined
