package reachfiveredis

import (
	"context"
	"iter"
	"time"
)

// Entry is a sign-out as the store has it. The store does not know subjects.
type Entry struct {
	// ID lifts it.
	ID string
	// Issuer is the issuer, "" if it is not one that SignOuts was made for.
	Issuer string
	// Everyone tells that it concerns all users of the issuer.
	Everyone bool
	// At is when it was added, and Before the last refused sign-in; both by the
	// store's clock.
	At, Before time.Time
	// Lifted tells that it was taken back.
	Lifted bool

	digest digest
}

// List returns the sign-outs of the store, the newest first, read page by page
// while it is iterated. The first error ends it.
func (o *SignOuts) List(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		reader := logReader{client: o.store.client, logKey: o.logKey}
		from := streamID{1<<64 - 1, 1<<64 - 1}
		lifted := map[streamID]bool{}
		for {
			page, err := reader.page(ctx, from)
			if err != nil {
				yield(Entry{}, storeFailure("listing the sign-outs", err))
				return
			}
			for _, e := range page {
				switch {
				case e.isLift():
					lifted[e.lifts] = true
				case e.before > 0 && !yield(o.entryOf(e, lifted[e.id]), nil):
					return
				}
			}
			if len(page) < pageSize {
				return
			}
			from = page[len(page)-1].id.previous()
		}
	}
}

func (o *SignOuts) entryOf(e entry, lifted bool) Entry {
	return Entry{
		ID: e.id.String(), Issuer: o.issuerOf(e.target.tag), Everyone: e.target.kind == kindEveryone,
		At: e.id.time(), Before: time.Unix(e.before, 0), Lifted: lifted,
		digest: e.target.digest,
	}
}

// Concerns reports whether the entry signs out subject of issuer alone.
func (e Entry) Concerns(issuer, subject string) bool {
	return e.digest == newIssuer(issuer).digest(kindSubject, subject)
}
