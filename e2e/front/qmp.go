//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// qmp is a connection to QEMU's control socket. It serves one client at a time; the others wait.
// https://www.qemu.org/docs/master/interop/qmp-spec.html
type qmp struct {
	conn net.Conn
	in   *json.Decoder
}

const qmpTimeout = time.Minute

func (m *machine) dial() (*qmp, error) {
	// A socket's path must not be longer than 107 bytes, however deep the folder is.
	dir, err := os.Open(m.dir)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	conn, err := net.Dial("unix", fmt.Sprintf("/proc/self/fd/%d/qmp", dir.Fd()))
	if err != nil {
		return nil, err
	}
	q := &qmp{conn, json.NewDecoder(conn)}
	if err := conn.SetDeadline(time.Now().Add(qmpTimeout)); err != nil {
		q.close()
		return nil, err
	}
	var greeting struct{ QMP json.RawMessage }
	if err := q.in.Decode(&greeting); err != nil {
		q.close()
		return nil, fmt.Errorf("QEMU's greeting: %w", err)
	}
	return q, q.call("qmp_capabilities", nil, nil)
}

func (q *qmp) close() { q.conn.Close() }

// call executes one command; result may be nil.
func (q *qmp) call(command string, arguments, result any) error {
	request := map[string]any{"execute": command}
	if arguments != nil {
		request["arguments"] = arguments
	}
	if err := json.NewEncoder(q.conn).Encode(request); err != nil {
		return fmt.Errorf("QEMU %s: %w", command, err)
	}
	for {
		var answer struct {
			Return json.RawMessage
			Error  *struct{ Desc string }
			Event  string
		}
		if err := q.in.Decode(&answer); err != nil {
			return fmt.Errorf("QEMU %s: %w", command, err)
		}
		switch {
		case answer.Event != "": // told to whoever listens
		case answer.Error != nil:
			return fmt.Errorf("QEMU %s: %s", command, answer.Error.Desc)
		case result != nil:
			return json.Unmarshal(answer.Return, result)
		default:
			return nil
		}
	}
}

// human executes a command of QEMU's monitor for people, which answers nothing where all went well.
func (q *qmp) human(command string) error {
	var said string
	if err := q.call("human-monitor-command", map[string]string{"command-line": command}, &said); err != nil {
		return err
	}
	if said = strings.TrimSpace(said); said != "" {
		return fmt.Errorf("QEMU %s: %s", command, said)
	}
	return nil
}

// ask connects for one command.
func (m *machine) ask(command string, arguments any) error {
	q, err := m.dial()
	if err != nil {
		return err
	}
	defer q.close()
	return q.call(command, arguments, nil)
}
