package reachfiveredis_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"
)

// fakeRedis is a server for bubbles of testing/synctest: it speaks RESP over
// pipes, and knows the few commands of the sign-outs as Redis 7.0 answers them,
// entries-added and last-generated-id included, which miniredis does not tell.
type fakeRedis struct {
	server *server.Server

	mu      sync.Mutex
	changed chan struct{} // closed when something is written
	strings map[string]string
	log     *fakeStream
	logKey  string
	ahead   time.Duration // of the store's clock
	queued  map[*server.Peer][]func(*server.Peer)
	conns   []net.Conn
	calls   map[string]int

	// faults
	down, hung, isolated bool
	failing              string // the error that answers every command
	version              string
}

type fakeStream struct {
	entries []fakeEntry
	lastMS  int64
	lastSeq int64
	added   int64
}

type fakeEntry struct {
	ms, seq int64
	fields  []string
}

func newFakeRedis(t interface {
	Fatal(args ...any)
	Cleanup(f func())
},
) *fakeRedis {
	f := &fakeRedis{
		server: server.NewServerConn(), changed: make(chan struct{}), version: "7.0.15",
		strings: map[string]string{}, queued: map[*server.Peer][]func(*server.Peer){}, calls: map[string]int{},
	}
	for name, command := range map[string]func(*server.Peer, []string){
		"TIME": f.time, "GET": f.get, "SET": f.set, "EXISTS": f.exists, "XLEN": f.xlen, "XADD": f.xadd,
		"XTRIM": f.xtrim, "XINFO": f.xinfo, "XRANGE": f.xrange, "XREVRANGE": f.xrevrange, "WAIT": f.wait,
	} {
		f.register(name, command)
	}
	for name, command := range map[string]server.Cmd{
		"MULTI": f.multi, "EXEC": f.exec, "XREAD": f.xread,
	} {
		if err := f.server.Register(name, command); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(f.server.Close)
	return f
}

// options connect to f.
func (f *fakeRedis) options() *redis.UniversalOptions {
	return &redis.UniversalOptions{Addrs: []string{"redis.example:6379"}, Dialer: f.dial}
}

func (f *fakeRedis) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	f.mu.Lock()
	down, isolated := f.down, f.isolated
	f.mu.Unlock()
	if down {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: fmt.Errorf("connection refused")}
	}
	if isolated {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	ours, theirs := net.Pipe()
	f.mu.Lock()
	f.conns = append(f.conns, theirs)
	f.mu.Unlock()
	f.server.ServeConn(theirs)
	return ours, nil
}

// register adds a command that answers at once, and within a transaction when
// that is executed.
func (f *fakeRedis) register(name string, command func(*server.Peer, []string)) {
	_ = f.server.Register(name, func(p *server.Peer, _ string, args []string) {
		f.mu.Lock()
		f.calls[name]++
		hung, failing := f.hung, f.failing
		f.mu.Unlock()
		if hung {
			return
		}
		if failing != "" {
			p.WriteError(failing)
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if queue, inTx := f.queued[p]; inTx {
			f.queued[p] = append(queue, func(p *server.Peer) { command(p, args) })
			p.WriteInline("QUEUED")
			return
		}
		command(p, args)
	})
}

func (f *fakeRedis) multi(p *server.Peer, _ string, _ []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hung {
		return
	}
	f.queued[p] = []func(*server.Peer){}
	p.WriteOK()
}

func (f *fakeRedis) exec(p *server.Peer, _ string, _ []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hung {
		return
	}
	queue := f.queued[p]
	delete(f.queued, p)
	if f.failing != "" {
		p.WriteError("EXECABORT Transaction discarded because of previous errors.")
		return
	}
	p.WriteLen(len(queue))
	for _, command := range queue {
		command(p)
	}
}

func (f *fakeRedis) now() time.Time { return time.Now().Add(f.ahead) }

func (f *fakeRedis) time(p *server.Peer, _ []string) {
	now := f.now()
	p.WriteStrings([]string{strconv.FormatInt(now.Unix(), 10), strconv.Itoa(now.Nanosecond() / 1000)})
}

func (f *fakeRedis) get(p *server.Peer, args []string) {
	value, ok := f.strings[args[0]]
	if !ok {
		p.WriteNull()
		return
	}
	p.WriteBulk(value)
}

func (f *fakeRedis) set(p *server.Peer, args []string) {
	if _, ok := f.strings[args[0]]; ok && len(args) > 2 && strings.EqualFold(args[2], "NX") {
		p.WriteNull()
		return
	}
	f.strings[args[0]] = args[1]
	p.WriteOK()
}

func (f *fakeRedis) exists(p *server.Peer, _ []string) {
	if f.log == nil {
		p.WriteInt(0)
		return
	}
	p.WriteInt(1)
}

// change changes f under its lock.
func (f *fakeRedis) change(change func(*fakeRedis)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// called tells how often a command was sent.
func (f *fakeRedis) called(command string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[command]
}

// entries are those of the log.
func (f *fakeRedis) entries() []fakeEntry {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.log.entries)
}

// cut closes all connections.
func (f *fakeRedis) cut() {
	f.change(func(f *fakeRedis) {
		for _, conn := range f.conns {
			_ = conn.Close()
		}
		f.conns = nil
	})
}

// flush is FLUSHALL.
func (f *fakeRedis) flush() {
	f.change(func(f *fakeRedis) { f.strings, f.log = map[string]string{}, nil })
}

// save returns what restore brings back: a replica that lags, or a dump.
func (f *fakeRedis) save() (restore func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	saved := *f.log
	saved.entries = slices.Clone(saved.entries)
	return func() {
		f.change(func(f *fakeRedis) {
			again := saved
			again.entries = slices.Clone(saved.entries)
			f.log = &again
		})
	}
}
