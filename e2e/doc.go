// Package e2e holds the end-to-end tests: the verifier beside providers and
// clients that nobody here wrote. It has no code of its own.
package e2e
