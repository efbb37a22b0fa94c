package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/reachfive-community/reachfive/examples/internal/suite"
	"github.com/reachfive-community/reachfive/reachfivetest"
)

func TestChiPassesTheTransportSuite(t *testing.T) { suite.Run(t, newRouter) }

func TestPageOfTheAllowedOriginCanReadARefusal(t *testing.T) {
	router := newRouter(reachfivetest.NewTenant(t).Verifier())
	for origin, allowed := range map[string]bool{"https://app.example.com": true, "https://evil.example": false} {
		preflight := httptest.NewRequest(http.MethodOptions, "/payout", http.NoBody)
		preflight.Header.Set("Origin", origin)
		preflight.Header.Set("Access-Control-Request-Method", "POST")
		answer := httptest.NewRecorder()
		router.ServeHTTP(answer, preflight)
		assert.Equal(t, allowed, answer.Code == http.StatusNoContent, origin)

		call := httptest.NewRequest(http.MethodPost, "/payout", http.NoBody)
		call.Header.Set("Origin", origin)
		answer = httptest.NewRecorder()
		router.ServeHTTP(answer, call)
		assert.Equal(t, http.StatusUnauthorized, answer.Code, origin)
		assert.Equal(t, allowed, answer.Header().Get("Access-Control-Allow-Origin") == origin, origin)
	}
}
