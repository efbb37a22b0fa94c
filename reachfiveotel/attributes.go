package reachfiveotel

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/reachfive-community/reachfive"
)

const (
	codeKey          = attribute.Key("reachfive.code")
	outcomeKey       = attribute.Key("reachfive.outcome")
	issuerKey        = attribute.Key("reachfive.issuer")
	keysAvailableKey = attribute.Key("reachfive.keys_available")
	transportKey     = attribute.Key("reachfive.transport")
	causeKey         = attribute.Key("reachfive.cause")
	sharedKey        = attribute.Key("reachfive.shared")
	resultKey        = attribute.Key("reachfive.result")
)

// other is the value of an attribute whose own value could be any text.
const other = "other"

// maxIssuers limits the values of reachfive.issuer.
const maxIssuers = 100

func attributes(kv ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(kv...))
}

// cache makes each set of attributes once. A lookup takes no lock and allocates
// nothing. The number of keys must be bounded.
type cache[K comparable] struct {
	mu   sync.Mutex
	made atomic.Pointer[map[K]metric.MeasurementOption]
}

func (c *cache[K]) get(key K, attrs func() []attribute.KeyValue) metric.MeasurementOption {
	if made := c.made.Load(); made != nil {
		if option, ok := (*made)[key]; ok {
			return option
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	made := map[K]metric.MeasurementOption{}
	if old := c.made.Load(); old != nil {
		made = maps.Clone(*old)
	}
	option := attributes(attrs()...)
	made[key] = option
	c.made.Store(&made)
	return option
}

// issuers gives each of the first maxIssuers issuers its own label.
type issuers struct {
	mu    sync.Mutex
	known atomic.Pointer[map[string]struct{}]
}

func (i *issuers) label(issuer string) string {
	known := i.known.Load()
	if known != nil {
		if _, ok := (*known)[issuer]; ok {
			return issuer
		}
		if len(*known) == maxIssuers {
			return other
		}
	}
	i.add(issuer)
	return i.label(issuer)
}

func (i *issuers) add(issuer string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	known := map[string]struct{}{}
	if old := i.known.Load(); old != nil {
		known = maps.Clone(*old)
	}
	if len(known) < maxIssuers {
		known[issuer] = struct{}{}
	}
	i.known.Store(&known)
}

const (
	accepted = "accepted"

	// The Codes of a VerifyEvent whose caller went away.
	canceled         = "canceled"
	deadlineExceeded = "deadline_exceeded"

	// serverError is the label of an error without a Code, which is answered
	// with 500 or Internal.
	serverError = "server_error"
)

// codeLabel returns the label of a Code of package reachfive. Codes of the
// program's own could be any number.
func codeLabel(code reachfive.Code) string {
	switch code {
	case "":
		return accepted
	case canceled, deadlineExceeded:
		return string(code)
	}
	if code.HTTPStatus() == 500 { // package reachfive does not know it
		return other
	}
	return string(code)
}

// refusalLabel returns the label of a refused request's error.
func refusalLabel(ctx context.Context, err error) string {
	if code := reachfive.CodeOf(err); code != "" {
		return codeLabel(code)
	}
	switch {
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return canceled
	case errors.Is(err, context.DeadlineExceeded):
		return deadlineExceeded
	}
	return serverError
}

// isUndecided reports whether a verification with this Code says nothing about
// the token.
func isUndecided(code reachfive.Code) bool {
	return code == canceled || code == deadlineExceeded || code.HTTPStatus() == 503
}

func outcome(code reachfive.Code) string {
	switch {
	case code == "":
		return accepted
	case isUndecided(code):
		return "undecided"
	}
	return "refused"
}

// resultClass limits the values of reachfive.result: a provider can invent
// statuses, but only five classes of them.
func resultClass(result string) string {
	stage, status, isStatus := strings.Cut(result, "status ")
	if !isStatus || status == "" {
		return result
	}
	return stage + "status " + status[:1] + "xx"
}
