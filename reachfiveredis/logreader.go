package reachfiveredis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// logReader asks Redis for the log of sign-outs.
type logReader struct {
	client            redis.UniversalClient
	replica           bool
	logKey, markerKey string
	retention         time.Duration
}

// news is the state of the log at one moment, and what follows a cursor.
type news struct {
	now         time.Time // the store's clock
	marker      marker
	tail        streamID // the last entry that was ever added
	length      int64    // how many entries there are
	added       int64    // how many were ever added
	countsAdded bool     // whether the server tells that
	entries     []entry  // the first pageSize ones after the cursor
}

// news asks in one transaction, so that all parts of the answer belong to one
// moment.
func (l *logReader) news(ctx context.Context, cursor streamID) (s news, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	node, err := nodeOf(ctx, l.client, l.logKey, l.replica)
	if err != nil {
		return s, err
	}
	tx := node.TxPipeline()
	now := tx.Time(ctx)
	text := tx.Get(ctx, l.markerKey)
	info := tx.Do(ctx, "XINFO", "STREAM", l.logKey)
	last := tx.Do(ctx, "XREVRANGE", l.logKey, "+", "-", "COUNT", 1)
	after := tx.Do(ctx, "XRANGE", l.logKey, "("+cursor.String(), "+", "COUNT", pageSize)
	if err := execute(ctx, tx); err != nil {
		return s, err
	}
	if s.now, err = now.Result(); err != nil {
		return s, err
	}
	stored, err := text.Result()
	if s.marker, err = parseMarker(stored, err, l.retention); err != nil {
		return s, err
	}
	if s.entries, err = entriesOf(after); err != nil {
		return s, err
	}
	lastEntry, err := entriesOf(last)
	if err != nil {
		return s, err
	}
	if len(lastEntry) == 1 {
		s.tail = lastEntry[0].id
	}
	return s, s.readInfo(info)
}

// execute sends a pipeline or a transaction. It returns nil if the server has
// answered each command, even if with an error, which the command has then.
func execute(ctx context.Context, pipe redis.Pipeliner) error {
	commands, err := pipe.Exec(ctx)
	redisErr, answered := errors.AsType[redis.Error](err)
	if !answered || strings.HasPrefix(redisErr.Error(), "EXECABORT") {
		return err
	}
	// Without a connection go-redis leaves the commands as they are, as if they
	// had succeeded.
	if !slices.ContainsFunc(commands, func(c redis.Cmder) bool { return c.Err() != nil }) {
		return err
	}
	return nil
}

// readInfo reads the answer to XINFO STREAM.
func (s *news) readInfo(info *redis.Cmd) error {
	raw, err := info.Result()
	if err != nil {
		if strings.Contains(err.Error(), "no such key") {
			return ErrNotInitialized
		}
		return err
	}
	facts := factsOf(raw)
	s.length, _ = facts["length"].(int64)
	added, hasAdded := facts["entries-added"].(int64)
	lastID, hasLast := facts["last-generated-id"].(string)
	// Redis tells of its radix tree in every version, a stand-in for tests such
	// as miniredis does not.
	if _, isRedis := facts["radix-tree-keys"]; isRedis && !hasAdded {
		return ErrOldServer
	}
	if hasLast {
		if id, ok := parseStreamID(lastID); ok {
			s.tail = id
		}
	}
	s.added, s.countsAdded = added, hasAdded
	return nil
}

// factsOf reads a map as RESP3 has it, or a flat list as RESP2 has it.
func factsOf(raw any) map[string]any {
	facts := map[string]any{}
	switch raw := raw.(type) {
	case map[any]any:
		for name, value := range raw {
			facts[fmt.Sprint(name)] = value
		}
	case []any:
		for i := 0; i+1 < len(raw); i += 2 {
			facts[fmt.Sprint(raw[i])] = raw[i+1]
		}
	}
	return facts
}

// page returns up to pageSize entries, the newest first, that are not newer than
// from.
func (l *logReader) page(ctx context.Context, from streamID) ([]entry, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	node, err := nodeOf(ctx, l.client, l.logKey, l.replica)
	if err != nil {
		return nil, err
	}
	return entriesOf(node.Do(ctx, "XREVRANGE", l.logKey, from.String(), "-", "COUNT", pageSize))
}

// wait returns when the log has an entry after cursor, or after d. The server
// must answer within callTimeout in any case.
func (l *logReader) wait(ctx context.Context, cursor streamID, d time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	node, err := nodeOf(ctx, l.client, l.logKey, l.replica)
	if err != nil {
		return err
	}
	// Do, not XRead: to that go-redis adds ten seconds.
	err = node.Do(ctx, "XREAD", "COUNT", 1, "BLOCK", d.Milliseconds(), "STREAMS", l.logKey, cursor.String()).Err()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}

func entriesOf(cmd *redis.Cmd) ([]entry, error) {
	raw, err := cmd.Result()
	if err != nil {
		return nil, err
	}
	return parseEntries(raw)
}
