package reachfiveredis

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"
)

const markerVersion = 1

// marker says that the store is the one that sign-outs are kept in. A verifier
// that does not find it has reached another database, or one that was flushed.
type marker struct {
	Version   int    `json:"version"`
	Retention int64  `json:"retention"` // seconds
	Epoch     string `json:"epoch"`     // random; another one means another history
	Since     int64  `json:"since"`     // Unix seconds: nothing from before is known
}

// parseMarker reads the marker and compares it with what is configured.
func parseMarker(text string, err error, retention time.Duration) (m marker, _ error) {
	if errors.Is(err, redis.Nil) {
		return m, ErrNotInitialized
	}
	if err != nil {
		return m, err
	}
	switch err := json.Unmarshal([]byte(text), &m); {
	case err != nil, m.Version < 1, m.Epoch == "":
		return m, ErrNotInitialized
	case m.Version > markerVersion:
		return m, ErrNewerVersion
	case m.Retention != int64(retention/time.Second):
		return m, ErrRetention
	}
	return m, nil
}

// Init writes the marker without which no SignOuts decides anything. Run it once
// for a new store, and again for one that has lost its data: sign everyone out
// then, because the sign-outs of before are lost. It is safe to repeat. It fails
// with ErrRetention if the store has the marker of another retention.
func (o *SignOuts) Init(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := o.initialize(ctx); err != nil {
		return storeFailure("initializing", err)
	}
	return nil
}

func (o *SignOuts) initialize(ctx context.Context) (err error) {
	node, err := nodeOf(ctx, o.store.client, o.logKey, false)
	if err != nil {
		return err
	}
	defer func() { moved(ctx, o.store.client, err) }()
	now, err := node.Time(ctx).Result()
	if err != nil {
		return err
	}
	m := marker{Version: markerVersion, Retention: int64(o.retention / time.Second), Epoch: rand.Text(), Since: now.Unix()}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	err = node.SetArgs(ctx, o.markerKey, text, redis.SetArgs{Mode: "NX"}).Err()
	switch {
	case errors.Is(err, redis.Nil): // there is one already
		stored, err := node.Get(ctx, o.markerKey).Result()
		if m, err = parseMarker(stored, err, o.retention); err != nil {
			return err
		}
	case err != nil:
		return err
	default:
		o.store.log(ctx, slog.LevelInfo, "initialized the store for sign-outs",
			slog.Duration("retention", o.retention), actorOf(ctx))
	}
	// A log that is missing beside its marker is made again here, too: SignOut
	// never makes one.
	exists, err := node.Exists(ctx, o.logKey).Result()
	if err != nil || exists > 0 {
		return err
	}
	return node.XAdd(ctx, &redis.XAddArgs{Stream: o.logKey, Values: []string{fieldInit, m.Epoch}}).Err()
}
