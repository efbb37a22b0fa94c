package header_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/header"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

// sizeOf is the size of the headers as lines of HTTP/1.1.
func sizeOf(h http.Header) (size int) {
	for name, values := range h {
		size += len(name) + len(": ") + len(values[0]) + len("\r\n")
	}
	return size
}

func newSet(t *testing.T, fields ...header.Field) *header.Set {
	t.Helper()
	set, mistakes := header.NewSet(fields)
	require.Empty(t, mistakes)
	return set
}

// write is what the set makes of a user with these claims.
func write(t *testing.T, set *header.Set, claims map[string]any) (h http.Header, omitted int) {
	t.Helper()
	h = http.Header{}
	omitted = set.Write(h, reachfivetest.NewUser(t, claims))
	return h, omitted
}

func TestEveryNameIsSentWhateverTheTokenHas(t *testing.T) {
	t.Parallel()
	set := newSet(t, header.Field{"X-Reachfive-Email", "email"}, header.Field{"x-reachfive-plan", "custom_fields.plan"})
	names := []string{
		"X-Reachfive-Decision", "X-Reachfive-Subject", "X-Reachfive-Issuer", "X-Reachfive-Audience",
		"X-Reachfive-Expires", "X-Reachfive-Email", "X-Reachfive-Plan",
	}
	assert.Equal(t, names, set.Names())
	anonymous := http.Header{}
	set.Write(anonymous, nil)
	minimal, _ := write(t, set, map[string]any{"sub": "u", "iss": "https://acme.reach5.net", "aud": []string{"web", "ios"}, "exp": 4102444800})
	for _, name := range names {
		assert.Len(t, anonymous[name], 1, name)
		assert.Len(t, minimal[name], 1, name)
		if name != header.Decision {
			assert.Empty(t, anonymous.Get(name), name)
		}
	}
	assert.Equal(t, "anonymous", anonymous.Get(header.Decision))
	assert.Equal(t, "allow", minimal.Get(header.Decision))
	assert.Equal(t, "web ios", minimal.Get(header.Audience))
	assert.Equal(t, "https://acme.reach5.net", minimal.Get(header.Issuer))
	assert.Equal(t, "4102444800", minimal.Get(header.Expires))
}

func TestAddressesAreSentOnlyIfVerified(t *testing.T) {
	t.Parallel()
	set := newSet(t, header.Field{"X-Reachfive-Email", "email"}, header.Field{"X-Reachfive-Mail2", "email"}, header.Field{"X-Reachfive-Phone-Number", "phone_number"})
	for name, verified := range map[string]any{"absent": nil, "false": false, "true": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			claims := map[string]any{"email": "john@example.com", "phone_number": "+33612345678"}
			if verified != nil {
				claims["email_verified"], claims["phone_number_verified"] = verified, verified
			}
			h, _ := write(t, set, claims)
			email, phone := "", ""
			if verified == true {
				email, phone = "john@example.com", "+33612345678"
			}
			assert.Equal(t, email, h.Get("X-Reachfive-Email"))
			assert.Equal(t, email, h.Get("X-Reachfive-Mail2"))
			assert.Equal(t, phone, h.Get("X-Reachfive-Phone-Number"))
		})
	}
}

