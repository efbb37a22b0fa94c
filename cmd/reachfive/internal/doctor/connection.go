package doctor

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

// skew is how far a server's clock is ahead of this machine's.
type skew struct{ ahead, precision time.Duration }

// certificate tells how long the certificate is valid. If nothing could be
// fetched, a handshake that trusts any certificate and sends nothing reads it.
func (e *examination) certificate(ctx context.Context, origin string) {
	if e.peer == nil {
		e.peer = e.handshake(ctx, origin)
	}
	if e.peer == nil || len(e.peer.PeerCertificates) == 0 {
		e.add("certificate", Warning, "not seen")
		return
	}
	left := time.Until(e.peer.PeerCertificates[0].NotAfter)
	days := int(left.Hours() / 24)
	switch {
	case left <= 0:
		e.add("certificate", Failure, "expired on "+e.peer.PeerCertificates[0].NotAfter.UTC().Format(time.DateOnly))
	case days < 14:
		e.add("certificate", Warning, fmt.Sprintf("expires in %d days", days))
	default:
		e.add("certificate", OK, fmt.Sprintf("valid for %d days", days))
	}
}

func (e *examination) handshake(ctx context.Context, origin string) *tls.ConnectionState {
	transport, ok := e.Client.Transport.(*http.Transport)
	u, err := url.Parse(origin)
	if err != nil {
		return nil
	}
	dial := (&net.Dialer{Timeout: 5 * time.Second}).DialContext
	if ok && transport.DialContext != nil {
		dial = transport.DialContext
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	conn, err := dial(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return nil
	}
	defer func() { _ = conn.Close() }()
	//nolint:gosec // nothing is sent over it and nothing read from it is trusted: only the date is shown
	client := tls.Client(conn, &tls.Config{ServerName: u.Hostname(), InsecureSkipVerify: true})
	if client.HandshakeContext(ctx) != nil {
		return nil
	}
	state := client.ConnectionState()
	return &state
}

// clock compares this machine's clock with the tenant's, which dates the tokens.
func (e *examination) clock() {
	if len(e.dates) == 0 {
		e.add("clock", Warning, "not compared: no answer had a Date")
		return
	}
	best := e.dates[0]
	for _, d := range e.dates {
		if d.precision < best.precision {
			best = d
		}
	}
	// A Date has whole seconds, and the answer took some time to arrive: the
	// clocks differ by at least this much.
	off := max(best.ahead.Abs()-best.precision, 0).Round(time.Second)
	level := OK
	switch {
	case off > time.Minute:
		level = Failure
	case off > 10*time.Second:
		level = Warning
	}
	switch {
	case level == OK:
		e.add("clock", OK, "agrees with the tenant's")
	case best.ahead > 0:
		e.add("clock", level, fmt.Sprintf("this machine is at least %v behind the tenant: over a minute, new tokens are refused as not_yet_valid", off))
	default:
		e.add("clock", level, fmt.Sprintf("this machine is at least %v ahead of the tenant: tokens expire that much too early", off))
	}
}
