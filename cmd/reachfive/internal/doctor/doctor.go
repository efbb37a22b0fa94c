// Package doctor examines a ReachFive tenant from this machine: whether its
// keys can be fetched, and whether they would verify a token.
package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/reachfive-community/reachfive"
)

// Level is how bad a finding is.
type Level int

// The levels, from good to bad. They are the command's exit codes.
const (
	OK Level = iota
	Warning
	Failure
)

// String is the word for a level in the table.
func (l Level) String() string { return [...]string{"ok", "warning", "failure"}[l] }

// MarshalText writes the word for a level into JSON.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// Finding is one thing that was looked at.
type Finding struct {
	Check string `json:"check"`
	Level Level  `json:"level"`
	Text  string `json:"text"`
}

// Patient is the tenant to be examined.
type Patient struct {
	Domain   string
	ClientID string
	Token    string       // may be empty
	Client   *http.Client // reaches the tenant
}

// Examine looks at everything and returns what it found, with the worst level.
func Examine(ctx context.Context, p Patient) ([]Finding, Level) {
	e := &examination{Patient: p}
	// New judges the domain; nothing is fetched by it.
	v, err := reachfive.New(p.Domain, p.ClientID, reachfive.WithHTTPClient(p.Client))
	if err != nil {
		e.add("configuration", Failure, err.Error())
		return e.findings, Failure
	}
	e.direct = *p.Client
	e.direct.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	status := v.Status()
	e.discovery(ctx, status.Issuer)
	e.eachKey(ctx, e.keys(ctx, status.JWKSURL))
	e.refresh(ctx, v)
	e.certificate(ctx, status.Issuer)
	e.clock()
	e.token()
	worst := OK
	for _, f := range e.findings {
		worst = max(worst, f.Level)
	}
	return e.findings, worst
}

type examination struct {
	Patient
	direct   http.Client // follows no redirect, as the library does not
	findings []Finding
	dates    []skew
	peer     *tls.ConnectionState
	jwksURI  string
}

// skew is how far a server's clock was ahead of ours.
type skew struct{ ahead, precision time.Duration }

func (e *examination) add(check string, level Level, text string) {
	e.findings = append(e.findings, Finding{check, level, text})
}

// get fetches a document, and notes what the answer tells besides.
func (e *examination) get(ctx context.Context, from string) (document []byte, took time.Duration, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, http.NoBody)
	if err != nil {
		return nil, 0, err
	}
	began := time.Now()
	response, err := e.direct.Do(request)
	if err != nil {
		return nil, 0, plain(err)
	}
	defer func() { _ = response.Body.Close() }()
	took = time.Since(began)
	if response.TLS != nil {
		e.peer = response.TLS
	}
	if date, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		e.dates = append(e.dates, skew{ahead: date.Sub(began.Add(took / 2)), precision: time.Second + took/2})
	}
	if response.StatusCode != http.StatusOK {
		return nil, took, fmt.Errorf("status %d", response.StatusCode)
	}
	document, err = io.ReadAll(io.LimitReader(response.Body, 512<<10))
	return document, took, err
}

