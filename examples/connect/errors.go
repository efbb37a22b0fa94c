package main

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/reachfive-community/reachfive"
)

// statusClientClosedRequest is nginx's status for a client that went away.
const statusClientClosedRequest = 499

// writeError answers a refusal in the protocol of the request.
func writeError(writer *connect.ErrorWriter) func(http.ResponseWriter, *http.Request, error) {
	return func(w http.ResponseWriter, r *http.Request, err error) {
		status := httpStatus(w.Header(), r, err)
		if !writer.IsSupported(r) { // a form that a browser posts, for example
			http.Error(w, http.StatusText(status), status)
			return
		}
		_ = writer.Write(w, r, connectError(status, w.Header(), err)) // a client that has gone reads no refusal
	}
}

// httpStatus is the status that the middleware would send. The middleware has
// set the header already, but for the status.
func httpStatus(header http.Header, r *http.Request, err error) int {
	gone := errors.Is(r.Context().Err(), context.Canceled)
	switch code := reachfive.CodeOf(err); {
	case code != "":
		return code.HTTPStatus() // 500 for a Code of your own
	case header.Get("Retry-After") != "": // the time for the request ran out
		return http.StatusServiceUnavailable
	case gone && errors.Is(err, context.Canceled):
		return statusClientClosedRequest
	}
	return http.StatusInternalServerError
}

// connectError is the error that a client sees: the sentence of the Code, and
// the details that the interceptors of package reachfivegrpc send. An error
// without a Code, or with a Code of your own, may carry anything: nothing of it
// is sent.
func connectError(status int, header http.Header, err error) *connect.Error {
	code := reachfive.CodeOf(err)
	known := code != "" && status != http.StatusInternalServerError
	text := "the call ended without a decision"
	if known {
		text = strings.TrimPrefix(code.Error(), "reachfive: ")
	}
	answer := connect.NewError(connectCode(status), errors.New(text))
	if known {
		addDetail(answer, &errdetails.ErrorInfo{Reason: string(code), Domain: "reachfive", Metadata: challenge(err)})
	}
	if status == http.StatusServiceUnavailable {
		seconds, _ := strconv.Atoi(header.Get("Retry-After"))
		addDetail(answer, &errdetails.RetryInfo{RetryDelay: durationpb.New(time.Duration(seconds) * time.Second)})
	}
	return answer
}

func connectCode(status int) connect.Code {
	switch status {
	case http.StatusForbidden:
		return connect.CodePermissionDenied
	case http.StatusServiceUnavailable:
		return connect.CodeUnavailable
	case http.StatusInternalServerError:
		return connect.CodeInternal
	case statusClientClosedRequest:
		return connect.CodeCanceled
	}
	return connect.CodeUnauthenticated
}

// challenge names the sign-in that the call needs, in the words of RFC 9470
// section 3: a client of the gRPC protocol does not look at WWW-Authenticate.
func challenge(err error) map[string]string {
	asks := map[string]string{}
	refusal, ok := errors.AsType[*reachfive.Error](err)
	if !ok {
		return asks
	}
	if refusal.Code == reachfive.CodeReauthenticationRequired || refusal.Code == reachfive.CodeRevoked {
		asks["max_age"] = strconv.FormatInt(int64(refusal.MaxAge/time.Second), 10)
	}
	if len(refusal.ACRValues) > 0 {
		asks["acr_values"] = strings.Join(refusal.ACRValues, " ")
	}
	return asks
}

func addDetail(answer *connect.Error, message proto.Message) {
	if detail, err := connect.NewErrorDetail(message); err == nil {
		answer.AddDetail(detail)
	}
}
