package recipes_test

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// arrived is a request as the backend got it.
type arrived struct {
	Method string
	Target string // as it was on the wire
	Header http.Header
	Host   string
	Body   int // its length in bytes
}

// identity returns every field that a backend could take for an identity
// header, whatever its spelling.
func (a arrived) identity() map[string][]string {
	found := map[string][]string{}
	for name, values := range a.Header {
		if strings.HasPrefix(strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name)), "x-reachfive") {
			found[name] = values
		}
	}
	return found
}

// backend is an application that answers with what it got, and upgrades.
type backend struct {
	address string

	mu       sync.Mutex
	requests []arrived
}

func startBackend(tb testing.TB) *backend {
	tb.Helper()
	b := &backend{}
	server := httptest.NewServer(http.HandlerFunc(b.serve))
	tb.Cleanup(server.Close)
	b.address = strings.TrimPrefix(server.URL, "http://")
	return b
}

func (b *backend) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // as far as it came
	got := arrived{Method: r.Method, Target: r.RequestURI, Header: r.Header.Clone(), Host: r.Host, Body: len(body)}
	b.mu.Lock()
	b.requests = append(b.requests, got)
	b.mu.Unlock()
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		upgrade(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-From", "backend")
	_ = json.NewEncoder(w).Encode(got)
}

// upgrade switches protocols and echoes a line with the subject before it.
func upgrade(w http.ResponseWriter, r *http.Request) {
	conn, stream, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	// https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
	digest := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	_, _ = stream.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
		base64.StdEncoding.EncodeToString(digest[:]) + "\r\n\r\n")
	_ = stream.Flush()
	line, err := bufio.NewReader(stream).ReadString('\n')
	if err != nil {
		return
	}
	_, _ = io.WriteString(conn, r.Header.Get("X-Reachfive-Subject")+" "+line)
}

// take returns what arrived since the last call.
func (b *backend) take() []arrived {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.requests
	b.requests = nil
	return taken
}
