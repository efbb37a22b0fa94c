package reachfive

// tokenCache remembers tokens that were verified.
type tokenCache struct{}

func newTokenCache(int) *tokenCache { return nil }

func (c *tokenCache) get(string) (*User, *publicKey, bool) { return nil, nil, false }

func (c *tokenCache) put(string, *User, *publicKey) {}
