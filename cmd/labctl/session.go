package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"unicode"

	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/internal/fetch"
	"github.com/labctl/labctl/internal/labdir"
	"github.com/labctl/labctl/internal/sim"
	"github.com/labctl/labctl/internal/ssh"
	"github.com/labctl/labctl/provision/provider"
	"github.com/labctl/labctl/vbox"
)

// session is a lab that is being worked on, on the real or the simulated VirtualBox. Both are the same code from here on:
// they differ in who answers as VBoxManage and in the function that dials.
type session struct {
	*app
	lab    *config.Lab
	folder *labdir.Folder
	cache  *fetch.Cache
	dial   func(ctx context.Context, network, addr string) (net.Conn, error)
	world  *sim.World // nil on the real one
	vbox   vbox.Options
}

// open returns a session on the lab that the user wants: --lab FILE, else ./labctl.yaml, else the built-in one.
func (a *app) open() (*session, error) {
	lab, err := a.wanted()
	if err != nil {
		return nil, err
	}
	return a.openLab(lab)
}

// openStored returns a session on the lab as the last up made it.
func (a *app) openStored() (*session, error) {
	wanted, err := a.wanted()
	if err != nil {
		return nil, err
	}
	s, err := a.openLab(wanted)
	if err != nil {
		return nil, err
	}
	stored, err := s.folder.Stored()
	if err != nil {
		s.close()
		if errors.Is(err, labdir.ErrNoLab) {
			return nil, hinted(exitUnable, fmt.Errorf("there is no lab %q yet%s", wanted.Name, a.mode()), a.next("up"))
		}
		return nil, err
	}
	if differ(stored, wanted) {
		a.ui.Info(fmt.Sprintf("the configuration has changed since the last up; this is about the lab as it was made (%s shows the difference)", a.next("plan")))
	}
	s.lab = stored
	return s, nil
}

// openLocked is openStored for a command that nothing may come between: the lab is its alone until release is called.
func (a *app) openLocked(what string) (s *session, release func() error, err error) {
	if s, err = a.openStored(); err != nil {
		return nil, nil, err
	}
	unlock, err := s.lock(what)
	if err != nil {
		s.close()
		return nil, nil, err
	}
	return s, func() error { defer s.close(); return unlock() }, nil
}

// openNode is openStored for a command about one node of the lab.
func (a *app) openNode(name string) (*session, config.Node, error) {
	s, err := a.openStored()
	if err != nil {
		return nil, config.Node{}, err
	}
	n, err := s.node(name)
	if err != nil {
		s.close()
		return nil, config.Node{}, err
	}
	return s, n, nil
}

func differ(a, b *config.Lab) bool {
	x, errX := config.Marshal(a)
	y, errY := config.Marshal(b)
	return errX != nil || errY != nil || !bytes.Equal(x, y)
}

