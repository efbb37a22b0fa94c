package demo

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/reachfive-community/reachfive/reachfivetest"
)

// lastLine is printed after the commands.
const lastLine = "Stop with Ctrl-C."

// Routes are the commands for the examples that serve these routes: GET /health
// for everybody, GET /greeting for visitors and users, GET /me for users, and
// POST /payout for users who signed in less than five minutes ago.
func Routes() []Command {
	return []Command{
		{`curl -i "$URL/health"`, `200`},
		{`curl -i "$URL/greeting"`, `200`},
		{`curl -i "$URL/me"`, `401 missing_token`},
		{`curl -i -H "Authorization: Bearer $GOOD" "$URL/me"`, `200`},
		{`curl -i -H "Authorization: Bearer not.a.token" "$URL/me"`, `401 malformed_token`},
		{`curl -i -H "Authorization: Bearer $EXPIRED" "$URL/me"`, `401 expired`},
		{`curl -i -H "Authorization: Bearer $EXPIRED" "$URL/greeting"`, `401 expired`},
		{`curl -i -X POST -H "Authorization: Bearer $OLD" "$URL/payout"`, `401 reauthentication_required`},
	}
}

// variable is a shell variable of the commands.
type variable struct{ name, value string }

func (d *Demo) variables(host string) []variable {
	variables := []variable{{"URL", "http://" + host}, {"ADDR", host}}
	if d.Tenant == nil {
		return append(variables, variable{"GOOD", "$ID_TOKEN"})
	}
	anHourAgo := reachfivetest.IssuedAt(time.Now().Add(-time.Hour))
	return append(variables,
		variable{"GOOD", d.Tenant.Token()},
		variable{"EXPIRED", d.Tenant.Token(reachfivetest.Expired())},
		variable{"OLD", d.Tenant.Token(anHourAgo)})
}

// print tells where the example listens, and the commands to try.
func (d *Demo) print(out io.Writer, name, host string) {
	tenant := "a ReachFive tenant inside this process"
	if d.Tenant == nil {
		tenant = "the client " + d.ClientID + " of " + d.Domain
	}
	fmt.Fprintf(out, "%s listens on %s and takes the ID tokens of %s.\n", name, host, tenant)
	for _, note := range d.notes {
		fmt.Fprintln(out, note)
	}

	commands := d.runnable()
	if d.Tenant == nil {
		fmt.Fprint(out, "In another terminal, put an ID token of yours into ID_TOKEN, and paste:\n\n")
	} else {
		fmt.Fprint(out, "In another terminal, paste:\n\n")
	}
	for _, v := range d.variables(host) {
		for _, command := range commands {
			if strings.Contains(command.Line, "$"+v.name) {
				fmt.Fprintf(out, "%s=\"%s\"\n", v.name, v.value)
				break
			}
		}
	}
	for _, command := range commands {
		if command.Want != "" {
			fmt.Fprintf(out, "\n# %s\n", command.Want)
		}
		fmt.Fprintln(out, command.Line)
	}
	fmt.Fprintf(out, "\n%s\n", lastLine)
}

// runnable are the commands whose tokens can be had.
func (d *Demo) runnable() []Command {
	if d.Tenant != nil {
		return d.commands
	}
	var commands []Command
	for _, command := range d.commands {
		if !strings.Contains(command.Line, "$EXPIRED") && !strings.Contains(command.Line, "$OLD") {
			commands = append(commands, command)
		}
	}
	return commands
}
