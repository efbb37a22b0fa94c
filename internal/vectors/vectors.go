// Package vectors makes the corpus of tokens in testdata/vectors: what a
// verifier of ReachFive's ID tokens must accept, what it must refuse, and with
// which code. It uses only the standard library and shares no code with the
// verifier, so a bug cannot be in both. The expected verdicts were written for
// this project, however: a rule that its authors misunderstood is wrong in the
// corpus and in the verifier alike. Keys are fixed and signatures deterministic;
// every run writes the same bytes.
package vectors

//go:generate go run ./generate ../../testdata/vectors

import (
	"bytes"
	"encoding/json"
	"slices"
)

// Accept is the verdict on a good token; any other is the code of a refusal.
const Accept = "accept"

// File is one file of the corpus.
type File struct {
	// Comment says what the file is about.
	Comment string `json:"comment"`
	// JWKS are the key sets that the vectors name.
	JWKS map[string]json.RawMessage `json:"jwks"`
	// Vectors are the tokens.
	Vectors []Vector `json:"vectors"`
}

// Vector is one token with everything that the verdict on it depends on.
type Vector struct {
	// Name is unique in the corpus.
	Name string `json:"name"`
	// Comment says why the verdict is what it is, where the name does not.
	Comment string `json:"comment,omitempty"`
	// Rule is the rule under test. Its number groups the rules: 3.1 is about the
	// text, 3.2 the header, 3.3 the key, 3.4 the signature, 3.5 the payload, 3.6
	// and 3.7 the claims, 3.8 the checks, 5 the admission of keys, 8 the details.
	Rule string `json:"rule"`
	// Mutation says how the token differs from a plain good one.
	Mutation string `json:"mutation"`
	// Domain is the tenant's: the issuer is "https://" and the domain.
	Domain string `json:"domain"`
	// ClientID is the client whose tokens are accepted.
	ClientID string `json:"client_id"`
	// Audiences are further clients whose tokens are accepted.
	Audiences []string `json:"audiences,omitempty"`
	// Algorithm is the one that is configured: HS256 or RS256.
	Algorithm string `json:"algorithm"`
	// JWKS names the key set to verify RS256 with.
	JWKS string `json:"jwks,omitempty"`
	// Secret is the client secret to verify HS256 with; its bytes are the key.
	Secret string `json:"secret,omitempty"`
	// Clock is the present, in seconds since 1970.
	Clock int64 `json:"clock"`
	// Leeway is for how many seconds after exp a token is accepted.
	Leeway int64 `json:"leeway,omitempty"`
	// AllowAccessTokenClaims lifts the rule against scope, scp and client_id.
	AllowAccessTokenClaims bool `json:"allow_access_token_claims,omitempty"`
	// Checks are asked for beyond the rules that every token is under.
	Checks *Checks `json:"checks,omitempty"`
	// Token is the token, possibly one that no issuer ever wrote.
	Token string `json:"token"`
	// Want is "accept" or the code of the refusal.
	Want string `json:"want"`
	// Claim is the claim that the refusal names, where several are at fault.
	Claim string `json:"claim,omitempty"`
}

// Checks are what a caller asks of a token beyond the rules.
type Checks struct {
	Nonce         *string  `json:"nonce,omitempty"`
	MaxAge        *int64   `json:"max_age,omitempty"`       // seconds since auth_time
	MaxTokenAge   *int64   `json:"max_token_age,omitempty"` // seconds since iat
	AMR           []string `json:"amr,omitempty"`           // all of them
	ACR           []string `json:"acr,omitempty"`           // any of them
	AuthType      []string `json:"auth_type,omitempty"`     // any of them
	EmailVerified bool     `json:"email_verified,omitempty"`
	AccessToken   *string  `json:"access_token,omitempty"` // at_hash is its hash
}

// Files makes the corpus, file by file.
func Files() (map[string][]byte, error) {
	g, err := newGenerator()
	if err != nil {
		return nil, err
	}
	g.gate()
	g.header()
	g.keySets()
	g.signature()
	g.payload()
	g.parties()
	g.times()
	g.subject()
	g.kinds()
	g.identity()
	g.checks()
	g.order()
	files := make(map[string][]byte)
	for name, file := range g.files {
		text, err := file.encode()
		if err != nil {
			return nil, err
		}
		files[name+".json"] = text
	}
	return files, nil
}

func (f *File) encode() ([]byte, error) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(f)
	return text.Bytes(), err
}

// member is one member of a JSON object, its value as JSON text.
type member struct{ name, value string }

// object is a JSON object whose members stand in an order.
type object []member

// with replaces a member, or adds it at the end.
func (o object) with(name, value string) object {
	o = slices.Clone(o)
	for i := range o {
		if o[i].name == name {
			o[i].value = value
			return o
		}
	}
	return append(o, member{name, value})
}

// add adds a member at the end, though there be one of that name.
func (o object) add(name, value string) object {
	return append(slices.Clone(o), member{name, value})
}

// without takes a member out.
func (o object) without(name string) object {
	return slices.DeleteFunc(slices.Clone(o), func(m member) bool { return m.name == name })
}

// String writes the object; the names are written as they are, escapes too.
func (o object) String() string {
	var text bytes.Buffer
	for i, m := range o {
		text.WriteByte("{,"[min(i, 1)])
		text.WriteString(`"` + m.name + `":` + m.value)
	}
	if len(o) == 0 {
		text.WriteByte('{')
	}
	return text.String() + "}"
}
