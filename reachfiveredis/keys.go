package reachfiveredis

import (
	"context"
	"crypto/rand"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/reachfive-community/reachfive"
)

var _ reachfive.SharedKeyStore = (*Keys)(nil)

const (
	// keysTimeout bounds each call: a request may be waiting for it.
	keysTimeout = 200 * time.Millisecond
	// leaseTime is longer than a fetch may take.
	leaseTime = 6 * time.Second
	// unknownKIDPause is the time between two fetches for unknown kids.
	unknownKIDPause = 10 * time.Second
	// maxKeyRecord is in bytes, more than the record of the largest document has.
	maxKeyRecord = 1 << 20
	// maxReason is in bytes.
	maxReason = 200
)

// Keys shares one fetch of a tenant's keys among many processes, as a
// reachfive.SharedKeyStore:
//
//	v, err := reachfive.New(domain, clientID, reachfive.WithSharedKeyStore(store.Keys()))
//
// Each call is one script on the server, goes by the server's clock, and ends
// within 200 ms. Calls go to the primary, never to a read replica. Whoever can
// write the records of Keys can sign in as anyone, unless WithRecordKeys
// authenticates them. Keys needs no Close and is safe for concurrent use.
type Keys struct {
	store                 *Store
	ask, publish, release *redis.Script
	refused               atomic.Pointer[string] // the MAC of the record that was logged last
}

// Keys returns the key records of the store. It uses no network.
func (s *Store) Keys() *Keys {
	return &Keys{
		store: s, ask: redis.NewScript(askScript),
		publish: redis.NewScript(publishScript), release: redis.NewScript(releaseScript),
	}
}

// Ask implements reachfive.SharedKeyStore.
func (k *Keys) Ask(ctx context.Context, name, cause string, youngerThan time.Duration) (record []byte, age time.Duration, lease string, wait time.Duration, reason string, err error) {
	ctx, cancel := context.WithTimeout(ctx, keysTimeout)
	defer cancel()
	answer, err := k.asked(ctx, name, cause, youngerThan)
	if err != nil {
		return nil, 0, "", 0, "", storeFailure("asking for keys", err)
	}
	return answer.record, answer.age, answer.lease, answer.wait, answer.reason, nil
}

// keysAnswer is what askScript returns.
type keysAnswer struct {
	record []byte // nil: none
	age    time.Duration
	lease  string
	wait   time.Duration
	reason string
}

func (k *Keys) asked(ctx context.Context, name, cause string, youngerThan time.Duration) (a keysAnswer, _ error) {
	list, err := k.run(ctx, k.ask, name, cause, youngerThan.Milliseconds(), rand.Text(),
		leaseTime.Milliseconds(), unknownKIDPause.Milliseconds(), maxKeyRecord).Slice()
	if err != nil {
		return a, err
	}
	text := func(i int) string { return elementOf[string](list, i) }
	millis := func(i int) time.Duration { return time.Duration(elementOf[int64](list, i)) * time.Millisecond }
	switch text(0) {
	case "record":
		r := keyRecord{name: name, document: text(1), granted: text(3), fresh: text(4)}
		if mac := text(2); !k.store.authentic(r, mac) {
			k.refuse(ctx, mac)
			// A record that cannot be used must not keep the fleet from fetching.
			return k.asked(ctx, name, cause, 0)
		}
		return keysAnswer{record: []byte(r.document), age: millis(5)}, nil
	case "lease":
		return keysAnswer{lease: text(1)}, nil
	case "wait":
		return keysAnswer{reason: text(1), wait: millis(2)}, nil
	case "none":
		return a, nil
	}
	return a, &storeError{text: "the server's answer has an unknown form"}
}

// elementOf returns an element of an answer, or the zero value.
func elementOf[T any](list []any, i int) (element T) {
	if i < len(list) {
		element, _ = list[i].(T)
	}
	return element
}

// refuse logs that a record is not used, once for each record.
func (k *Keys) refuse(ctx context.Context, mac string) {
	if last := k.refused.Swap(&mac); last == nil || *last != mac {
		k.store.log(ctx, slog.LevelWarn, "a key record was not signed with a key of WithRecordKeys and is not used: configure the same keys everywhere, and check who can write to the store")
	}
}

// Publish implements reachfive.SharedKeyStore.
func (k *Keys) Publish(ctx context.Context, name, lease string, record []byte, fresh, keep time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, keysTimeout)
	defer cancel()
	_, granted, _ := strings.Cut(lease, "@")
	r := keyRecord{name: name, granted: granted, fresh: strconv.FormatInt(fresh.Milliseconds(), 10), document: string(record)}
	err := k.run(ctx, k.publish, name, lease, r.granted, r.fresh, r.document, k.store.sign(r), max(keep, fresh, time.Second).Milliseconds()).Err()
	if err != nil {
		return storeFailure("storing keys", err)
	}
	return nil
}

// Release implements reachfive.SharedKeyStore.
func (k *Keys) Release(ctx context.Context, name, lease string, pause time.Duration, reason string) error {
	ctx, cancel := context.WithTimeout(ctx, keysTimeout)
	defer cancel()
	reason = reason[:min(len(reason), maxReason)]
	if err := k.run(ctx, k.release, name, lease, pause.Milliseconds(), reason).Err(); err != nil {
		return storeFailure("giving back the right to fetch keys", err)
	}
	return nil
}

// run runs a script on what is stored under a name.
func (k *Keys) run(ctx context.Context, script *redis.Script, name string, args ...any) *redis.Cmd {
	if name == "" || strings.ContainsFunc(name, notInPrefix) { // a brace would change the slot
		cmd := redis.NewCmd(ctx)
		cmd.SetErr(&storeError{text: "the name of the keys is not made of letters, digits, hyphens, underscores, dots and colons"})
		return cmd
	}
	purpose := "keys:" + name
	names := []string{
		k.store.key(purpose, "record"), k.store.key(purpose, "lease"),
		k.store.key(purpose, "pause"), k.store.key(purpose, "unknown"),
	}
	return script.Run(ctx, k.store.primary, names, args...)
}
