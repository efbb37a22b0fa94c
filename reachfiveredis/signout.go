package reachfiveredis

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// futureLeeway is how far ahead of the store's clock the caller's may be.
const futureLeeway = time.Minute

// SignOut says whose tokens are refused from now on.
type SignOut struct {
	// Issuer is one of the issuers that SignOuts was made for.
	Issuer string
	// Subject is the sub of the user. Exactly one of Subject and Everyone is set.
	Subject string
	// Everyone means all users of the issuer.
	Everyone bool
	// Before is the time of the last sign-in that is refused. The zero value
	// means now, by the store's clock, rounded up to a second. A later time
	// counts as now; more than a minute later is an error.
	Before time.Time
}

// SignOut refuses the tokens of a user, or of everyone, whose sign-in is not
// after s.Before, in every process that uses the store. A new sign-in is
// accepted; a refreshed token keeps its auth_time and stays refused. It returns
// the ID to lift it with.
//
// It ends neither the session nor the refresh tokens at ReachFive, nor a session
// of the application, nor an open stream or WebSocket.
//
// An error means that the sign-out may not be stored; calling again is harmless.
// ErrFull, ErrNotInitialized and ErrNotReplicated are told apart.
func (o *SignOuts) SignOut(ctx context.Context, s SignOut) (id string, err error) {
	iss, listed := o.issuers[s.Issuer]
	switch {
	case !listed:
		return "", ErrUnlistedIssuer
	case (s.Subject != "") == s.Everyone:
		return "", errors.New("reachfiveredis: a SignOut has exactly one of Subject and Everyone")
	case len(s.Subject) > longestSubject:
		return "", errors.New("reachfiveredis: the Subject of a SignOut is too long")
	case !s.Before.IsZero() && s.Before.Unix() <= 0:
		return "", errors.New("reachfiveredis: Before of a SignOut is not after 1970")
	}
	k := kindSubject
	if s.Everyone {
		k = kindEveryone
	}
	t := target{digest: iss.digest(k, s.Subject), tag: iss.tag(), kind: k}
	w := writer{o: o}
	id, err = w.write(ctx, func(now time.Time) ([]string, error) {
		before, err := latestRefused(s.Before, now)
		return []string{fieldTarget, t.encode(), fieldBefore, strconv.FormatInt(before, 10)}, err
	})
	if id != "" {
		o.audit(ctx, "signed out", id, k, s.Issuer, err)
	}
	return id, err
}

// latestRefused is the last second whose sign-ins are refused.
func latestRefused(asked, now time.Time) (int64, error) {
	latest := now.Add(time.Second - 1).Unix()
	switch {
	case asked.IsZero():
		return latest, nil
	case asked.Sub(now) > futureLeeway:
		return 0, errFuture
	}
	return min(asked.Unix(), latest), nil
}

var errFuture = errors.New("reachfiveredis: Before of a SignOut is in the future, by the store's clock")

// Lift takes a sign-out back. Tokens that nothing else refuses are accepted
// again. It fails with ErrUnknownSignOut for an ID that the store does not have.
func (o *SignOuts) Lift(ctx context.Context, id string) error {
	w := writer{o: o}
	var t target
	written, err := w.write(ctx, func(time.Time) (_ []string, err error) {
		t, err = w.targetOf(ctx, id)
		return []string{fieldLift, id, fieldTarget, t.encode()}, err
	})
	if written != "" {
		o.audit(ctx, "lifted a sign-out", id, t.kind, o.issuerOf(t.tag), err)
	}
	return err
}

// audit writes the log line of an entry that is in the store.
func (o *SignOuts) audit(ctx context.Context, text, id string, k kind, issuer string, err error) {
	attrs := []slog.Attr{slog.String("id", id), slog.String("kind", k.String()), slog.String("issuer", issuer)}
	if o.replicas > 0 {
		attrs = append(attrs, slog.Bool("replicated", err == nil))
	}
	o.store.log(ctx, slog.LevelInfo, text, append(attrs, actorOf(ctx))...)
}

// issuerOf returns the name of the listed issuer with this tag, or "".
func (o *SignOuts) issuerOf(tag issuerTag) string {
	for name, iss := range o.issuers {
		if iss.tag() == tag {
			return name
		}
	}
	return ""
}

// writer adds one entry to the log.
type writer struct {
	o    *SignOuts
	node *redis.Client
}

