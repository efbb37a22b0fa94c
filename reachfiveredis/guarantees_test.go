package reachfiveredis_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/reachfive-community/reachfive"
	"github.com/reachfive-community/reachfive/reachfiveredis"
)

// patience is for a machine that is busy with something else: tests in bubbles
// hold the promised three seconds exactly.
const patience = 30 * time.Second

// refusedBy waits until every check refuses u.
func refusedBy(t *testing.T, u *reachfive.User, checks ...reachfive.Check) (took []time.Duration) {
	t.Helper()
	begun := time.Now()
	for _, check := range checks {
		require.Eventually(t, func() bool { return codeOf(check, u) == reachfive.CodeRevoked }, patience, time.Millisecond)
		took = append(took, time.Since(begun))
	}
	return took
}

func TestSignOutReachesAHundredReadersOfARealServer(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	writer := initialized(t, server.options())
	var checks []reachfive.Check
	for range 100 {
		o := realSignOuts(t, server.options())
		require.NoError(t, o.Ready(t.Context()))
		checks = append(checks, o.Check())
	}
	u := userOf("anna", time.Now())
	for _, check := range checks {
		require.Empty(t, codeOf(check, u))
	}
	id := signOut(t, writer, "anna")
	refusedBy(t, u, checks...)
	require.NoError(t, writer.Lift(t.Context(), id))
	for _, check := range checks {
		require.Eventually(t, func() bool { return codeOf(check, u) == "" }, patience, time.Millisecond)
	}
}

func TestSignOutsOutliveAKilledServerThatPersists(t *testing.T) {
	t.Parallel()
	server := startRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	writer := initialized(t, server.options())
	reader := realSignOuts(t, server.options())
	require.NoError(t, reader.Ready(t.Context()))
	u, v := userOf("anna", time.Now()), userOf("bert", time.Now())
	signOut(t, writer, "anna")
	refusedBy(t, u, reader.Check())
	server.kill()
	for range 50 { // decisions go on from memory
		assert.Equal(t, reachfive.CodeRevoked, codeOf(reader.Check(), u))
		assert.Empty(t, codeOf(reader.Check(), v))
	}
	server.start(t)
	require.Eventually(t, func() bool {
		_, err := writer.SignOut(t.Context(), reachfiveredis.SignOut{Issuer: issuer, Subject: "bert"})
		return err == nil
	}, 20*time.Second, 100*time.Millisecond)
	require.Eventually(t, func() bool { return codeOf(reader.Check(), v) == reachfive.CodeRevoked }, 20*time.Second, 10*time.Millisecond)
	cold := realSignOuts(t, server.options())
	require.NoError(t, cold.Ready(t.Context()))
	assert.Equal(t, reachfive.CodeRevoked, codeOf(cold.Check(), u))
}

func TestFlushedServerLosesNothingInAProcessThatRuns(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	writer := initialized(t, server.options())
	reader := realSignOuts(t, server.options())
	require.NoError(t, reader.Ready(t.Context()))
	u, v := userOf("anna", time.Now()), userOf("bert", time.Now())
	signOut(t, writer, "anna")
	refusedBy(t, u, reader.Check())
	server.admin(t, "FLUSHALL")
	_, err := writer.SignOut(t.Context(), reachfiveredis.SignOut{Issuer: issuer, Subject: "bert"})
	require.ErrorIs(t, err, reachfiveredis.ErrNotInitialized)
	require.ErrorIs(t, realSignOuts(t, server.options()).Ready(t.Context()), reachfiveredis.ErrNotInitialized)
	require.NoError(t, writer.Init(t.Context()))
	signOut(t, writer, "bert")
	require.Eventually(t, func() bool { return codeOf(reader.Check(), v) == reachfive.CodeRevoked }, 20*time.Second, 10*time.Millisecond)
	assert.Equal(t, reachfive.CodeRevoked, codeOf(reader.Check(), u))
}