func (a *app) openLab(lab *config.Lab) (*session, error) {
	data, cache, err := a.roots()
	if err != nil {
		return nil, err
	}
	s := &session{app: a, lab: lab, folder: labdir.At(data, lab.Name)}
	s.vbox.Timeout = a.callLimit
	s.dial = new(net.Dialer).DialContext
	if a.simulate {
		dir := filepath.Join(data, ".world") // no lab can be called so
		if s.world, err = sim.Open(dir, a.simulation); err != nil {
			return nil, fmt.Errorf("opening the simulation %q: %w", dir, err)
		}
		s.dial = s.world.DialContext
		s.vbox.InProcess = func(ctx context.Context, args []string, stdout, stderr io.Writer) int {
			if a.called != nil {
				a.called(args)
			}
			return s.world.VBoxManage(ctx, args, stdout, stderr)
		}
		s.vbox.GOOS = "linux" // it looks like Linux's on every system
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() // with the proxy of the environment
	transport.DialContext = s.dial
	if a.simulate {
		transport.Proxy = nil
	}
	s.cache = newCache(cache, &http.Client{Transport: transport})
	return s, nil
}

// newCache is the cache of images and downloads in labctl's cache folder. Base disks are made beside the images.
func newCache(folder string, client *http.Client) *fetch.Cache {
	return &fetch.Cache{Dir: filepath.Join(folder, "images"), HTTP: client, Reserved: provider.IsReserved}
}

func (s *session) close() {
	if s.world != nil {
		s.world.Close()
	}
}

// wanted returns the configuration that the user asks for.
func (a *app) wanted() (*config.Lab, error) {
	lab, err := a.configured()
	if err != nil {
		return nil, usage(err)
	}
	if a.simulate {
		lab.Image.URL, lab.Image.SHA256, lab.K3s.Source = sim.ImageURL, sim.ImageSHA256(), sim.K3sSource
	}
	return lab, nil
}

func (a *app) configured() (*config.Lab, error) {
	file := a.labFile
	if file == "" {
		file = "labctl.yaml"
	}
	const most = 1 << 20 // and one byte more, so that Parse can tell: /dev/zero has no end
	var b []byte
	err := a.readInput(file, func(r io.Reader) (err error) {
		b, err = io.ReadAll(io.LimitReader(r, most+1))
		return err
	})
	if a.labFile == "" && errors.Is(err, fs.ErrNotExist) {
		return config.Default(), nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, hinted(exitUsage, err, "labctl --lab "+ssh.Quote(file)+" init writes one")
	}
	if err != nil {
		return nil, err
	}
	return config.Parse(file, b)
}

// roots are where labs and downloads are kept. The simulation has roots of its own: the modes never mix.
func (a *app) roots() (data, cache string, err error) {
	home, err := os.UserHomeDir()
	if err != nil && (a.env("XDG_DATA_HOME") == "" || a.env("XDG_CACHE_HOME") == "") {
		return "", "", fmt.Errorf("where to keep labs: %w; set XDG_DATA_HOME and XDG_CACHE_HOME", err)
	}
	data, cache = a.env("XDG_DATA_HOME"), a.env("XDG_CACHE_HOME")
	if data == "" {
		data = filepath.Join(home, ".local", "share")
	}
	if cache == "" {
		cache = filepath.Join(home, ".cache")
	}
	data, cache = filepath.Join(data, "labctl"), filepath.Join(cache, "labctl")
	if a.simulate {
		data, cache = filepath.Join(data, "simulated"), filepath.Join(cache, "simulated")
	}
	if data, err = filepath.Abs(data); err != nil {
		return "", "", err
	}
	if cache, err = filepath.Abs(cache); err != nil {
		return "", "", err
	}
	for _, dir := range []string{data, cache} {
		if strings.ContainsFunc(dir, unicode.IsControl) { // VBoxManage's answers have one line for a path
			return "", "", usage(fmt.Errorf("labs cannot be kept below %q: the path holds a line's end or another control character; set XDG_DATA_HOME and XDG_CACHE_HOME", dir))
		}
	}
	return data, cache, nil
}

// mode says SIMULATED wherever labctl speaks of a lab that is.
func (a *app) mode() string {
	if a.simulate {
		return " (SIMULATED)"
	}
	return ""
}

// hypervisor returns VBoxManage, or says how to get it.
func (s *session) hypervisor(ctx context.Context) (*vbox.Client, error) {
	if s.vbox.InProcess == nil && s.vbox.Command == nil {
		path, err := s.findVBoxManage()
		if err != nil {
			return nil, hinted(exitUnable, err, installHint)
		}
		s.vbox.Command = []string{path}
	}
	c := vbox.New(s.vbox)
	v, err := c.Version(ctx)
	if err != nil {
		return nil, hinted(exitUnable, fmt.Errorf("asking VBoxManage for its version: %w", err), "labctl doctor")
	}
	if err := v.Supported(); err != nil {
		return nil, hinted(exitUnable, err, installHint)
	}
	return c, nil
}

const installHint = "install VirtualBox 7.0 or newer (https://www.virtualbox.org/wiki/Downloads), " +
	"or name it with --vboxmanage PATH; to see labctl without it: labctl --simulate up"

func (a *app) findVBoxManage() (string, error) {
	override := a.vboxmanage
	if override == "" {
		override = a.env("LABCTL_VBOXMANAGE")
	}
	return vbox.Find(override, a.env, exec.LookPath, exists, runtime.GOOS)
}

// connect logs in to a node on its host-only address, or by its NAT rule if that address doesn't answer; via says which.
func (s *session) connect(ctx context.Context, n config.Node) (c *ssh.Client, via string, err error) {
	settings := s.folder.SSH(n.Name, s.lab.Image.User, s.dial)
	c, err = ssh.Dial(ctx, net.JoinHostPort(n.Address.String(), "22"), settings)
	if err == nil {
		return c, n.Address.String(), nil
	}
	port, perr := s.folder.Machine(n.Name).SSHPort()
	if perr != nil || port == 0 || errors.Is(err, ssh.ErrHostKey) {
		return nil, "", fmt.Errorf("node %q: %w", n.Name, errors.Join(err, perr))
	}
	rule := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	c, rerr := ssh.Dial(ctx, rule, settings)
	if rerr != nil {
		return nil, "", fmt.Errorf("node %q answers neither on %s (%w) nor through its NAT rule (%w)", n.Name, n.Address, err, rerr)
	}
	s.ui.Info(fmt.Sprintf("the host-only network is down for %s: it answers on %s but not on %s (%v)", n.Name, rule, n.Address, err))
	return c, rule, nil
}

// login connects to the node of that name.
func (s *session) login(ctx context.Context, node string) (*ssh.Client, error) {
	n, err := s.node(node)
	if err != nil {
		return nil, err
	}
	c, _, err := s.connect(ctx, n)
	return c, err
}

// lock takes the lab's lock for a command.
func (s *session) lock(what string) (func() error, error) {
	unlock, err := s.folder.Lock("labctl "+what, s.now())
	if errors.Is(err, labdir.ErrLocked) {
		return nil, &exitError{status: exitUnable, err: err}
	}
	return unlock, err
}

// node finds a node of the lab.
func (s *session) node(name string) (config.Node, error) {
	n, ok := s.lab.Node(name)
	if !ok {
		var names []string
		for _, n := range s.lab.Nodes {
			names = append(names, n.Name)
		}
		return n, usage(fmt.Errorf("lab %q has no node %q: it has %s", s.lab.Name, name, strings.Join(names, ", ")))
	}
	return n, nil
}

// freePort returns preferred if nothing listens there on 127.0.0.1, else the next free one from 2210 on.
func freePort(preferred int, taken map[int]bool) (int, error) {
	const first, last = 2210, 2999
	candidates := []int{preferred}
	for p := first; p <= last; p++ {
		candidates = append(candidates, p)
	}
	for _, p := range candidates {
		if p == 0 || taken[p] {
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p)))
		if err != nil {
			continue // in use
		}
		return p, l.Close()
	}
	return 0, fmt.Errorf("no free port between %d and %d on 127.0.0.1", first, last)
}
