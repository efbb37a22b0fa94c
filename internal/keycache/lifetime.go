package keycache

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	minLifetime     = time.Minute
	maxLifetime     = time.Hour
	defaultLifetime = 10 * time.Minute
)

// lifetime is how long keys are fresh: Cache-Control's max-age (RFC 9111 section
// 5.2.2.1) less the time that the answer spent in caches on the way (section
// 4.2), kept within bounds: a mistake in a cache must neither make us ask all the
// time nor never. If there are several max-age, the shortest counts; an invalid
// one counts as zero.
func lifetime(header http.Header) time.Duration {
	shortest := time.Duration(-1)
	for _, value := range header.Values("Cache-Control") {
		for directive := range strings.SplitSeq(value, ",") {
			name, argument, _ := strings.Cut(strings.TrimSpace(directive), "=")
			if !strings.EqualFold(name, "max-age") {
				continue
			}
			maxAge := deltaSeconds(strings.Trim(argument, `"`))
			if shortest < 0 || maxAge < shortest {
				shortest = maxAge
			}
		}
	}
	if shortest < 0 {
		return defaultLifetime
	}
	return min(max(shortest-deltaSeconds(header.Get("Age")), minLifetime), maxLifetime)
}

// deltaSeconds reads a number of seconds. One that has more than 31 bits counts as
// the largest that has not (RFC 9111 section 1.2.2), and anything else as 0.
func deltaSeconds(text string) time.Duration {
	if strings.Trim(text, "0123456789") != "" {
		return 0
	}
	seconds, _ := strconv.ParseUint(text, 10, 31) // 0 for "", and the largest for a larger one
	return time.Duration(seconds) * time.Second
}

// retryAfter reads Retry-After (RFC 9110 section 10.2.3), seconds or a date.
func retryAfter(header http.Header, now time.Time) time.Duration {
	value := header.Get("Retry-After")
	if date, err := http.ParseTime(value); err == nil {
		return min(max(date.Sub(now), 0), maxRetryAfter)
	}
	return min(deltaSeconds(value), maxRetryAfter)
}
