package site_test

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCheckTellsWhatWasChecked(t *testing.T) {
	t.Parallel()
	v := newVisitor(t, "")
	res := v.app("POST", "/check", url.Values{"idtoken": {v.tenant.Token()}}.Encode())
	got := decode[struct {
		User    struct{ Name string }
		Checked struct {
			Algorithm, Issuer string
			Audience          []string
			Expires           int64
			Key               struct {
				ID, Thumbprint string
				Bits           int
			}
		}
	}](t, res)
	assert.Equal(t, "John Doe", got.User.Name)
	assert.Equal(t, "RS256", got.Checked.Algorithm)
	assert.Equal(t, v.tenant.Issuer(), got.Checked.Issuer)
	assert.Equal(t, []string{v.tenant.ClientID}, got.Checked.Audience)
	assert.Equal(t, v.tenant.KID(), got.Checked.Key.ID)
	assert.Equal(t, 2048, got.Checked.Key.Bits)
	assert.NotEmpty(t, got.Checked.Key.Thumbprint)
	assert.NotZero(t, got.Checked.Expires)
}
