package reachfivetest_test

import (
	"crypto/x509"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive/reachfivetest"
)

func TestTheTenantsAnswersAreDatedByItsClock(t *testing.T) {
	t.Parallel()
	now := time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)
	tenant := reachfivetest.NewTenant(t, reachfivetest.WithClock(func() time.Time { return now }))
	reply, err := send(t.Context(), t, tenant.Client(), http.MethodGet, tenant.Issuer()+"/jwks.json", "", "")
	require.NoError(t, err)
	assert.Equal(t, "Mon, 03 Feb 2031 04:05:06 GMT", reply.header.Get("Date"))
}

func TestATenantWhoseCertificateHasExpiredCannotBeReached(t *testing.T) {
	t.Parallel()
	tenant := reachfivetest.NewTenant(t, reachfivetest.WithCertificateUntil(time.Now().Add(-time.Hour)))
	_, err := send(t.Context(), t, tenant.Client(), http.MethodGet, tenant.Issuer()+"/jwks.json", "", "")
	invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, x509.Expired, invalid.Reason)
}
