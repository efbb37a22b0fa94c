// Package doctor examines a ReachFive tenant from this machine: whether its
// keys can be fetched, and whether they can verify a token.
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
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/reachfive-community/reachfive"
)

// Level is how bad a finding is.
type Level int

// The levels, from good to bad.
const (
	OK Level = iota
	Warning
	Failure
)

// String returns "ok", "warning" or "failure".
func (l Level) String() string { return [...]string{"ok", "warning", "failure"}[l] }

// MarshalText writes what String returns into JSON.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// Finding is the result of one check.
type Finding struct {
	Check string `json:"check"`
	Level Level  `json:"level"`
	Text  string `json:"text"`
}

// Patient is the tenant to examine.
type Patient struct {
	Domain  string
	Issuer  string       // "" for https:// and the domain
	JWKSURL string       // "" for /jwks.json of the domain
	Token   string       // one of the tenant's; may be ""
	Client  *http.Client // reaches the tenant
}

// Report is the result of an examination.
type Report struct {
	Findings []Finding
	Worst    Level
	Fetched  bool // whether the tenant returned a key set
}

// clientID is what New requires; no token is verified.
const clientID = "any-client"

// Examine makes every check. It returns an error if the tenant's addresses are
// not valid.
func Examine(ctx context.Context, p Patient) (Report, error) {
	e := &examination{Patient: p}
	opts := []reachfive.Option{reachfive.WithHTTPClient(p.Client)}
	byDomain, err := reachfive.New(p.Domain, clientID, opts...)
	if err != nil {
		return Report{}, err
	}
	defer func() { _ = byDomain.Close() }()
	if p.Issuer != "" {
		opts = append(opts, reachfive.WithIssuer(p.Issuer))
	}
	if p.JWKSURL != "" {
		opts = append(opts, reachfive.WithJWKSURL(p.JWKSURL))
	}
	v, err := reachfive.New(p.Domain, clientID, opts...)
	if err != nil {
		return Report{}, err
	}
	defer func() { _ = v.Close() }()
	e.direct = *p.Client
	e.direct.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

	origin := byDomain.Status().Issuer // https:// and the domain
	status := v.Status()
	e.discovery(ctx, origin, status.Issuer)
	e.eachKey(e.keys(ctx, cmp.Or(p.JWKSURL, origin+"/jwks.json"), status.JWKSURL))
	e.refresh(ctx, v)
	e.certificate(ctx, origin)
	e.clock()
	e.token()
	r := Report{Findings: e.findings, Fetched: e.fetched}
	for _, f := range e.findings {
		r.Worst = max(r.Worst, f.Level)
	}
	return r, nil
}

type examination struct {
	Patient

	direct   http.Client // like the library it follows no redirect
	findings []Finding
	dates    []skew
	peer     *tls.ConnectionState
	jwksURI  string // from discovery
	fetched  bool
}

func (e *examination) add(check string, level Level, text string) {
	e.findings = append(e.findings, Finding{check, level, text})
}

// get fetches a document, and keeps the certificate and the Date of the answer.
func (e *examination) get(ctx context.Context, from string) (document []byte, took time.Duration, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, http.NoBody)
	if err != nil {
		return nil, 0, err
	}
	began := time.Now()
	response, err := e.direct.Do(request)
	if err != nil {
		return nil, 0, withoutURL(err)
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

// withoutURL removes the URL, which may hold credentials, from an error.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

func (e *examination) discovery(ctx context.Context, origin, issuer string) {
	document, took, err := e.get(ctx, origin+"/.well-known/openid-configuration")
	if err != nil {
		e.add("discovery", Warning, "not fetched: "+err.Error()+" (only WithDiscovery needs it)")
		return
	}
	var configuration struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if json.Unmarshal(document, &configuration) != nil {
		e.add("discovery", Warning, "not a JSON object (only WithDiscovery needs it)")
		return
	}
	e.add("discovery", OK, "fetched in "+took.Round(time.Millisecond).String())
	if configuration.Issuer != issuer {
		e.add("issuer", Failure, "the tenant's issuer is "+configuration.Issuer+", but tokens are expected to have "+issuer+
			": use --issuer here and WithIssuer in your code")
	} else {
		e.add("issuer", OK, issuer)
	}
	e.jwksURI = configuration.JWKSURI
}

// keys fetches the key set from jwksURL, which is printed as shown.
func (e *examination) keys(ctx context.Context, jwksURL, shown string) []json.RawMessage {
	if e.jwksURI != "" && e.jwksURI != jwksURL {
		e.add("key set", Warning, "discovery names "+e.jwksURI+", but "+shown+
			" is used: use --jwks-url here, and WithDiscovery or WithJWKSURL in your code")
	}
	document, took, err := e.get(ctx, jwksURL)
	if err != nil {
		e.add("key set", Failure, "not fetched from "+shown+": "+err.Error())
		return nil
	}
	e.fetched = true
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(document, &set) != nil || set.Keys == nil {
		e.add("key set", Failure, "not a JWK Set of less than 512 KiB")
		return nil
	}
	e.add("key set", OK, fmt.Sprintf("keys: %d, fetched in %v", len(set.Keys), took.Round(time.Millisecond)))
	return set.Keys
}

// refresh makes the library fetch the keys. Its rules are stricter than reading
// them here, and they decide about tokens.
func (e *examination) refresh(ctx context.Context, v *reachfive.Verifier) {
	err := v.Refresh(ctx)
	s := v.Status()
	if err != nil {
		e.add("library", Failure, cmp.Or(s.LastError, err.Error())+": no RS256 token can be verified, each is answered with 503")
		return
	}
	e.add("library", OK, fmt.Sprintf("the keys are fresh for %v, and are used for %v during an outage",
		s.FreshUntil.Sub(s.FetchedAt), s.ServesUntil.Sub(s.FetchedAt)))
}

// token tells which algorithm a token's client uses.
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
		e.add("token", OK, "HS256: use WithClientSecret, or choose RS256 in the client's console (JWT Algorithm)")
	default:
		e.add("token", Failure, header.Alg+" is not an algorithm that ReachFive uses for ID tokens")
	}
}