func TestFaultsOfARealServerAreSaidInPlainWords(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	o := initialized(t, server.options())
	write := func() error {
		_, err := o.SignOut(context.Background(), reachfiveredis.SignOut{Issuer: issuer, Subject: "anna"})
		return err
	}
	require.NoError(t, write())

	server.admin(t, "CONFIG", "SET", "maxmemory", "1")
	require.ErrorContains(t, write(), "raise its maxmemory")
	server.admin(t, "CONFIG", "SET", "maxmemory", "0")

	server.admin(t, "CONFIG", "SET", "min-replicas-to-write", "1")
	require.ErrorContains(t, write(), "too few replicas")
	server.admin(t, "CONFIG", "SET", "min-replicas-to-write", "0")

	server.admin(t, "REPLICAOF", "127.0.0.1", "1")
	require.ErrorContains(t, write(), "read-only replica")
	server.admin(t, "REPLICAOF", "NO", "ONE")

	for key := range strings.FieldsSeq(strings.Trim(server.admin(t, "KEYS", "*"), "[]")) {
		server.admin(t, "DEL", key)
		server.admin(t, "SADD", key, "not ours")
	}
	require.ErrorContains(t, write(), "a key of another type")
	notReady(t, server.options(), "a key of another type")

	server.admin(t, "CONFIG", "SET", "requirepass", "hunter2")
	options := server.options()
	options.Password = "hunter3"
	notReady(t, options, "check Username and Password")
}

func TestReplicasThatAreAskedForMustConfirm(t *testing.T) {
	t.Parallel()
	primary := startRedis(t)
	o := initialized(t, primary.options(), reachfiveredis.WithReplicas(1))
	id, err := o.SignOut(t.Context(), reachfiveredis.SignOut{Issuer: issuer, Subject: "anna"})
	require.ErrorIs(t, err, reachfiveredis.ErrNotReplicated)
	assert.NotEmpty(t, id, "it stands in the store all the same")

	replica := startRedis(t, "--replicaof", "127.0.0.1 "+primary.port())
	require.Eventually(t, func() bool {
		_, err := o.SignOut(t.Context(), reachfiveredis.SignOut{Issuer: issuer, Subject: "bert"})
		return err == nil
	}, 30*time.Second, 100*time.Millisecond)
	reader := realSignOuts(t, replica.options()) // one that reads the replica
	require.NoError(t, reader.Ready(t.Context()))
	refusedBy(t, userOf("anna", time.Now().Add(-time.Hour)), reader.Check())
}

// The users of docs/fleet.md, as an administrator would copy them.
func documentedACL(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../docs/fleet.md")
	require.NoError(t, err)
	users := regexp.MustCompile(`(?m)^user [a-z-]+ .*$`).FindAllString(string(text), -1)
	require.NotEmpty(t, users)
	return append(users, "user default on nopass ~* &* +@all")
}

// documentedUser is the line of one user.
func documentedUser(t *testing.T, name string) string {
	t.Helper()
	for _, line := range documentedACL(t) {
		if strings.HasPrefix(line, "user "+name+" ") {
			return line
		}
	}
	require.Fail(t, "docs/fleet.md lacks the user", name)
	return ""
}

// inACluster are the rules that docs/fleet.md adds for a cluster.
func inACluster(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../docs/fleet.md")
	require.NoError(t, err)
	rules := regexp.MustCompile("In a cluster add `([^`]+)`").FindSubmatch(text)
	require.NotNil(t, rules)
	return string(rules[1])
}

