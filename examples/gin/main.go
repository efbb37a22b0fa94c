// Command gin protects a gin engine: a route for everybody, one that knows its
// visitors, one for users, and one that asks for a recent sign-in.
package main

import (
	"log"
	"net/http"
	"os"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/reachfive-community/reachfive"
)

func main() {
	v, err := reachfive.New(os.Getenv("REACHFIVE_DOMAIN"), os.Getenv("REACHFIVE_CLIENT_ID"))
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: "127.0.0.1:8080", Handler: newEngine(v), ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
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
// the context of the request: gin's own context does not look there.
func hello(c *gin.Context) {
	subject := ""
	if user, ok := reachfive.UserFromContext(c.Request.Context()); ok {
		subject = user.Subject
	}
	c.JSON(http.StatusOK, gin.H{"subject": subject})
}

// use makes a gin handler of a net/http middleware. Without the Abort gin would
// call the next handler after a refusal too.
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
