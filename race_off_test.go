//go:build !race

package reachfive_test

const raceDetector = false