func TestDocumentedACLUsersMayDoTheirPartAndNoMore(t *testing.T) {
	t.Parallel()
	acl := writeFile(t, t.TempDir(), "users.acl", documentedACL(t)...)
	server := startRedis(t, "--aclfile", acl)
	as := func(name string) *redis.UniversalOptions {
		options := server.options()
		options.Username, options.Password = name, "change-me-"+name
		return options
	}
	writer := initialized(t, as("signout-writer"))
	id := signOut(t, writer, "anna")
	reader := realSignOuts(t, as("signout-reader"))
	require.NoError(t, reader.Ready(t.Context()))
	u := userOf("anna", time.Now())
	assert.Equal(t, reachfive.CodeRevoked, codeOf(reader.Check(), u))
	require.Len(t, listOf(t, reader), 1)
	require.NoError(t, writer.Lift(t.Context(), id))
	require.Eventually(t, func() bool { return codeOf(reader.Check(), u) == "" }, patience, time.Millisecond)

	for _, name := range []string{"key-sharer", "verifier"} {
		server.admin(t, "DEL", keyPrefix+"pause", keyPrefix+"unknown")
		k := keysOf(t, as(name))
		publish(t, k, ask(t, k, "unknown_kid", 0).lease, "keys")
		release(t, k, ask(t, k, "first", 0).lease, time.Minute, "status 503")
		require.Positive(t, ask(t, k, "first", 0).wait)
	}
	require.NoError(t, realSignOuts(t, as("verifier")).Ready(t.Context()))

	assert.Equal(t, "[]", server.admin(t, "ACL", "LOG"), "nothing that a part needs was refused")

	const denied = "lacks a permission"
	_, err := reader.SignOut(t.Context(), reachfiveredis.SignOut{Issuer: issuer, Subject: "bert"})
	require.ErrorContains(t, err, denied)
	require.ErrorContains(t, reader.Lift(t.Context(), id), denied)
	require.ErrorContains(t, reader.Init(t.Context()), denied)
	notReady(t, as("key-sharer"), denied)
	require.ErrorContains(t, runAs(t, server, "key-sharer", "GET", "reachfive:{signouts}:1:marker"), "NOPERM")
	for _, name := range []string{"key-sharer", "verifier", "signout-reader"} {
		require.ErrorContains(t, realSignOuts(t, as(name)).Init(t.Context()), denied)
		for _, command := range [][]any{
			{"EVAL", "return redis.call('SET', KEYS[1], '')", 1, "reachfive:{signouts}:1:marker"},
			{"EVAL", "return redis.call('XADD', KEYS[1], '*', 's', '')", 1, "reachfive:{signouts}:1:log"},
			{"SET", "reachfive:{signouts}:1:marker", ""},
			{"DEL", "reachfive:{signouts}:1:log"},
			{"XADD", "reachfive:{signouts}:1:log", "*", "s", ""},
			{"XTRIM", "reachfive:{signouts}:1:log", "MAXLEN", 0},
			{"KEYS", "*"},
			{"CONFIG", "GET", "*"},
			{"FLUSHALL"},
		} {
			err := runAs(t, server, name, command...)
			require.Error(t, err, "%s: %v", name, command)
			denial := strings.HasPrefix(err.Error(), "NOPERM") || strings.Contains(err.Error(), "The user executing the script can't")
			require.True(t, denial, "%s: %v: %v", name, command, err)
		}
	}

	for _, name := range []string{"signout-writer", "signout-reader"} {
		cannotAsk(t, keysOf(t, as(name)), denied)
		require.ErrorContains(t, runAs(t, server, name, "SET", keyPrefix+"record", "forged"), "NOPERM", name)
		require.ErrorContains(t, runAs(t, server, name, "HSET", keyPrefix+"record", "record", "forged"), "NOPERM", name)
	}
}

// runAs runs a command as one of the documented users.
func runAs(t *testing.T, server *redisProcess, name string, command ...any) error {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: server.addr, Username: name, Password: "change-me-" + name, DisableIdentity: true})
	defer func() { assert.NoError(t, client.Close()) }()
	return client.Do(t.Context(), command...).Err()
}

func TestConnectionIsEncryptedAndItsCertificateVerified(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pool := certificate(t, dir)
	server := startRedis(t, "--port", "0", "--tls-port", "PORT", "--tls-auth-clients", "no",
		"--tls-cert-file", dir+"/cert.pem", "--tls-key-file", dir+"/key.pem", "--tls-ca-cert-file", dir+"/cert.pem")
	options := server.options()
	options.TLSConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	o := initialized(t, options)
	require.NoError(t, o.Ready(t.Context()))
	signOut(t, o, "anna")
	refusedBy(t, userOf("anna", time.Now().Add(-time.Hour)), o.Check())
	k := keysOf(t, options)
	publish(t, k, ask(t, k, "first", time.Hour).lease, "keys")

	options.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	notReady(t, options, "check TLSConfig and the certificates")
	cannotAsk(t, keysOf(t, options), "check TLSConfig and the certificates")
	options.TLSConfig = nil
	require.Error(t, realSignOuts(t, options).Ready(t.Context()), "plaintext to a port that speaks TLS")
}

// certificate writes a certificate for 127.0.0.1 and its key.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	writeFile(t, dir, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	writeFile(t, dir, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
	pool := x509.NewCertPool()
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool.AddCert(parsed)
	return pool
}
