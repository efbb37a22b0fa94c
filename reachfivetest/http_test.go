package reachfivetest_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
)

// send makes one request, follows no redirect, and reads the answer.
func send(ctx context.Context, t *testing.T, client *http.Client, method, url, contentType, body string) (reply, error) {
	t.Helper()
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := own.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header, string(text)}, err
}
