// Command gin protects the routes of a gin engine: one is open, one takes users
// and visitors, one needs a user, and one needs a user who signed in less than
// five minutes ago.
package main

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/examples/internal/demo"
)

func main() {
	// In your service: v, err := reachfive.New("acme.reach5.net", "AtnY5xDg4fbanentihip")
	gin.SetMode(gin.ReleaseMode)
	demo.Main(func(d *demo.Demo) (demo.Server, error) {
		d.Try(demo.Routes()...)
		return &http.Server{Handler: newEngine(d.Verifier), ReadHeaderTimeout: 5 * time.Second}, nil
	})
}

func newEngine(v reachfive.TokenVerifier, opts ...reachfive.MiddlewareOption) http.Handler {
	engine := gin.New()
	engine.Use(gin.Recovery())
	engine.GET("/health", hello)
	engine.GET("/greeting", use(reachfive.Middleware(v, append(opts, reachfive.Optional())...)), hello)
	users := engine.Group("/", use(reachfive.Middleware(v, opts...)))
	users.GET("/me", hello)
	users.POST("/payout", use(reachfive.Require(reachfive.MaxAge(5*time.Minute))), hello)
	return engine
}

// hello answers with the subject of the user, "" for a visitor. The user is in
// the context of the request, where gin's own context does not look.
func hello(c *gin.Context) {
	subject := ""
	if user, ok := reachfive.UserFromContext(c.Request.Context()); ok {
		subject = user.Subject
	}
	c.JSON(http.StatusOK, gin.H{"subject": subject})
}

// use turns a net/http middleware into a gin handler. It calls Abort because
// gin would call the next handler after a refusal too.
func use(middleware func(http.Handler) http.Handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		passed := false
		next := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			passed = true
			c.Request = r
			c.Next()
		})
		middleware(next).ServeHTTP(c.Writer, c.Request)
		if !passed {
			c.Abort()
		}
	}
}
