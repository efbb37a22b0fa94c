// Mint makes Reach tokens for the scripts that ask independent verifiers about
// them: a JSON request on standard input, the tokens on standard output.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/reachfive-community/reachfive/embedreach"
)

type request struct {
	Secret     string                `json:"secret"`
	PartnerID  string                `json:"partnerId"`
	Now        int64                 `json:"now"` // seconds since 1970
	TTL        int64                 `json:"ttl"` // seconds
	Identities []embedreach.Identity `json:"identities"`
}

type response struct {
	Tenant  []string `json:"tenant"` // one for each identity
	Partner string   `json:"partner"`
}

func main() {
	if err := mint(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func mint() error {
	var in request
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		return err
	}
	signer, err := embedreach.NewSigner(in.Secret, in.PartnerID,
		embedreach.WithTTL(time.Duration(in.TTL)*time.Second),
		embedreach.WithClock(func() time.Time { return time.Unix(in.Now, 0) }))
	if err != nil {
		return err
	}
	var out response
	for _, id := range in.Identities {
		token, err := signer.TenantToken(id)
		if err != nil {
			return err
		}
		out.Tenant = append(out.Tenant, token)
	}
	if out.Partner, err = signer.PartnerToken(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}
