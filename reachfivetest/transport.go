package reachfivetest

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

// streamFrom is the number of bytes of a body that wait until the handler ends.
// A longer body is streamed.
const streamFrom = 64 << 10

// Transport returns an http.RoundTripper that passes requests to the tenant in
// memory: it needs no socket and no TLS, and leaves nothing behind when the
// response body is closed, so it works inside a testing/synctest bubble. It
// answers https requests for the tenant's name, localhost and 127.0.0.1 on any
// port, and returns an error for others. It respects the request's context and
// http.ErrAbortHandler. A body shorter than its Content-Length ends in
// io.ErrUnexpectedEOF, as over a connection.
func (t *Tenant) Transport() http.RoundTripper { return memory{t} }

type memory struct{ tenant *Tenant }

// RoundTrip implements http.RoundTripper.
func (m memory) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := m.check(req); err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err
	}
	ctx, cancel := context.WithCancel(req.Context())
	x := &exchange{
		request: req,
		header:  http.Header{},
		cancel:  cancel,
		answer:  make(chan *http.Response, 1),
		failure: make(chan error, 1),
	}
	if !m.tenant.enter(x) {
		cancel()
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, errClosed
	}
	go func() {
		defer m.tenant.leave(x)
		x.serve(ctx, m.tenant.handler)
	}()
	select {
	case res := <-x.answer:
		return res, nil
	case err := <-x.failure:
		return nil, err
	case <-ctx.Done():
	}
	// An exchange that has ended cancels its own context, so its answer or its
	// failure may be there.
	select {
	case res := <-x.answer:
		return res, nil
	case err := <-x.failure:
		return nil, err
	default:
	}
	return nil, x.cutOff()
}

// cutOff returns the error of an exchange that the caller or Close has ended
// before its handler did.
func (x *exchange) cutOff() error {
	if err := x.request.Context().Err(); err != nil {
		return err
	}
	return errClosed
}

var errClosed = errors.New("reachfivetest: the tenant is closed")

// check refuses requests that would fail over a connection, because of the
// certificate or the scheme.
func (m memory) check(req *http.Request) error {
	if req.URL == nil || req.URL.Scheme != "https" {
		return errors.New("reachfivetest: the tenant speaks https only")
	}
	switch host := req.URL.Hostname(); host {
	case m.tenant.settings.name, "localhost", "127.0.0.1":
		return nil
	default:
		return fmt.Errorf("reachfivetest: %q is not the tenant's name", host)
	}
}

// enter registers an exchange, so that Close can end it.
func (t *Tenant) enter(x *exchange) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.exchanges[x] = struct{}{}
	t.running.Add(1)
	return true
}

func (t *Tenant) leave(x *exchange) {
	t.mu.Lock()
	delete(t.exchanges, x)
	t.mu.Unlock()
	t.running.Done()
}

// exchange is one in-memory request, and the ResponseWriter of its handler.
// Except for cancel and the channels, only the handler's goroutine uses it.
type exchange struct {
	request *http.Request
	cancel  context.CancelFunc
	answer  chan *http.Response // the response, when its header is known
	failure chan error          // or why there is none

	served  *http.Request // the request as the handler has it
	header  http.Header   // the handler's
	status  int           // 0 until WriteHeader
	sent    http.Header   // as it was at WriteHeader
	written int64
	body    bytes.Buffer   // until it is streamed
	stream  *io.PipeWriter // from then on
	unlink  func() bool    // the stream from the request's context
}

// serve runs the handler and completes the response.
func (x *exchange) serve(ctx context.Context, handler http.Handler) {
	r := x.serverRequest(ctx)
	x.served = r
	defer func() {
		_ = r.Body.Close()
		if recover() != nil {
			x.fail(io.ErrUnexpectedEOF) // net/http cuts the connection
			return
		}
		if ctx.Err() != nil {
			x.fail(x.cutOff()) // whatever the handler has written
			return
		}
		x.finish()
	}()
	handler.ServeHTTP(x, r)
}

