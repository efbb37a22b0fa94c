package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/reachfive-community/reachfive"
)

// writeError answers a refusal in the protocol of the request.
func writeError(writer *connect.ErrorWriter) func(http.ResponseWriter, *http.Request, error) {
	return func(w http.ResponseWriter, r *http.Request, err error) {
		if !writer.IsSupported(r) { // a browser's GET, say
			status := reachfive.CodeOf(err).HTTPStatus()
			http.Error(w, http.StatusText(status), status)
			return
		}
		_ = writer.Write(w, r, connectError(err)) // a client that has gone reads no refusal
	}
}

// connectError is the error that a client sees: the Code's own sentence, and
// the details that the gRPC interceptors send too.
func connectError(err error) *connect.Error {
	code := reachfive.CodeOf(err)
	if code == "" {
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			return connect.NewError(connect.CodeDeadlineExceeded, errors.New("the time for this call ran out"))
		case errors.Is(err, context.Canceled):
			return connect.NewError(connect.CodeCanceled, errors.New("the call was cancelled"))
		}
		// The text of an error without a Code may carry anything.
		return connect.NewError(connect.CodeInternal, errors.New("the call failed"))
	}
	status := connect.CodeUnauthenticated
	details := []proto.Message{&errdetails.ErrorInfo{Reason: string(code), Domain: "reachfive"}}
	switch code {
	case reachfive.CodeForbidden, reachfive.CodeUntrustedOrigin:
		status = connect.CodePermissionDenied
	case reachfive.CodeKeysUnavailable, reachfive.CodeRevocationsUnavailable:
		status = connect.CodeUnavailable
		delay := time.Second
		if refusal, ok := errors.AsType[*reachfive.Error](err); ok && refusal.RetryAfter > 0 {
			delay = refusal.RetryAfter
		}
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(delay)})
	}
	connectErr := connect.NewError(status, code)
	for _, message := range details {
		if detail, err := connect.NewErrorDetail(message); err == nil {
			connectErr.AddDetail(detail)
		}
	}
	return connectErr
}
