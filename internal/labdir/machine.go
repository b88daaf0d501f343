package labdir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/labctl/labctl/internal/atomicfile"
	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/internal/ssh"
)

// Machine is the part of a lab's folder that belongs to one machine.
type Machine struct {
	Path string // absolute
	Name string // the node's name

	lab string // the lab's folder
}

// Machine names the folder of a node's machine; it makes nothing.
func (f *Folder) Machine(name string) *Machine {
	return &Machine{Path: f.path("machines", name), Name: name, lab: f.Path}
}

// Seed is the path of the NoCloud ISO.
func (m *Machine) Seed() string { return filepath.Join(m.Path, "seed.iso") }

// Disk is the path of the linked disk.
func (m *Machine) Disk() string { return filepath.Join(m.Path, "disk.vdi") }

// SerialLog is where the machine's first serial port writes.
func (m *Machine) SerialLog() string { return filepath.Join(m.Path, "serial.log") }

// SSHPort returns the port of the NAT rule on 127.0.0.1, 0 where none was chosen yet.
func (m *Machine) SSHPort() (int, error) {
	b, err := os.ReadFile(filepath.Join(m.Path, "ssh-port"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	port, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || port < 1 || port > 65535 {
		return 0, fmt.Errorf("%q holds no port number: remove it and run labctl up", filepath.Join(m.Path, "ssh-port"))
	}
	return port, nil
}

// SetSSHPort keeps the port of the NAT rule.
func (m *Machine) SetSSHPort(port int) error {
	return atomicfile.Write(filepath.Join(m.Path, "ssh-port"), []byte(strconv.Itoa(port)+"\n"), 0o600)
}

// Booted tells whether a run has seen the machine boot since it was last started.
func (m *Machine) Booted() bool { return m.has("booted") }

// SetBooted notes that the machine was seen to boot, or that it was started and nobody has seen it boot yet.
func (m *Machine) SetBooted(booted bool) error {
	path := filepath.Join(m.Path, "booted")
	if booted {
		return atomicfile.Write(path, nil, 0o600)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Seeded tells whether the machine has finished its first boot: cloud-init has done all that the seed says.
func (m *Machine) Seeded() bool { return m.has("seeded") }

// SetSeeded notes that the machine has finished its first boot.
func (m *Machine) SetSeeded() error {
	return atomicfile.Write(filepath.Join(m.Path, "seeded"), nil, 0o600)
}

// Spoilt tells whether the first boot has ended in a way that waiting can't mend, because cloud-init failed.
func (m *Machine) Spoilt() bool { return m.has("spoilt") }

// SetSpoilt notes that the first boot has failed.
func (m *Machine) SetSpoilt() error {
	return atomicfile.Write(filepath.Join(m.Path, "spoilt"), nil, 0o600)
}

// Try counts the attempts at a first boot, from 0.
func (m *Machine) Try() (int, error) {
	b, err := os.ReadFile(filepath.Join(m.Path, "try"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	try, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("%q does not hold a number", filepath.Join(m.Path, "try"))
	}
	return try, nil
}

// TryAgain begins another attempt at a spoilt first boot.
func (m *Machine) TryAgain() error {
	try, err := m.Try()
	if err != nil {
		return err
	}
	if err := atomicfile.Write(filepath.Join(m.Path, "try"), []byte(strconv.Itoa(try+1)+"\n"), 0o600); err != nil {
		return err
	}
	return os.Remove(filepath.Join(m.Path, "spoilt"))
}

func (m *Machine) has(name string) bool {
	_, err := os.Stat(filepath.Join(m.Path, name))
	return err == nil
}

// escapes are what a boot loader and systemd write beside text: CSI and OSC sequences, single escapes.
var escapes = regexp.MustCompile("\x1b(\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(\x07|\x1b\\\\)|[@-Z\\\\-_])|\r")

// maxConsole is how many bytes at the end of a console are shown: a guest may write as much as it likes.
const maxConsole = 1 << 20

// Console returns what the machine wrote to its first serial port, without terminal escapes and carriage returns: of more than 1 MiB
// the end. fs.ErrNotExist if it wrote nothing yet.
func (m *Machine) Console() (string, error) {
	f, err := os.Open(m.SerialLog())
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-maxConsole), maxConsole))
	return escapes.ReplaceAllString(string(b), ""), err
}

// makeHostKeys makes the host keys of all nodes and writes known_hosts: every key that was ever made, under its node's name, so
// that neither another address nor a node that is about to be removed makes a machine unknown.
func (f *Folder) makeHostKeys(l *config.Lab) error {
	if err := os.MkdirAll(f.path("hostkeys"), 0o700); err != nil {
		return err
	}
	names := map[string]bool{}
	for _, n := range l.Nodes {
		names[n.Name] = true
	}
	keys, err := os.ReadDir(f.path("hostkeys"))
	if err != nil {
		return err
	}
	for _, key := range keys {
		name, public := strings.CutSuffix(key.Name(), ".pub")
		if !public {
			continue
		}
		if err := f.there(filepath.Join("hostkeys", name)); err != nil {
			return err
		}
		names[name] = true
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if err := f.makeKey(filepath.Join("hostkeys", name)); err != nil {
			return err
		}
		_, public, err := f.HostKey(name)
		if err != nil {
			return err
		}
		lines = append(lines, name+" "+public+"\n")
	}
	return atomicfile.Write(f.path("known_hosts"), []byte(strings.Join(lines, "")), 0o600)
}

// HostKey returns a machine's SSH host key: the private half (PEM), and the public half as "TYPE KEY".
func (f *Folder) HostKey(node string) (private []byte, public string, err error) {
	if private, err = os.ReadFile(f.path("hostkeys", node)); err != nil {
		return nil, "", err
	}
	line, err := f.read(filepath.Join("hostkeys", node+".pub"))
	if err != nil {
		return nil, "", err
	}
	fields := strings.Fields(line)
	if len(fields) < 2 {
		return nil, "", fmt.Errorf("%q is not a public key line", f.path("hostkeys", node+".pub"))
	}
	return private, fields[0] + " " + fields[1], nil
}

// SSH says how to log in to a node, whichever way it is dialled.
func (f *Folder) SSH(node, user string, dial func(ctx context.Context, network, addr string) (net.Conn, error)) ssh.Config {
	return ssh.Config{User: user, KeyFile: f.path("id_ed25519"), KnownHosts: f.path("known_hosts"), Alias: node, Dial: dial}
}

// Remove deletes the machine's files; its disk must be gone from VirtualBox before. It never leaves the lab's folder: a link in place
// of a folder on the way is an error.
func (m *Machine) Remove() error {
	lab, err := os.OpenRoot(m.lab)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer lab.Close()
	inLab, err := filepath.Rel(m.lab, m.Path)
	if err != nil {
		return err
	}
	return lab.RemoveAll(inLab)
}
