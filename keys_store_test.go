package reachfive_test

import (
	"context"
	"errors"
	"sync"
)

// memoryStore is a KeyStore in memory.
type memoryStore struct {
	mu     sync.Mutex
	record []byte
	loads  int
	saves  int
}

func (s *memoryStore) Load(context.Context) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads++
	return s.record, nil
}

func (s *memoryStore) Save(_ context.Context, record []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saves++
	s.record = record
	return nil
}

func (s *memoryStore) load() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.record)
}

var errStore = errors.New("password=hunter2")

const roleVariable = "REACHFIVE_TEST_ROLE"

func playRole(string) int { return 1 }
