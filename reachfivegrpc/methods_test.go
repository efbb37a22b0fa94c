package reachfivegrpc_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfivegrpc"
)

func TestWiringMistakesPanic(t *testing.T) {
	v := accepts(alice())
	names := []string{
		"", "/", "//", "/pkg.Service", "/pkg.Service/", "pkg.Service/Method", "/pkg.Service/Method/", "/pkg.Service/Me*",
		"/*", "/*/Method", "/pkg.*/Method", "//Method", "/pkg.Service/ Method",
	}
	for _, name := range names {
		assert.Panics(t, func() { reachfivegrpc.Public(name) }, "Public(%q)", name)
		assert.Panics(t, func() { reachfivegrpc.Optional(name) }, "Optional(%q)", name)
		assert.Panics(t, func() { reachfivegrpc.Require(name) }, "Require(%q)", name)
	}
	assert.Panics(t, func() { reachfivegrpc.Require(unaryMethod, nil) })
	assert.Panics(t, func() { reachfivegrpc.UnaryServerInterceptor(nil) })
	assert.Panics(t, func() { reachfivegrpc.StreamServerInterceptor((*reachfive.Verifier)(nil)) })
	assert.Panics(t, func() { reachfivegrpc.UnaryServerInterceptor((*reachfive.IssuerVerifier)(nil)) })
	assert.PanicsWithValue(t, "reachfivegrpc: nil option", func() { reachfivegrpc.UnaryServerInterceptor(v, nil) })
	assert.PanicsWithValue(t, "reachfivegrpc: nil option", func() { reachfivegrpc.StreamServerInterceptor(v, nil) })
	assert.PanicsWithValue(t, "reachfivegrpc: OnRefusal: nil function", func() { reachfivegrpc.OnRefusal(nil) })
	assert.Panics(t, func() {
		reachfivegrpc.UnaryServerInterceptor(v, reachfivegrpc.Public(unaryMethod), reachfivegrpc.Optional(unaryMethod))
	})
	assert.Panics(t, func() {
		reachfivegrpc.StreamServerInterceptor(v, reachfivegrpc.Require(allMethods), reachfivegrpc.Public(allMethods))
	})
	assert.NotPanics(t, func() {
		reachfivegrpc.UnaryServerInterceptor(v, reachfivegrpc.Public(unaryMethod), reachfivegrpc.Public(emptyMethod, unaryMethod))
	})
}

func TestCheckMethodsFindsNamesThatMatchNothing(t *testing.T) {
	server := grpc.NewServer()
	testgrpc.RegisterTestServiceServer(server, &service{})

	require.NoError(t, reachfivegrpc.CheckMethods(server))
	require.NoError(t, reachfivegrpc.CheckMethods(server, reachfivegrpc.Public(unaryMethod, duplexMethod),
		reachfivegrpc.Optional(allMethods), reachfivegrpc.EndAtExpiry(false)))
	require.EqualError(t, reachfivegrpc.CheckMethods(server, reachfivegrpc.Public(unaryMethod, "/grpc.health.v1.Health/*"),
		reachfivegrpc.Require("/grpc.testing.TestService/UnaryCal")),
		"reachfivegrpc: no such method on the server: /grpc.health.v1.Health/*, /grpc.testing.TestService/UnaryCal")
}
