package demo

import (
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCommandsNameAnAddressThatThisMachineReaches(t *testing.T) {
	t.Parallel()
	for listening, want := range map[string]string{
		"127.0.0.1:8080": "127.0.0.1:8080",
		"0.0.0.0:8080":   "127.0.0.1:8080",
		"[::]:8080":      "127.0.0.1:8080",
		"[::1]:8080":     "[::1]:8080",
		"192.0.2.7:80":   "192.0.2.7:80",
	} {
		address, err := net.ResolveTCPAddr("tcp", listening)
		require.NoError(t, err)
		got, err := reachableAs(address)
		require.NoError(t, err)
		assert.Equal(t, want, got, listening)
	}
}
