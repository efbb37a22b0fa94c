// Command echo protects the routes of an Echo server: one is open, one takes
// users and visitors, one needs a user, and one needs a user who signed in less
// than five minutes ago.
package main

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v5"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/examples/internal/demo"
)

func main() {
	// In your service: v, err := reachfive.New("acme.reach5.net", "AtnY5xDg4fbanentihip")
	demo.Main(func(d *demo.Demo) (demo.Server, error) {
		d.Try(demo.Routes()...)
		return &http.Server{Handler: newEcho(d.Verifier), ReadHeaderTimeout: 5 * time.Second}, nil
	})
}

func newEcho(v reachfive.TokenVerifier, opts ...reachfive.MiddlewareOption) http.Handler {
	e := echo.New()
	e.GET("/health", hello)
	e.GET("/greeting", hello, echo.WrapMiddleware(reachfive.Middleware(v, append(opts, reachfive.Optional())...)))
	users := e.Group("", echo.WrapMiddleware(reachfive.Middleware(v, opts...)))
	users.GET("/me", hello)
	users.POST("/payout", hello, echo.WrapMiddleware(reachfive.Require(reachfive.MaxAge(5*time.Minute))))
	return e
}

// hello answers with the subject of the user, "" for a visitor.
func hello(c *echo.Context) error {
	subject := ""
	if user, ok := reachfive.UserFromContext(c.Request().Context()); ok {
		subject = user.Subject
	}
	return c.JSON(http.StatusOK, map[string]string{"subject": subject})
}
