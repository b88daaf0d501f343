package ssh

import (
	"net"
	"sync"
	"testing"
)

// relay forwards connections to a server until it is frozen: then bytes go nowhere, as when a machine is switched off.
type relay struct {
	listener net.Listener
	frozen   chan struct{}
	once     sync.Once
}

func newRelay(t *testing.T, target string) *relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{listener: listener, frozen: make(chan struct{})}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", target)
			if err != nil {
				client.Close()
				return
			}
			t.Cleanup(func() { client.Close(); server.Close() })
			go r.pump(client, server)
			go r.pump(server, client)
		}
	}()
	return r
}

func (r *relay) addr() string { return r.listener.Addr().String() }

func (r *relay) freeze() { r.once.Do(func() { close(r.frozen) }) }

func (r *relay) pump(from, to net.Conn) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if err != nil {
			to.Close()
			return
		}
		select {
		case <-r.frozen: // swallowed
		default:
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
	}
}
