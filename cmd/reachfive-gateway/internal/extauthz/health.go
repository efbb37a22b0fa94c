package extauthz

import (
	"context"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// lookEvery is how often Watch looks for a change.
const lookEvery = time.Second

// Health implements grpc.health.v1 with the answer of /readyz.
type Health struct {
	grpc_health_v1.UnimplementedHealthServer

	ready    func(context.Context) bool
	draining <-chan struct{}
}

// NewHealth makes a Health. It is not serving once draining is closed.
func NewHealth(ready func(context.Context) bool, draining <-chan struct{}) *Health {
	return &Health{ready: ready, draining: draining}
}

// Check implements grpc_health_v1.HealthServer.
func (h *Health) Check(ctx context.Context, request *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	if !isService(request.GetService()) {
		return nil, status.Error(codes.NotFound, "unknown service")
	}
	return &grpc_health_v1.HealthCheckResponse{Status: h.status(ctx)}, nil
}

// Watch implements grpc_health_v1.HealthServer.
func (h *Health) Watch(request *grpc_health_v1.HealthCheckRequest, stream grpc.ServerStreamingServer[grpc_health_v1.HealthCheckResponse]) error {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	last := grpc_health_v1.HealthCheckResponse_ServingStatus(-1)
	for {
		current := grpc_health_v1.HealthCheckResponse_SERVICE_UNKNOWN
		if isService(request.GetService()) {
			current = h.status(stream.Context())
		}
		if current != last {
			last = current
			if err := stream.Send(&grpc_health_v1.HealthCheckResponse{Status: current}); err != nil {
				return err
			}
		}
		select {
		case <-h.draining:
			if last == grpc_health_v1.HealthCheckResponse_SERVING {
				continue // to tell the change
			}
			return status.Error(codes.Unavailable, "the gateway ends")
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		case <-ticker.C:
		}
	}
}

func (h *Health) status(ctx context.Context) grpc_health_v1.HealthCheckResponse_ServingStatus {
	select {
	case <-h.draining:
		return grpc_health_v1.HealthCheckResponse_NOT_SERVING
	default:
	}
	if !h.ready(ctx) {
		return grpc_health_v1.HealthCheckResponse_NOT_SERVING
	}
	return grpc_health_v1.HealthCheckResponse_SERVING
}

// isService reports whether the gateway serves it; "" is the server itself.
func isService(name string) bool {
	return name == "" || name == authv3.Authorization_ServiceDesc.ServiceName
}
