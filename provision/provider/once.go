package provider

import (
	"context"
	"sync"
)

// once does each piece of work one time a run, whoever of the resources comes first, and remembers how it ended: what could not be
// downloaded for one node can't be for the next. The zero value is ready.
type once[T any] struct {
	mu   sync.Mutex
	work map[string]*piece[T]
}

type piece[T any] struct {
	done  chan struct{}
	value T
	err   error
}

// do returns what work returned, now or earlier. waiting is called if another one is at it; the wait ends with ctx.
func (o *once[T]) do(ctx context.Context, key string, waiting func(), work func() (T, error)) (T, error) {
	o.mu.Lock()
	p, begun := o.work[key]
	if !begun {
		p = &piece[T]{done: make(chan struct{})}
		if o.work == nil {
			o.work = map[string]*piece[T]{}
		}
		o.work[key] = p
	}
	o.mu.Unlock()
	if !begun {
		defer close(p.done)
		p.value, p.err = work()
		return p.value, p.err
	}
	select {
	case <-p.done:
		return p.value, p.err
	default:
	}
	waiting()
	select {
	case <-p.done:
		return p.value, p.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}
