package reachfive_test

import (
	"context"
	"crypto/rand"
	"sync"
	"time"

	"github.com/reachfive-community/reachfive"
)

// memoryKeys is a SharedKeyStore for the Verifiers of one process.
type memoryKeys struct {
	mu    sync.Mutex
	fault func(ctx context.Context, method string) error // before each call; nil for none
	named map[string]*sharedEntry
	asks  int // with a cause
	looks int
}

var _ reachfive.SharedKeyStore = (*memoryKeys)(nil)

// sharedEntry is what memoryKeys has under one name.
type sharedEntry struct {
	record               []byte
	granted, published   time.Time // the fetch of the record, and the record
	fresh                time.Duration
	lease                string
	leasedAt, leaseEnds  time.Time
	pauseEnds, nextKIDAt time.Time
	reason               string
}

func newMemoryKeys() *memoryKeys { return &memoryKeys{named: map[string]*sharedEntry{}} }

// breaks makes every call begin with fault, nil for none.
func (m *memoryKeys) breaks(fault func(ctx context.Context, method string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = fault
}

// enter begins a call; the caller unlocks.
func (m *memoryKeys) enter(ctx context.Context, method, name string) (*sharedEntry, error) {
	m.mu.Lock()
	if fault := m.fault; fault != nil {
		m.mu.Unlock()
		if err := fault(ctx, method); err != nil {
			return nil, err
		}
		m.mu.Lock()
	}
	if m.named[name] == nil {
		m.named[name] = &sharedEntry{}
	}
	return m.named[name], nil
}

func (m *memoryKeys) Ask(ctx context.Context, name, cause string, youngerThan time.Duration) (record []byte, age time.Duration, lease string, wait time.Duration, reason string, err error) {
	e, err := m.enter(ctx, "Ask", name)
	if err != nil {
		return nil, 0, "", 0, "", err
	}
	defer m.mu.Unlock()
	now := time.Now()
	if age := now.Sub(e.granted); e.record != nil && age >= 0 && age < min(youngerThan, e.fresh) {
		return e.record, age, "", 0, "", nil
	}
	if cause == "" {
		m.looks++
		return nil, 0, "", 0, "", nil
	}
	m.asks++
	switch {
	case now.Before(e.pauseEnds) && cause != string(reachfive.CauseAsked):
		return nil, 0, "", e.pauseEnds.Sub(now), e.reason, nil
	case e.lease != "" && now.Before(e.leaseEnds):
		return nil, 0, "", 0, "", nil
	case cause == string(reachfive.CauseUnknownKID):
		if now.Before(e.nextKIDAt) {
			return nil, 0, "", e.nextKIDAt.Sub(now), "", nil
		}
		e.nextKIDAt = now.Add(10 * time.Second)
	}
	e.lease, e.leasedAt, e.leaseEnds = rand.Text(), now, now.Add(6*time.Second)
	return nil, 0, e.lease, 0, "", nil
}

func (m *memoryKeys) Publish(ctx context.Context, name, lease string, record []byte, fresh, _ time.Duration) error {
	e, err := m.enter(ctx, "Publish", name)
	if err != nil {
		return err
	}
	defer m.mu.Unlock()
	if e.lease == lease && time.Now().Before(e.leaseEnds) {
		e.record, e.granted, e.fresh = record, e.leasedAt, fresh
		e.lease, e.pauseEnds, e.published = "", time.Time{}, time.Now()
	}
	return nil
}

func (m *memoryKeys) Release(ctx context.Context, name, lease string, pause time.Duration, reason string) error {
	e, err := m.enter(ctx, "Release", name)
	if err != nil {
		return err
	}
	defer m.mu.Unlock()
	if e.lease == lease && time.Now().Before(e.leaseEnds) {
		e.lease = ""
		if pause > 0 {
			e.pauseEnds, e.reason = time.Now().Add(pause), reason
		}
	}
	return nil
}
