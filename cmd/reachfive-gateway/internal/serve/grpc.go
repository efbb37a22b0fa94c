package serve

import (
	"context"
	"net"
	"net/http"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/extauthz"
)

// maxCheckBytes bounds a CheckRequest: Envoy's own limit for a request's header
// is 60 KiB, and the recipes send no body.
const maxCheckBytes = 256 << 10

// grpcServer serves the Authorization service and grpc.health.v1.
func (g *Gateway) grpcServer(authorization authv3.AuthorizationServer) *server {
	s := grpc.NewServer(
		grpc.ConnectionTimeout(readHeaderTimeout),
		grpc.MaxRecvMsgSize(maxCheckBytes),
		grpc.MaxHeaderListSize(uint32(g.cfg.Limits.HeaderBytes)), //nolint:gosec // at most 1 MiB
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: idleTimeout, Timeout: 10 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
	)
	authv3.RegisterAuthorizationServer(s, authorization)
	grpc_health_v1.RegisterHealthServer(s, extauthz.NewHealth(func(ctx context.Context) bool {
		_, status := g.readiness(ctx)
		return status == http.StatusOK
	}, g.ending))
	return &server{name: "grpc", serve: func(l net.Listener) error { return s.Serve(l) }, shutdown: func(ctx context.Context) error {
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.GracefulStop()
		}()
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			s.Stop()
			<-done
			return ctx.Err()
		}
	}}
}
