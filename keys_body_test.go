package reachfive_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
)

func TestKeyBodyThatIsCutIsAFailedFetch(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		cut    func(c *net.TCPConn, keys string)
		class  string
		status string
	}{
		{"reset in the middle", func(c *net.TCPConn, keys string) {
			_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(keys), keys[:len(keys)/2])
			_ = c.SetLinger(0)
		}, "connection", ""},
		{"closed before its Content-Length", func(c *net.TCPConn, keys string) {
			_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(keys)+1, keys)
		}, "connection", ""},
		{"closed within a chunk", func(c *net.TCPConn, keys string) {
			_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s", len(keys)+1, keys)
		}, "connection", ""},
		{"closed without an end, cut within the JSON", func(c *net.TCPConn, keys string) {
			_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%s", keys[:len(keys)-1])
		}, "no JWK Set", ""},
		{"closed at once", func(*net.TCPConn, string) {}, "connection", ""},
		{"no HTTP", func(c *net.TCPConn, _ string) { _, _ = io.WriteString(c, "SSH-2.0-OpenSSH_9.6\r\n") }, "connection", ""},
		{"a header without end", func(c *net.TCPConn, _ string) {
			_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nX: %s", strings.Repeat("x", 200<<10))
		}, "connection", ""},
		{"cut gzip", func(c *net.TCPConn, keys string) {
			var zipped bytes.Buffer
			w := gzip.NewWriter(&zipped)
			_, _ = io.WriteString(w, keys)
			_ = w.Close()
			_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n%s", zipped.Bytes()[:zipped.Len()-10])
		}, "connection", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p *provider
			p = newProvider(t, func(w http.ResponseWriter, _ *http.Request) {
				c, _, err := http.NewResponseController(w).Hijack()
				if !assert.NoError(t, err) {
					return
				}
				tt.cut(c.(*net.TCPConn), p.keys())
				_ = c.Close()
			})
			p.Start()
			p.failsWith(t, verifierOf(t, p.tenant, reachfive.WithJWKSURL(p.URL+"/")), tt.class)
		})
	}
}

func TestKeyAnswerWithAHugeHeaderIsAFailedFetch(t *testing.T) {
	t.Parallel()
	for size, good := range map[int]bool{32 << 10: true, 200 << 10: false} {
		t.Run(fmt.Sprint(size>>10, " KiB"), func(t *testing.T) {
			var p *provider
			p = newProvider(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X", strings.Repeat("x", size))
				p.serveKeys(w, r)
			})
			p.Start()
			v := verifierOf(t, p.tenant, reachfive.WithJWKSURL(p.URL+"/"))
			if good {
				require.NoError(t, v.Refresh(t.Context()))
				return
			}
			p.failsWith(t, v, "connection")
		})
	}
}

func TestKeyBodyOfAnySizeCostsLittleMemory(t *testing.T) {
	// 300 members of a MiB each, which every reader of gzip takes as one.
	var member, bomb bytes.Buffer
	zip, err := gzip.NewWriterLevel(&member, gzip.BestCompression)
	require.NoError(t, err)
	zeros := make([]byte, 1<<20)
	_, err = zip.Write(zeros)
	require.NoError(t, err)
	require.NoError(t, zip.Close())
	for range 300 {
		_, _ = bomb.Write(member.Bytes())
	}
	t.Logf("a gzip bomb of %d KiB for 300 MiB", bomb.Len()>>10)
	for _, tt := range []struct {
		name   string
		handle http.HandlerFunc
	}{
		{"a gzip bomb", func(w http.ResponseWriter, r *http.Request) {
			assert.Contains(t, r.Header.Get("Accept-Encoding"), "gzip")
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
		}},
		{"100 MiB", func(w http.ResponseWriter, _ *http.Request) {
			for range 100 {
				if _, err := w.Write(zeros); err != nil {
					return
				}
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newProvider(t, tt.handle)
			p.Start()
			v := verifierOf(t, p.tenant, reachfive.WithJWKSURL(p.URL+"/"))
			token := p.tenant.Token()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := v.Verify(t.Context(), token)
			runtime.ReadMemStats(&after)
			unavailable(t, err)
			assert.Equal(t, "document too large", v.Status().LastError)
			allocated := after.TotalAlloc - before.TotalAlloc
			assert.Less(t, allocated, uint64(8<<20))
			t.Logf("allocated in all: %d KiB", allocated>>10)
		})
	}
}

func TestKeyFetchOverGzip(t *testing.T) {
	t.Parallel()
	var p *provider
	p = newProvider(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		zip := gzip.NewWriter(w)
		_, _ = io.WriteString(zip, p.keys())
		_ = zip.Close()
	})
	p.Start()
	require.NoError(t, verifierOf(t, p.tenant, reachfive.WithJWKSURL(p.URL+"/")).Refresh(t.Context()))
}
