package sim

import (
	"io"
	"sync"
	"time"
)

// outlet gathers what is written within a moment, as the pipe between a program and sshd does: each write to the connection costs both
// sides. Whoever uses it flushes it in the end.
type outlet struct {
	to io.Writer

	mu     sync.Mutex
	held   []byte
	timer  *time.Timer // set while something is held
	failed error       // of a write that nobody waited for
}

const (
	outletDelay = time.Millisecond
	outletSize  = 32 << 10 // bytes that are not held any longer
)

func (o *outlet) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held = append(o.held, p...)
	if len(o.held) >= outletSize {
		o.send()
	} else if o.timer == nil {
		o.timer = time.AfterFunc(outletDelay, o.flush)
	}
	return len(p), o.failed
}

func (o *outlet) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.send()
}

func (o *outlet) send() {
	if o.timer != nil {
		o.timer.Stop()
		o.timer = nil
	}
	if len(o.held) > 0 && o.failed == nil {
		_, o.failed = o.to.Write(o.held)
	}
	o.held = o.held[:0]
}