// plain leaves the URL, which may hold credentials, out of an error.
func plain(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

func (e *examination) discovery(ctx context.Context, issuer string) {
	document, took, err := e.get(ctx, issuer+"/.well-known/openid-configuration")
	if err != nil {
		e.add("discovery", Warning, "not read: "+err.Error()+"; only WithDiscovery needs it")
		return
	}
	var configuration struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if json.Unmarshal(document, &configuration) != nil {
		e.add("discovery", Warning, "no JSON object; only WithDiscovery needs it")
		return
	}
	e.add("discovery", OK, "read in "+took.Round(time.Millisecond).String())
	if configuration.Issuer != issuer {
		e.add("issuer", Failure, fmt.Sprintf("the tenant says %q, tokens must say %q: set WithIssuer", configuration.Issuer, issuer))
	} else {
		e.add("issuer", OK, issuer)
	}
	e.jwksURI = configuration.JWKSURI
}

func (e *examination) keys(ctx context.Context, jwksURL string) []json.RawMessage {
	if e.jwksURI != "" && e.jwksURI != jwksURL {
		e.add("key set", Warning, "discovery names "+e.jwksURI+", we use "+jwksURL+": set WithDiscovery")
	}
	document, took, err := e.get(ctx, jwksURL)
	if err != nil {
		e.add("key set", Failure, "not fetched: "+err.Error())
		return nil
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(document, &set) != nil || set.Keys == nil {
		e.add("key set", Failure, "no JWK Set of less than 512 KiB")
		return nil
	}
	e.add("key set", OK, fmt.Sprintf("%d keys in %v", len(set.Keys), took.Round(time.Millisecond)))
	return set.Keys
}

// eachKey asks a Verifier about each key alone, so that what is usable is
// decided where it is decided for a token; the reason is read off the key.
func (e *examination) eachKey(ctx context.Context, keys []json.RawMessage) {
	for i, raw := range keys {
		name, look := describe(raw)
		name = fmt.Sprintf("key %d %s", i+1, name)
		v, err := reachfive.New(e.Domain, e.ClientID, reachfive.WithHTTPClient(&http.Client{Transport: only(raw)}))
		if err == nil {
			err = v.Refresh(ctx)
			_ = v.Close()
		}
		if err != nil {
			e.add(name, Warning, "not usable: "+look)
			continue
		}
		e.add(name, OK, fmt.Sprintf("usable: %d bits, thumbprint %s", v.Status().Keys[0].Bits, v.Status().Keys[0].Thumbprint))
	}
}

// only is a provider with one key.
type only json.RawMessage

// RoundTrip answers every request with the key set.
func (o only) RoundTrip(*http.Request) (*http.Response, error) {
	body := `{"keys":[` + string(o) + `]}`
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, nil
}

// describe names a key and what speaks against it.
func describe(raw json.RawMessage) (name, against string) {
	var members map[string]any
	if json.Unmarshal(raw, &members) != nil {
		return "", "no JSON object"
	}
	if kid, ok := members["kid"].(string); ok {
		name = fmt.Sprintf("%q", kid)
	}
	var reasons []string
	for member, want := range map[string]string{"kty": "RSA", "use": "sig", "alg": "RS256"} {
		got, there := members[member]
		if there && got != nil && got != want || !there && member == "kty" {
			reasons = append(reasons, fmt.Sprintf("%s is %v, want %s", member, got, want))
		}
	}
	for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		if members[private] != nil {
			reasons = append(reasons, "it is private: rotate it now")
			break
		}
	}
	if n, ok := members["n"].(string); ok {
		if bits := bitLength(n); bits < 2048 || bits > 8192 {
			reasons = append(reasons, fmt.Sprintf("%d bits, want 2048 to 8192", bits))
		}
	}
	if e, ok := members["e"].(string); ok && e != "AQAB" {
		reasons = append(reasons, fmt.Sprintf("e is %q: if not AQAB (65537), it has to be a larger odd number", e))
	}
	if operations, there := members["key_ops"]; there {
		if list, ok := operations.([]any); !ok || !slices.Contains(list, any("verify")) {
			reasons = append(reasons, "key_ops is without verify")
		}
	}
	if reasons == nil {
		reasons = []string{"a member is malformed or stands twice, or the modulus is a weak one (CVE-2017-15361)"}
	}
	return name, strings.Join(reasons, "; ")
}

func bitLength(n string) int {
	bytes, err := base64.RawURLEncoding.DecodeString(n)
	if err != nil || len(bytes) == 0 {
		return 0
	}
	return 8*(len(bytes)-1) + int(math.Floor(math.Log2(math.Max(float64(bytes[0]), 1)))) + 1
}

// refresh has the library fetch the keys by its own rules, which are stricter
// than reading them: what it does not take verifies no token.
func (e *examination) refresh(ctx context.Context, v *reachfive.Verifier) {
	defer func() { _ = v.Close() }()
	err := v.Refresh(ctx)
	s := v.Status()
	if err != nil {
		e.add("library", Failure, cmp.Or(s.LastError, err.Error())+": every RS256 token is answered with 503")
		return
	}
	e.add("library", OK, fmt.Sprintf("takes the keys: they are fresh for %v, and serve for %v through an outage",
		s.FreshUntil.Sub(s.FetchedAt), s.ServesUntil.Sub(s.FetchedAt)))
}

// certificate tells how long the certificate is good. If it is not, nothing
// could be fetched, and a handshake that trusts nobody and sends nothing reads
// its date.
func (e *examination) certificate(ctx context.Context, issuer string) {
	if e.peer == nil {
		e.peer = e.handshake(ctx, issuer)
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
		e.add("certificate", OK, fmt.Sprintf("good for %d days", days))
	}
}

func (e *examination) handshake(ctx context.Context, issuer string) *tls.ConnectionState {
	transport, ok := e.Client.Transport.(*http.Transport)
	u, err := url.Parse(issuer)
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

// clock compares our clock with the tenant's, by which tokens are dated.
func (e *examination) clock() {
	if len(e.dates) == 0 {
		e.add("clock", Warning, "not compared: no answer with a Date came")
		return
	}
	best := e.dates[0]
	for _, d := range e.dates {
		if d.precision < best.precision {
			best = d
		}
	}
	// A Date has whole seconds, and its answer took a while: this much is sure.
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
		e.add("clock", level, fmt.Sprintf("this machine is at least %v behind the tenant: over a minute, fresh tokens are refused as not_yet_valid", off))
	default:
		e.add("clock", level, fmt.Sprintf("this machine is at least %v ahead of the tenant: tokens expire that much early", off))
	}
}

// token tells which algorithm the client uses, by a token of its.
func (e *examination) token() {
	if e.Token == "" {
		return
	}
	first, _, _ := strings.Cut(e.Token, ".")
	text, err := base64.RawURLEncoding.DecodeString(first)
	var header struct {
		Alg string `json:"alg"`
	}
	if err != nil || json.Unmarshal(text, &header) != nil {
		e.add("token", Failure, "its header cannot be read")
		return
	}
	switch header.Alg {
	case "RS256":
		e.add("token", OK, "RS256: no client secret is needed")
	case "HS256":
		e.add("token", OK, "HS256: set WithClientSecret, or choose RS256 in the client's console (JWT Algorithm)")
	default:
		e.add("token", Failure, fmt.Sprintf("%q is no algorithm of ReachFive's", header.Alg))
	}
}
