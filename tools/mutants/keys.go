package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// pooled are how many RSA keys the test binaries need not make.
const pooled = 32

// keyPool is compiled into crypto/rsa of the test binaries. Most of the time of a
// short test goes into making RSA keys, and every change runs the tests in new
// processes. So GenerateKey takes keys from the file that MUTANT_KEYS names, each
// once, and makes those beyond it.
const keyPool = `package rsa

import (
	"io"
	"math/big"
	"os"
	"strings"
	"sync"
)

var mutantKeys = sync.OnceValue(func() chan [2]*big.Int {
	text, _ := os.ReadFile(os.Getenv("MUTANT_KEYS"))
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	keys := make(chan [2]*big.Int, len(lines))
	for _, line := range lines {
		if p, q, ok := strings.Cut(line, " "); ok {
			var primes [2]*big.Int
			primes[0], _ = new(big.Int).SetString(p, 16)
			primes[1], _ = new(big.Int).SetString(q, 16)
			keys <- primes
		}
	}
	close(keys)
	return keys
})

func GenerateKey(random io.Reader, bits int) (*PrivateKey, error) {
	if bits == 2048 {
		if primes, ok := <-mutantKeys(); ok {
			one := big.NewInt(1)
			p, q := new(big.Int).Sub(primes[0], one), new(big.Int).Sub(primes[1], one)
			totient := new(big.Int).Mul(p, q)
			key := &PrivateKey{PublicKey: PublicKey{N: new(big.Int).Mul(primes[0], primes[1]), E: 65537}, Primes: primes[:]}
			key.D = new(big.Int).ModInverse(big.NewInt(65537), totient)
			key.Precompute()
			return key, nil
		}
	}
	return mutantGenerateKey(random, bits)
}
`

// poolKeys makes the keys, and returns the file that has them and the files of
// crypto/rsa that are changed.
func poolKeys(ctx context.Context, dir string) (keys string, replace map[string]string, err error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", nil, err
	}
	const declared = "\nfunc GenerateKey("
	path := filepath.Join(strings.TrimSpace(string(out)), "src", "crypto", "rsa", "rsa.go")
	text, err := os.ReadFile(path)
	if err != nil {
		return "", nil, err
	}
	if strings.Count(string(text), declared) != 1 {
		return "", nil, fmt.Errorf("%s does not declare GenerateKey once", path)
	}
	replace = map[string]string{
		path: strings.Replace(string(text), declared, "\nfunc mutantGenerateKey(", 1),
		filepath.Join(filepath.Dir(path), "mutants_keys.go"): keyPool,
	}
	var lines strings.Builder
	for range pooled {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return "", nil, err
		}
		fmt.Fprintf(&lines, "%x %x\n", key.Primes[0], key.Primes[1])
	}
	keys = filepath.Join(dir, "keys")
	return keys, replace, os.WriteFile(keys, []byte(lines.String()), 0o600)
}