// write adds the entry that fields returns for the store's time. An ID that is
// not empty belongs to an entry that is in the store, even with an error.
func (w *writer) write(ctx context.Context, fields func(now time.Time) ([]string, error)) (id string, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	client := w.o.store.client
	if w.node, err = nodeOf(ctx, client, w.o.logKey, false); err == nil {
		id, err = w.add(ctx, fields)
	}
	if err == nil {
		return id, nil
	}
	if redisErr, ok := errors.AsType[redis.Error](err); ok && redisErr != nil {
		moved(ctx, client, err)
	}
	return id, storeFailure("writing a sign-out", err)
}

func (w *writer) add(ctx context.Context, fields func(now time.Time) ([]string, error)) (string, error) {
	now, err := w.prepare(ctx)
	if err != nil {
		return "", err
	}
	values, err := fields(now)
	if err != nil {
		return "", err
	}
	pipe := w.node.Pipeline()
	added := pipe.XAdd(ctx, &redis.XAddArgs{
		Stream: w.o.logKey, NoMkStream: true, MinID: w.oldest(now).String(), Approx: true, Values: values,
	})
	// WAIT counts what the same connection has written before it.
	var confirmed *redis.Cmd
	if w.o.replicas > 0 {
		confirmed = pipe.Do(ctx, "WAIT", w.o.replicas, (callTimeout / 2).Milliseconds())
	}
	if err := execute(ctx, pipe); err != nil {
		return "", err
	}
	id, err := added.Result()
	switch {
	case errors.Is(err, redis.Nil): // the log is gone
		return "", ErrNotInitialized
	case err != nil:
		return "", err
	case confirmed == nil:
		return id, nil
	}
	if n, err := confirmed.Int(); err != nil || n < w.o.replicas {
		return id, ErrNotReplicated
	}
	return id, nil
}

// prepare returns the store's time, if the store is ours and has room.
func (w *writer) prepare(ctx context.Context) (now time.Time, err error) {
	pipe := w.node.Pipeline()
	clock, text, length := pipe.Time(ctx), pipe.Get(ctx, w.o.markerKey), pipe.XLen(ctx, w.o.logKey)
	if err := execute(ctx, pipe); err != nil {
		return now, err
	}
	stored, err := text.Result()
	if _, err = parseMarker(stored, err, w.o.retention); err != nil {
		return now, err
	}
	if now, err = clock.Result(); err != nil {
		return now, err
	}
	if err = length.Err(); err != nil || length.Val() < w.o.maxEntries {
		return now, err
	}
	// Adding trims by whole nodes of the stream; make sure that it is not full
	// of entries that are over.
	if err := w.node.XTrimMinID(ctx, w.o.logKey, w.oldest(now).String()).Err(); err != nil {
		return now, err
	}
	n, err := w.node.XLen(ctx, w.o.logKey).Result()
	if err == nil && n >= w.o.maxEntries {
		err = ErrFull
	}
	return now, err
}

func (w *writer) oldest(now time.Time) streamID { return idAt(now.Add(-w.o.retention - keptLonger)) }

// targetOf finds whom a sign-out concerns: in the store, or, where that has lost
// it, in this process.
func (w *writer) targetOf(ctx context.Context, id string) (t target, err error) {
	parsed, ok := parseStreamID(id)
	if !ok {
		return t, ErrUnknownSignOut
	}
	entries, err := entriesOf(w.node.Do(ctx, "XRANGE", w.o.logKey, parsed.String(), parsed.String()))
	switch {
	case err != nil:
		return t, err
	case len(entries) == 1 && entries[0].before > 0:
		return entries[0].target, nil
	case len(entries) == 1:
		return t, ErrUnknownSignOut
	}
	d, found := w.o.set.find(parsed.packed())
	if !found {
		return t, ErrUnknownSignOut
	}
	return target{digest: d}, nil
}

type actorKey struct{}

// WithActor returns a context whose SignOut, Lift and Init name actor in their
// audit line: who asked for it, as an ID, never as an e-mail address.
func WithActor(ctx context.Context, actor string) context.Context {
	return context.WithValue(ctx, actorKey{}, actor)
}

func actorOf(ctx context.Context) slog.Attr {
	actor, ok := ctx.Value(actorKey{}).(string)
	if !ok {
		return slog.Attr{}
	}
	return slog.String("actor", actor)
}