func TestValuesOfEveryClaim(t *testing.T) {
	t.Parallel()
	at := time.Now().Add(-time.Minute).Unix()
	claims := map[string]any{
		"email": "a@example.com", "email_verified": true, "phone_number": "+1", "phone_number_verified": true,
		"name": "Zoë 100%", "given_name": " Zoë ", "family_name": "a, b", "middle_name": "M", "nickname": "N",
		"preferred_username": "p", "gender": "female", "birthdate": "1983-11-13", "locale": "fr_FR", "zoneinfo": "Europe/Paris",
		"picture": "https://example.com/p.png?a=%20", "external_id": "e1", "custom_identifier": "c1", "acr": "urn:a",
		"auth_type": "password", "amr": []string{"pwd", "one two"}, "auth_time": at, "iat": at, "updated_at": at,
		"custom_fields": map[string]any{"plan": "gold ★", "points": 12, "vip": true, "none": nil, "list": []int{1}, "tree": map[string]any{}},
	}
	want := map[string]string{
		"email": "a@example.com", "phone_number": "+1", "name": "Zo%C3%AB 100%25", "given_name": "%20Zo%C3%AB%20", "family_name": "a, b",
		"middle_name": "M", "nickname": "N", "preferred_username": "p", "gender": "female", "birthdate": "1983-11-13",
		"locale": "fr_FR", "zoneinfo": "Europe/Paris", "picture": "https://example.com/p.png?a=%2520", "external_id": "e1",
		"custom_identifier": "c1", "acr": "urn:a", "auth_type": "password", "amr": "pwd one%20two",
		"auth_time": fmt.Sprint(at), "iat": fmt.Sprint(at), "updated_at": fmt.Sprint(at),
		"custom_fields.plan": "gold %E2%98%85", "custom_fields.points": "12", "custom_fields.vip": "true",
		"custom_fields.none": "", "custom_fields.list": "", "custom_fields.tree": "", "custom_fields.Plan": "", "custom_fields.absent": "",
	}
	for claim, value := range want {
		t.Run(claim, func(t *testing.T) {
			t.Parallel()
			h, _ := write(t, newSet(t, header.Field{"X-Reachfive-Claim", claim}), claims)
			assert.Equal(t, value, h.Get("X-Reachfive-Claim"))
			none, _ := write(t, newSet(t, header.Field{"X-Reachfive-Claim", claim}), map[string]any{})
			if claim != "auth_time" && claim != "iat" { // NewUser fills them in
				assert.Empty(t, none.Get("X-Reachfive-Claim"))
			}
		})
	}
}

func TestWholeHeadersAreLeftOutFromTheEndOfTheListBeyondTheBudget(t *testing.T) {
	t.Parallel()
	set := newSet(t,
		header.Field{"X-Reachfive-Name", "name"}, header.Field{"X-Reachfive-Picture", "picture"}, header.Field{"X-Reachfive-Nickname", "nickname"})
	long := func(n int) string { return strings.Repeat("x", n) }

	fits, omitted := write(t, set, map[string]any{"name": "John", "picture": long(1500), "nickname": long(900)})
	assert.Zero(t, omitted)
	assert.Len(t, fits.Get("X-Reachfive-Nickname"), 900)

	h, omitted := write(t, set, map[string]any{"name": "John", "picture": long(1500), "nickname": long(1500)})
	assert.Equal(t, 1, omitted)
	assert.Empty(t, h.Get("X-Reachfive-Nickname"))
	assert.Len(t, h.Get("X-Reachfive-Picture"), 1500)
	assert.Len(t, h["X-Reachfive-Nickname"], 1, "the name is sent all the same")

	h, omitted = write(t, set, map[string]any{"name": "John", "picture": long(4000), "nickname": "J"})
	assert.Equal(t, 2, omitted, "an important header does not give way to a less important one")
	assert.Equal(t, "John", h.Get("X-Reachfive-Name"))
}

func TestTheBudgetHoldsToTheByte(t *testing.T) {
	t.Parallel()
	set := newSet(t, header.Field{"X-Reachfive-Name", "name"})
	bare, _ := write(t, set, map[string]any{"sub": "u"})
	room := header.Budget - sizeOf(bare)
	exact, omitted := write(t, set, map[string]any{"sub": "u", "name": strings.Repeat("x", room)})
	assert.Zero(t, omitted)
	assert.Equal(t, header.Budget, sizeOf(exact))
	over, omitted := write(t, set, map[string]any{"sub": "u", "name": strings.Repeat("x", room+1)})
	assert.Equal(t, 1, omitted)
	assert.Equal(t, sizeOf(bare), sizeOf(over))
}

func TestFixedSizeIsNeverExceededByAToken(t *testing.T) {
	t.Parallel()
	set := newSet(t, header.Field{"X-Reachfive-Name", "name"})
	issuer, clients := "https://acme.reach5.net", []string{"web%", "ios"}
	h, _ := write(t, set, map[string]any{
		"iss": issuer, "aud": clients, "exp": int64(253402300799), "sub": strings.Repeat("é", 127) + "x", "name": "",
	})
	assert.LessOrEqual(t, sizeOf(h), set.FixedSize(issuer, clients))
	assert.Greater(t, sizeOf(h), set.FixedSize(issuer, clients)-20)
}

