package reachfive

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Of the JOSE cookbook two tokens are of our algorithms and compact. Every JSON
// form, detached and unencoded payload, other algorithm and JWE is refused.
func TestCookbook(t *testing.T) {
	t.Parallel()
	accepted, refused := make(map[string]bool), 0
	err := filepath.WalkDir("testdata/cookbook", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".json" || filepath.Base(filepath.Dir(path)) == "jwk" {
			return err
		}
		type example struct {
			Input  struct{ Key json.RawMessage }
			Output map[string]json.RawMessage
		}
		var file struct {
			example
			Sign, Encrypt example
		}
		readCorpus(t, strings.TrimPrefix(path, "testdata/"), &file)
		for _, e := range []example{file.example, file.Sign, file.Encrypt} {
			var key corpusJWK
			if json.Unmarshal(e.Input.Key, &key) != nil { // several keys, or none
				key = corpusJWK{raw: json.RawMessage(`{}`)}
			}
			hs, rs, _ := key.verifiers(t)
			for form, raw := range e.Output {
				token := compactOf(t, raw)
				errHS, errRS := firstSteps(t, hs, token), firstSteps(t, rs, token)
				if errHS == nil || errRS == nil {
					accepted[filepath.Base(path)+" "+form] = true
				} else {
					refused++
					assert.Contains(t, []Code{CodeMalformedToken, CodeUnsupportedAlgorithm}, CodeOf(errHS), "%s %s", path, form)
				}
			}
		}
		return nil
	})
	require.NoError(t, err)
	assert.Equal(t, map[string]bool{
		"4_1.rsa_v15_signature.json compact":              true,
		"4_4.hmac-sha2_integrity_protection.json compact": true,
	}, accepted)
	t.Logf("%d accepted, %d refused", len(accepted), refused)
	assert.Greater(t, refused, 50)
}

// The keys of the cookbook: the public RSA key is admitted, the private one and
// every other kind are not.
func TestCookbookJWKs(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/cookbook/jwk/*.json")
	require.NoError(t, err)
	require.Len(t, paths, 6)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		_, err = parseKeySet([]byte(`{"keys":[` + string(text) + `]}`))
		assert.Equal(t, filepath.Base(path) == "3_3.rsa_public_key.json", err == nil, path)
	}
}
