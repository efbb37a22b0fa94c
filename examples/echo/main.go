// Command echo protects an Echo server: a route for everybody, one that knows
// its visitors, one for users, and one that asks for a recent sign-in.
package main

import (
	"log"
	"net/http"
	"os"
	"time"

	"github.com/labstack/echo/v5"

	"github.com/reachfive-community/reachfive"
)

func main() {
	v, err := reachfive.New(os.Getenv("REACHFIVE_DOMAIN"), os.Getenv("REACHFIVE_CLIENT_ID"))
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: "127.0.0.1:8080", Handler: newEcho(v), ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
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
