// Package extauthz answers Envoy and Istio, which ask over gRPC
// (envoy.service.auth.v3.Authorization).
//
// https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/auth/v3/external_auth.proto
package extauthz

import (
	"context"
	"net/http"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"

	"github.com/reachfive-community/reachfive/cmd/reachfive-gateway/internal/header"
)

// policyExtension is the key of context_extensions that names a policy. Envoy's
// configuration sets it for a route; a client cannot.
const policyExtension = "policy"

// Decider answers a request by a policy, as decide.Handler does.
type Decider interface {
	Decide(w http.ResponseWriter, r *http.Request, policyName string)
}

// Server implements the Authorization service. Every verdict is a response,
// never a gRPC error: under failure_mode_allow, Envoy lets a request pass when
// it gets an error.
type Server struct {
	authv3.UnimplementedAuthorizationServer

	decider       Decider
	defaultPolicy string
}

// New makes a Server. A request that names no policy is decided by
// defaultPolicy, and denied if that is "".
func New(decider Decider, defaultPolicy string) *Server {
	return &Server{decider: decider, defaultPolicy: defaultPolicy}
}

// Check implements authv3.AuthorizationServer.
func (s *Server) Check(ctx context.Context, request *authv3.CheckRequest) (response *authv3.CheckResponse, _ error) {
	defer func() {
		if recover() != nil {
			response = denied(http.StatusInternalServerError, nil, nil)
		}
	}()
	attributes := request.GetAttributes()
	question := attributes.GetRequest().GetHttp()
	if question == nil {
		return denied(http.StatusBadRequest, http.Header{"Content-Type": {"application/json"}},
			[]byte(`{"error":"invalid_request","error_description":"invalid_request: the CheckRequest has no HTTP attributes"}`)), nil
	}
	policy, named := attributes.GetContextExtensions()[policyExtension]
	if !named {
		policy = s.defaultPolicy
	}
	r := (&http.Request{
		Method: question.GetMethod(),
		Header: http.Header{"Authorization": values(question, "authorization")},
	}).WithContext(ctx)
	answer := &recorder{header: http.Header{}}
	s.decider.Decide(answer, r, policy)
	if answer.status != http.StatusOK {
		return denied(answer.status, answer.header, answer.body), nil
	}
	return allowed(answer.header, question), nil
}

// values returns the values of a field, whichever way the proxy sends fields.
func values(question *authv3.AttributeContext_HttpRequest, name string) (found []string) {
	for field, value := range question.GetHeaders() {
		if strings.EqualFold(field, name) {
			found = append(found, value)
		}
	}
	for _, field := range question.GetHeaderMap().GetHeaders() {
		if !strings.EqualFold(field.GetKey(), name) {
			continue
		}
		if raw := field.GetRawValue(); len(raw) > 0 {
			found = append(found, string(raw))
		} else {
			found = append(found, field.GetValue())
		}
	}
	return found
}

// allowed sets the identity headers, and removes everything else that a backend
// could take for one. Envoy drops a header that is to be set to an empty value,
// and then the client's own would stay: those are removed.
func allowed(answer http.Header, question *authv3.AttributeContext_HttpRequest) *authv3.CheckResponse {
	ok := &authv3.OkHttpResponse{}
	set := map[string]bool{}
	for name, value := range answer {
		if !strings.HasPrefix(name, header.Prefix) {
			continue
		}
		lower := strings.ToLower(name)
		if value[0] == "" {
			ok.HeadersToRemove = append(ok.HeadersToRemove, lower)
			continue
		}
		set[lower] = true
		ok.Headers = append(ok.Headers, option(lower, value[0]))
	}
	remove := func(name string) {
		if name = strings.ToLower(name); isIdentity(name) && !set[name] {
			ok.HeadersToRemove = append(ok.HeadersToRemove, name)
		}
	}
	for name := range question.GetHeaders() {
		remove(name)
	}
	for _, field := range question.GetHeaderMap().GetHeaders() {
		remove(field.GetKey())
	}
	slices.Sort(ok.HeadersToRemove)
	ok.HeadersToRemove = slices.Compact(ok.HeadersToRemove)
	slices.SortFunc(ok.Headers, func(a, b *corev3.HeaderValueOption) int {
		return strings.Compare(a.GetHeader().GetKey(), b.GetHeader().GetKey())
	})
	return &authv3.CheckResponse{
		Status:       &status.Status{Code: int32(codes.OK)},
		HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: ok},
	}
}

// isIdentity reports whether a backend may read a field of this name as an
// identity header: some take an underscore or a dot for a dash.
func isIdentity(name string) bool {
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
		return false // Envoy would take the whole answer for an error
	}
	return strings.HasPrefix(strings.NewReplacer("_", "-", ".", "-").Replace(name), "x-reachfive")
}

// denied hands the client the refusal as it is.
func denied(httpStatus int, answer http.Header, body []byte) *authv3.CheckResponse {
	if _, known := typev3.StatusCode_name[int32(httpStatus)]; !known { //nolint:gosec // an HTTP status
		// 499 for a client that went away, which reads no answer. Envoy
		// takes a status that it does not know for an error.
		httpStatus = http.StatusServiceUnavailable
	}
	response := &authv3.DeniedHttpResponse{
		Status: &typev3.HttpStatus{Code: typev3.StatusCode(httpStatus)},
		Body:   string(body),
	}
	for _, name := range []string{"Cache-Control", "Content-Type", "Retry-After", "Www-Authenticate", "X-Content-Type-Options"} {
		if value := answer.Get(name); value != "" {
			response.Headers = append(response.Headers, option(strings.ToLower(name), value))
		}
	}
	return &authv3.CheckResponse{
		Status:       &status.Status{Code: grpcCode(httpStatus)},
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: response},
	}
}

// grpcCode is the code in the response; Envoy denies at every one but OK.
func grpcCode(httpStatus int) int32 {
	switch httpStatus {
	case http.StatusUnauthorized, http.StatusBadRequest:
		return int32(codes.Unauthenticated)
	case http.StatusServiceUnavailable:
		return int32(codes.Unavailable)
	}
	return int32(codes.PermissionDenied)
}

func option(name, value string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: name, Value: value},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
}

// recorder keeps an answer.
type recorder struct {
	header http.Header
	status int
	body   []byte
}

// Header implements http.ResponseWriter.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	r.body = append(r.body, p...)
	return len(p), nil
}
