package demo_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/config"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/demo"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/policy"
)

// output is written by the trial and read by the test.
type output struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.String()
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// TestATrialsFilesAreACompleteSetUp: a gateway of the written configuration
// accepts the written token, and the backend is there until the end.
func TestATrialsFilesAreACompleteSetUp(t *testing.T) {
	t.Parallel()
	dir, backend, proxy := filepath.Join(t.TempDir(), "trial"), freeAddress(t), freeAddress(t)
	ctx, end := context.WithCancel(t.Context())
	defer end()
	var out output
	ended := make(chan error, 1)
	go func() { ended <- demo.Trial{Dir: dir, Backend: backend, Proxy: proxy}.Run(ctx, &out) }()
	require.Eventually(t, func() bool { return strings.Contains(out.String(), "curl") }, 20*time.Second, 10*time.Millisecond)
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		return string(text)
	}

	cfg, problems := config.Parse([]byte(read("gateway.yaml")))
	require.NoError(t, problems.Err())
	policies := policy.Build(cfg, problems, os.LookupEnv, reachfive.WithLogger(slog.New(slog.DiscardHandler)))
	t.Cleanup(func() { _ = policies.Close() })
	require.NoError(t, problems.Err())
	api, found := policies.Find("api")
	require.True(t, found)
	question := httptest.NewRequest(http.MethodGet, "/auth/api", http.NoBody)
	question.Header.Set("Authorization", "Bearer "+read("token"))
	answer := httptest.NewRecorder()
	api.Answer(answer, question)
	assert.Equal(t, http.StatusOK, answer.Code, answer.Body)
	assert.NotEmpty(t, answer.Header().Get("X-Reachfive-Email"))

	nginx := read("nginx.conf")
	assert.Contains(t, nginx, "listen "+proxy+";")
	assert.Contains(t, nginx, "server "+backend+";")
	assert.Contains(t, nginx, "server "+cfg.Decision.Address+" ")
	assert.NotContains(t, nginx, "ssl")

	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+backend+"/api/", http.NoBody)
	require.NoError(t, err)
	request.Close = true
	request.Header.Set("X-Reachfive-Subject", "x")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	assert.Contains(t, string(body), "hello")

	end()
	require.NoError(t, <-ended)
	assert.Error(t, demo.Trial{Dir: dir, Backend: backend, Proxy: proxy}.Run(t.Context(), io.Discard), "the folder exists")
}