// serverRequest returns the request as a server would have read it.
func (x *exchange) serverRequest(ctx context.Context) *http.Request {
	r := x.request.Clone(ctx)
	if r.Host == "" {
		r.Host = r.URL.Host
	}
	r.RequestURI = r.URL.RequestURI()
	r.URL = &url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.1", 1, 1
	r.RemoteAddr = "127.0.0.1:1"
	r.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true, ServerName: x.request.URL.Hostname()}
	r.GetBody = nil
	if r.Body == nil {
		r.Body = http.NoBody
	}
	return r
}

// Header implements http.ResponseWriter.
func (x *exchange) Header() http.Header { return x.header }

// WriteHeader implements http.ResponseWriter.
func (x *exchange) WriteHeader(status int) {
	if x.status != 0 || status < 200 {
		return // the header is sent once; informational responses are ignored
	}
	x.status = status
	x.sent = maps.Clone(x.header)
	for name, values := range x.sent {
		x.sent[name] = slices.Clone(values)
	}
}

// Write implements http.ResponseWriter.
func (x *exchange) Write(p []byte) (int, error) {
	if x.status == 0 {
		if x.header.Get("Content-Type") == "" && len(p) > 0 {
			x.header.Set("Content-Type", http.DetectContentType(p))
		}
		x.WriteHeader(http.StatusOK)
	}
	x.written += int64(len(p))
	if x.request.Method == http.MethodHead {
		return len(p), nil
	}
	if x.stream == nil && x.body.Len()+len(p) > streamFrom {
		x.Flush()
	}
	if x.stream != nil {
		return x.stream.Write(p)
	}
	return x.body.Write(p)
}

// Flush implements http.Flusher: everything written later is streamed.
func (x *exchange) Flush() {
	if x.stream != nil {
		return
	}
	x.WriteHeader(http.StatusOK)
	reader, writer := io.Pipe()
	x.stream = writer
	x.unlink = context.AfterFunc(x.served.Context(), func() {
		_ = writer.CloseWithError(x.cutOff())
	})
	x.respond(io.MultiReader(bytes.NewReader(x.body.Bytes()), reader), reader, -1)
}

// finish ends the body, with an error if the handler promised a longer one.
func (x *exchange) finish() {
	x.WriteHeader(http.StatusOK)
	var end error
	promised, err := strconv.ParseInt(x.sent.Get("Content-Length"), 10, 64)
	if err == nil && x.written < promised && x.request.Method != http.MethodHead {
		end = io.ErrUnexpectedEOF
	}
	if x.stream != nil {
		x.endStream(end)
		return
	}
	body := io.Reader(bytes.NewReader(x.body.Bytes()))
	length := int64(x.body.Len())
	if end != nil {
		body, length = io.MultiReader(body, failingReader{end}), promised
	}
	x.respond(body, nil, length)
	x.cancel()
}

func (x *exchange) fail(err error) {
	if x.stream != nil {
		x.endStream(err)
		return
	}
	x.failure <- err
	x.cancel()
}

func (x *exchange) endStream(err error) {
	x.unlink()
	_ = x.stream.CloseWithError(err)
	x.cancel()
}

func (x *exchange) respond(body io.Reader, stream *io.PipeReader, length int64) {
	x.answer <- &http.Response{
		Status:        strconv.Itoa(x.status) + " " + http.StatusText(x.status),
		StatusCode:    x.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        x.sent,
		Body:          &responseBody{Reader: body, stream: stream, cancel: x.cancel},
		ContentLength: length,
		Request:       x.request,
	}
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

// responseBody ends the handler when the client closes the body.
type responseBody struct {
	io.Reader
	stream *io.PipeReader
	cancel context.CancelFunc
}

func (b *responseBody) Close() error {
	b.cancel()
	if b.stream != nil {
		return b.stream.Close()
	}
	return nil
}