func TestMistakesInFieldsAreAllReported(t *testing.T) {
	t.Parallel()
	tests := []struct {
		field header.Field
		key   string
		text  string
	}{
		{header.Field{"X-User", "name"}, "name", "begins with X-Reachfive-"},
		{header.Field{"X_Reachfive_Name", "name"}, "name", "begins with X-Reachfive-"},
		{header.Field{"X-Reachfive-", "name"}, "name", "begins with X-Reachfive-"},
		{header.Field{"X-Reachfive-Full_Name", "name"}, "name", "underscore"},
		{header.Field{"X-Reachfive-Na me", "name"}, "name", "letters, digits and dashes"},
		{header.Field{"X-Reachfive-" + strings.Repeat("a", 60), "name"}, "name", "at most 64"},
		{header.Field{"X-ReachFive-SUBJECT", "name"}, "name", "in any case"},
		{header.Field{"X-Reachfive-Decision", "name"}, "name", "in any case"},
		{header.Field{"X-Reachfive-Email", "name"}, "name", "for the claim email alone"},
		{header.Field{"X-Reachfive-Phone-Number", "email"}, "name", "for the claim phone_number alone"},
		{header.Field{"X-Reachfive-A", "mail"}, "claim", "want one of acr, amr"},
		{header.Field{"X-Reachfive-A", "custom_fields."}, "claim", "custom_fields. and the name"},
		{header.Field{"X-Reachfive-A", "nonce"}, "claim", "want one of"},
	}
	var all []header.Field
	for _, tt := range tests {
		all = append(all, tt.field)
		_, mistakes := header.NewSet([]header.Field{tt.field})
		require.Len(t, mistakes, 1, tt.field)
		assert.Equal(t, tt.key, mistakes[0].Key)
		assert.ErrorContains(t, mistakes[0].Err, tt.text)
	}
	_, mistakes := header.NewSet(all)
	assert.GreaterOrEqual(t, len(mistakes), len(tests))

	_, mistakes = header.NewSet([]header.Field{{"X-Reachfive-Name", "name"}, {"x-reachfive-NAME", "nickname"}})
	require.Len(t, mistakes, 1)
	assert.Equal(t, 1, mistakes[0].Index)

	var many []header.Field
	for i := range 33 {
		many = append(many, header.Field{fmt.Sprintf("X-Reachfive-H%d", i), "name"})
	}
	_, mistakes = header.NewSet(many)
	assert.Len(t, mistakes, 1)
}

// FuzzWrite holds the headers to what any proxy can carry: printable ASCII, no
// white space at the ends, within the budget, and every text can be read back.
func FuzzWrite(f *testing.F) {
	for _, seed := range []string{"", "John Doe", " a ", "Zoë", "100%", "a\r\nX-Reachfive-Subject: b", "\x00\x7f\xff", strings.Repeat("é", 900), "%41", " "} {
		f.Add(seed, seed, []byte(`{"plan":"`+"gold"+`"}`))
	}
	f.Add("u", "n", []byte(`{"plan":"\ud800"}`))
	f.Add("u", "n", []byte(`{"plan":1e400}`))
	set, _ := header.NewSet([]header.Field{{"X-Reachfive-Name", "name"}, {"X-Reachfive-Plan", "custom_fields.plan"}})
	f.Fuzz(func(t *testing.T, subject, name string, fields []byte) {
		if len(subject) > 255 {
			subject = subject[:255]
		}
		u := &reachfive.User{
			Issuer: "https://acme.reach5.net", Audience: []string{"web"}, Subject: subject, Name: name,
			CustomFields: fields, ExpiresAt: time.Unix(4102444800, 0),
		}
		h := http.Header{}
		omitted := set.Write(h, u)
		size := 0
		for field, values := range h {
			value := values[0]
			size += len(field) + len(value) + 4
			if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) || strings.TrimSpace(value) != value {
				t.Errorf("%s: %q", field, value)
			}
		}
		if size > header.Budget {
			t.Errorf("%d bytes", size)
		}
		if got := decoded(t, h.Get(header.Subject)); got != subject {
			t.Errorf("subject %q became %q", subject, got)
		}
		if got := decoded(t, h.Get("X-Reachfive-Name")); got != name && (omitted == 0 || got != "") {
			t.Errorf("name %q became %q", name, got)
		}
	})
}
