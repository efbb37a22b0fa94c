package reachfiveredis

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	pageSize    = 5000
	sweepPause  = time.Second      // between two shards
	probePause  = time.Second      // between attempts while the store fails, jittered
	rereadDelay = 10 * time.Second // at most, before a whole reading that all processes start together
)

// follower reads the log into the set. It follows the end of the log, and beside
// that reads the log backwards from where it began to follow, the newest entries
// first: once at the start, and again whenever the store is not what it was.
type follower struct {
	o      *SignOuts
	client redis.UniversalClient // of its own: closing it ends a blocked read
	log    logReader

	epoch    string
	cursor   streamID // everything up to here has been seen
	counted  int64    // the entries ever added, up to the cursor
	backward backward
	swept    int       // shards so far
	sweepDue time.Time // of the next
	failing  string    // the reason that was logged last
	skipped  atomic.Uint64
}

// backward is a reading of the log from its end to its start.
type backward struct {
	active bool
	from   streamID  // the newest entry that is still to be read
	first  bool      // no page has been read yet
	due    time.Time // of the pages after the first
}

func (b *backward) pending(now time.Time) bool {
	return b.active && (b.first || !now.Before(b.due))
}

func newFollower(o *SignOuts) *follower {
	client := o.store.newClient()
	return &follower{o: o, client: client, log: logReader{
		client: client, replica: o.store.options.ReadOnly,
		logKey: o.logKey, markerKey: o.markerKey, retention: o.retention,
	}}
}

func (f *follower) close() { _ = f.client.Close() }

func (f *follower) run(ctx context.Context) {
	defer f.close()
	for ctx.Err() == nil {
		err := f.cycle(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			f.failed(ctx, err)
			pause(ctx, probePause*3/4+jitter(probePause/2))
		}
	}
}

// cycle asks for what is new, reads a page backwards if there is one to read,
// and waits for the next entry if there is nothing to do.
func (f *follower) cycle(ctx context.Context) error {
	asked := time.Now()
	s, err := f.log.news(ctx, f.cursor)
	if err != nil {
		return err
	}
	if more := f.take(ctx, s); more {
		return nil
	}
	if f.backward.pending(asked) {
		if err := f.readBackwards(ctx); err != nil {
			return err
		}
		f.publish(ctx, asked, s)
		return nil
	}
	f.publish(ctx, asked, s)
	wait := blockTime
	if f.backward.active {
		wait = min(wait, max(time.Until(f.backward.due), time.Millisecond))
	}
	return f.log.wait(ctx, f.cursor, wait)
}

// take adds what is new to the set, and reports whether there is more to ask
// for at once. Where the store is not the one that was followed so far, it
// starts over, without forgetting anything.
func (f *follower) take(ctx context.Context, s news) (more bool) {
	if f.epoch == "" {
		f.startOver(s, time.Time{})
		return false
	}
	f.apply(s.entries)
	counted := f.counted + int64(len(s.entries))
	more = len(s.entries) == pageSize
	changed := ""
	switch {
	case s.marker.Epoch != f.epoch:
		changed = "the store was initialized again"
	case s.tail.before(f.cursor):
		changed = "the store was set back"
	case !more && s.countsAdded && s.added != counted:
		changed = "entries of the log are missing"
	}
	if changed != "" {
		f.o.store.log(ctx, slog.LevelWarn, "the log of sign-outs is read again", slog.String("reason", changed))
		f.startOver(s, time.Now().Add(jitter(rereadDelay)))
		return false
	}
	f.counted = counted
	if more {
		f.cursor = s.entries[len(s.entries)-1].id
	} else {
		f.cursor = s.tail
	}
	return more
}

func (f *follower) startOver(s news, due time.Time) {
	f.epoch, f.cursor, f.counted = s.marker.Epoch, s.tail, s.added
	f.backward = backward{active: true, from: s.tail, first: true, due: due}
	f.o.set.reserve(int(min(s.length, f.o.maxEntries)))
}

func (f *follower) readBackwards(ctx context.Context) error {
	page, err := f.log.page(ctx, f.backward.from)
	if err != nil {
		return err
	}
	f.apply(page)
	f.backward.first = false
	if len(page) < pageSize {
		f.backward = backward{}
		return nil
	}
	f.backward.from = page[len(page)-1].id.previous()
	return nil
}

func (f *follower) apply(entries []entry) {
	for _, e := range entries {
		if !e.known {
			f.skipped.Add(1)
			continue
		}
		f.o.set.apply(e)
	}
	if len(entries) == 0 {
		return
	}
	f.tellEveryone()
}

// tellEveryone keeps the sign-outs of everyone where a check finds them without
// a look at the set.
func (f *follower) tellEveryone() {
	for _, iss := range f.o.issuers {
		iss.before.Store(f.o.set.before(iss.everyone))
	}
}

// publish tells the checks what is known now. The log has been read up to its
// end when the store was asked.
func (f *follower) publish(ctx context.Context, asked time.Time, s news) {
	old := f.o.view.Load()
	v := &view{
		loaded: old.loaded || !f.backward.active, heardAt: asked, storeTime: s.now,
		oldestSignIn: s.now.Add(-f.o.retention).Unix(), historySince: time.Unix(s.marker.Since, 0),
		skipped: f.skipped.Load(), changed: make(chan struct{}),
	}
	if !v.loaded {
		v.reason = errLoading
	}
	if v.skipped > old.skipped {
		f.o.store.log(ctx, slog.LevelWarn, "entries of the log of sign-outs are skipped: a newer version of this package has written them",
			slog.Uint64("entries", v.skipped-old.skipped))
	}
	f.sweep(asked, s.now)
	f.replace(old, v)
	switch {
	case f.failing != "":
		f.failing = ""
		f.o.store.log(ctx, slog.LevelInfo, "the store of sign-outs answers again")
	case v.loaded && !old.loaded:
		f.o.store.log(ctx, slog.LevelInfo, "the sign-outs have been read", slog.Int64("entries", f.o.set.size.Load()))
	}
}

// sweep drops old entries from one shard. Sign-ins that only they would refuse
// are refused as too old by now.
func (f *follower) sweep(now, storeTime time.Time) {
	if now.Before(f.sweepDue) {
		return
	}
	f.sweepDue = now.Add(sweepPause)
	f.o.set.sweep(f.swept, idAt(storeTime.Add(-f.o.retention-keptLonger)).packed())
	f.swept++
	f.tellEveryone()
}

func (f *follower) failed(ctx context.Context, err error) {
	failure := storeFailure("reading the sign-outs", err)
	old := f.o.view.Load()
	v := *old
	v.reason, v.changed = failure, make(chan struct{})
	if old.loaded {
		v.heardAt = time.Now().Add(-old.longestSilence())
	}
	f.replace(old, &v)
	if f.failing != failure.Error() {
		f.failing = failure.Error()
		f.o.store.log(ctx, slog.LevelWarn, "the sign-outs cannot be read", slog.String("reason", failure.Error()))
	}
	// A cluster may have moved the key.
	bounded, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if redisErr, ok := errors.AsType[redis.Error](err); ok && redisErr != nil {
		moved(bounded, f.client, err)
	}
}

func (f *follower) replace(old, v *view) {
	f.o.view.Store(v)
	close(old.changed)
}

// jitter is a random part of d. It spreads load, and keeps no secret.
func jitter(d time.Duration) time.Duration { return rand.N(d) } //nolint:gosec // no secret

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
