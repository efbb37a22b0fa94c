package reachfivegrpc

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/reachfive-community/reachfive"
)

// domain is the ErrorInfo domain of every refusal.
const domain = "reachfive"

// retryDelay is the delay in RetryInfo if the verifier gave none.
const retryDelay = time.Second

// statusOf returns the status for an error of Verify. It contains the Code and
// what was configured, never the error's text, which may come from another
// package. A Code comes first, because keys_unavailable may wrap the context
// error of a fetch.
func statusOf(ctx context.Context, err error) *status.Status {
	code := reachfive.CodeOf(err)
	if code == "" {
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			return status.New(codes.DeadlineExceeded, "the deadline came before a decision")
		case errors.Is(err, context.Canceled) && ctx.Err() != nil:
			return status.New(codes.Canceled, "the call was cancelled before a decision")
		}
		return status.New(codes.Internal, "the token could not be verified")
	}
	// The text of a Code is one fixed sentence.
	st := status.New(grpcCode(code), strings.TrimPrefix(code.Error(), "reachfive: "))
	info := &errdetails.ErrorInfo{Reason: string(code), Domain: domain}
	details := []protoadapt.MessageV1{info}
	refusal, ok := errors.AsType[*reachfive.Error](err)
	if ok {
		info.Metadata = challenge(refusal)
	}
	if undecided(code) {
		delay := retryDelay
		if ok && refusal.RetryAfter > 0 {
			delay = refusal.RetryAfter
		}
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(delay)})
	}
	if detailed, err := st.WithDetails(details...); err == nil {
		return detailed
	}
	return st
}

// grpcCode is the gRPC column of the table of codes.
func grpcCode(code reachfive.Code) codes.Code {
	switch {
	case undecided(code):
		return codes.Unavailable
	case code == reachfive.CodeForbidden, code == reachfive.CodeUntrustedOrigin:
		return codes.PermissionDenied
	case code.HTTPStatus() >= 500:
		return codes.Internal // a Code that package reachfive does not know
	}
	return codes.Unauthenticated
}

// undecided reports whether code says nothing about the token, so that the
// client should retry.
func undecided(code reachfive.Code) bool { return code.HTTPStatus() == http.StatusServiceUnavailable }

// challenge returns what a step-up requires, under the names of RFC 9470 section 3
// (https://www.rfc-editor.org/rfc/rfc9470#section-3).
func challenge(refusal *reachfive.Error) map[string]string {
	asks := map[string]string{}
	if stepUp := refusal.Code == reachfive.CodeReauthenticationRequired || refusal.Code == reachfive.CodeRevoked; stepUp && refusal.MaxAge >= 0 {
		asks["max_age"] = strconv.FormatInt(int64(refusal.MaxAge/time.Second), 10)
	}
	if len(refusal.ACRValues) > 0 {
		asks["acr_values"] = strings.Join(refusal.ACRValues, " ")
	}
	if len(asks) == 0 {
		return nil
	}
	return asks
}
