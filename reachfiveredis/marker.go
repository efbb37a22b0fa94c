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
	stored, err := node.Get(ctx, o.markerKey).Result()
	if _, err = parseMarker(stored, err, o.retention); err != nil && !errors.Is(err, ErrNotInitialized) {
		return err
	}
	exists, existsErr := node.Exists(ctx, o.logKey).Result()
	if existsErr != nil || err == nil && exists > 0 {
		return existsErr
	}
	// A log without its marker is kept. A marker without its log is written anew:
	// the history of the new log starts now.
	if err := node.Set(ctx, o.markerKey, text, 0).Err(); err != nil {
		return err
	}
	if exists == 0 {
		entry := &redis.XAddArgs{Stream: o.logKey, Values: []string{fieldInit, m.Epoch}}
		if err := node.XAdd(ctx, entry).Err(); err != nil {
			return err
		}
	}
	o.store.log(ctx, slog.LevelInfo, "initialized the store for sign-outs",
		slog.Duration("retention", o.retention), actorOf(ctx))
	return nil
}
