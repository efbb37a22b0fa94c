package extauthz_test

import (
	"net/http"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/codes"
)

// verdict is what Envoy makes of an answer.
type verdict struct {
	status   int         // of the answer to the client, 200 if the request passes
	upstream http.Header // what the backend gets
	client   http.Header // what the client gets
	body     string
	failed   bool // Envoy counts it as an error of the service
}

// envoy is the ext_authz filter as its documentation and its source have it
// (source/extensions/filters/http/ext_authz), with the choices of the recipe.
type envoy struct {
	failureModeAllow bool
	statusOnError    int
}

// apply decides a request with these headers by an answer or an error.
func (e envoy) apply(request http.Header, response *authv3.CheckResponse, err error) verdict {
	if err != nil || response.ValidateAll() != nil || response.GetErrorResponse() != nil {
		if e.failureModeAllow {
			return verdict{status: http.StatusOK, upstream: request, failed: true}
		}
		return verdict{status: e.statusOnError, failed: true}
	}
	if codes.Code(response.GetStatus().GetCode()) != codes.OK {
		denied := response.GetDeniedResponse()
		v := verdict{status: http.StatusForbidden, client: http.Header{}, body: denied.GetBody()}
		if code := int(denied.GetStatus().GetCode()); code != 0 {
			v.status = code
		}
		mutate(v.client, denied.GetHeaders())
		return v
	}
	v := verdict{status: http.StatusOK, upstream: request.Clone()}
	ok := response.GetOkResponse()
	mutate(v.upstream, ok.GetHeaders())
	for _, name := range ok.GetHeadersToRemove() {
		// Pseudo-headers and Host stay.
		if !strings.HasPrefix(name, ":") && !strings.EqualFold(name, "host") {
			for field := range v.upstream {
				if strings.EqualFold(field, name) {
					delete(v.upstream, field)
				}
			}
		}
	}
	return v
}

// mutate sets headers. Without keep_empty_value Envoy leaves an empty one out,
// and what was there stays.
func mutate(h http.Header, options []*corev3.HeaderValueOption) {
	for _, option := range options {
		name, value := option.GetHeader().GetKey(), option.GetHeader().GetValue()
		if value == "" && !option.GetKeepEmptyValue() {
			continue
		}
		switch option.GetAppendAction() {
		case corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD:
			for field := range h {
				if strings.EqualFold(field, name) {
					delete(h, field)
				}
			}
			h.Set(name, value)
		case corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD:
			h.Add(name, value)
		default:
			panic("an action that the gateway does not use")
		}
	}
}
