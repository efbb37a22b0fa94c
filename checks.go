package reachfive

import (
	"context"
	"time"
)

// Check is skeleton.
type Check func(ctx context.Context, u *User) error

func Nonce(want string) Check                  { return nil }
func MaxAge(d time.Duration) Check             { return nil }
func MaxTokenAge(d time.Duration) Check        { return nil }
func AMR(methods ...string) Check              { return nil }
func ACR(values ...string) Check               { return nil }
func AuthType(types ...string) Check           { return nil }
func EmailVerified() Check                     { return nil }
func AccessTokenHash(accessToken string) Check { return nil }
