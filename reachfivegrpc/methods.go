package reachfivegrpc

import (
	"errors"
	"slices"
	"strings"

	"google.golang.org/grpc"

	"github.com/reachfive-community/reachfive"
)

// mode is what a method requires of a call. The zero mode requires a token.
type mode uint8

const (
	modeToken mode = iota
	modeOptional
	modePublic
)

// policy is what the options set for a method or a service.
type policy struct {
	mode   mode
	checks []reachfive.Check
}

// policies maps "/pkg.Service/Method", and "/pkg.Service/" for a whole
// service, to its policy. It does not change after wiring.
type policies map[string]policy

// of returns the policy of a method: that of its own name, else that of its
// service, else the zero policy.
func (p policies) of(fullMethod string) policy {
	if own, ok := p[fullMethod]; ok {
		return own
	}
	return p[service(fullMethod)]
}

// add adds a policy to those already set for a name.
func (p policies) add(name string, added policy) {
	key := strings.TrimSuffix(name, "*")
	was, ok := p[key]
	if ok && was.mode != added.mode {
		panic("reachfivegrpc: " + name + " is named by two of Public, Optional and Require")
	}
	added.checks = slices.Concat(was.checks, added.checks)
	p[key] = added
}

// inherit adds the checks of each service to those of its methods that have a
// policy of their own, so that of finds both with one lookup.
func (p policies) inherit() {
	for name, own := range p {
		if name != service(name) {
			own.checks = slices.Concat(p[service(name)].checks, own.checks)
			p[name] = own
		}
	}
}

// service returns "/pkg.Service/" of a full method name.
func service(fullMethod string) string {
	return fullMethod[:strings.LastIndexByte(fullMethod, '/')+1]
}

// mustBeName panics unless name is "/pkg.Service/Method" or "/pkg.Service/*".
func mustBeName(name string) {
	svc, method, _ := strings.Cut(strings.TrimPrefix(name, "/"), "/")
	if !strings.HasPrefix(name, "/") || svc == "" || method == "" ||
		strings.ContainsAny(svc, "* ") || (method != "*" && strings.ContainsAny(method, "/* ")) {
		panic(`reachfivegrpc: "` + name + `" is neither "/pkg.Service/Method" nor "/pkg.Service/*"`)
	}
}

// CheckMethods returns an error that lists every name in opts that matches no
// method of the server, usually a *grpc.Server; nil if there is none. Call it
// from the server's own test, or after the last service is registered.
func CheckMethods(server interface {
	GetServiceInfo() map[string]grpc.ServiceInfo
}, opts ...Option,
) error {
	registered := map[string]bool{}
	for svc, info := range server.GetServiceInfo() {
		registered["/"+svc+"/"] = true
		for _, method := range info.Methods {
			registered["/"+svc+"/"+method.Name] = true
		}
	}
	var unmatched []string
	for name := range newConfig(opts).policies {
		if !registered[name] {
			if name == service(name) {
				name += "*"
			}
			unmatched = append(unmatched, name)
		}
	}
	if unmatched == nil {
		return nil
	}
	slices.Sort(unmatched)
	return errors.New("reachfivegrpc: no such method on the server: " + strings.Join(unmatched, ", "))
}
