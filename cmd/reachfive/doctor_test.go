package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive/reachfivetest"
)

func TestDoctorsExitCodeTellsWhetherTheTenantIsInOrder(t *testing.T) {
	t.Parallel()
	for fault, want := range map[string]int{
		"none": exitYes, "weak-key": exitNo, "clock": exitNo, "down": exitUnknown, "certificate": exitUnknown,
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			code, out, errs := command(t, nil, "doctor", "--demo", "--fault", fault)
			assert.Equal(t, want, code, out)
			assert.Contains(t, out, "certificate")
			assert.Empty(t, errs)
		})
	}
}

func TestDoctorPrintsJSON(t *testing.T) {
	t.Parallel()
	code, out, _ := command(t, nil, "doctor", "--demo", "--json")
	assert.Equal(t, exitYes, code)
	var findings []struct{ Check, Level, Text string }
	require.NoError(t, json.Unmarshal([]byte(out), &findings))
	require.NotEmpty(t, findings)
	assert.Equal(t, "ok", findings[0].Level)
	assert.NotRegexp(t, `"[A-Z]\w*":`, out)
}

func TestDoctorTellsTheAlgorithmOfAToken(t *testing.T) {
	t.Parallel()
	token := "Bearer " + reachfivetest.NewTenant(t).Token(reachfivetest.HS256())
	for _, args := range [][]string{{"--token-file", "-"}, {"--token-file", inFile(t, token)}} {
		code, out, _ := commandWithInput(t, token, nil, append([]string{"doctor", "--demo"}, args...)...)
		assert.Equal(t, exitYes, code)
		assert.Contains(t, out, "HS256: use WithClientSecret")
	}
	code, _, errs := command(t, nil, "doctor", "--demo", "--token-file", "/nonexistent")
	assert.Equal(t, exitUnknown, code)
	assert.Contains(t, errs, "no such file")
}
