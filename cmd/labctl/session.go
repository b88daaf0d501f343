package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/internal/fetch"
	"github.com/labctl/labctl/internal/labdir"
	"github.com/labctl/labctl/internal/sim"
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

func (a *app) openLab(lab *config.Lab) (*session, error) {
	data, cache, err := a.roots()
	if err != nil {
		return nil, err
	}
	s := &session{app: a, lab: lab, folder: labdir.At(data, lab.Name)}
	if images := filepath.Join(cache, "images"); below(images, s.folder.Path) || below(s.folder.Path, images) {
		// As where both are one folder and the lab is called "images": with the lab the base disks of all labs would be removed.
		return nil, usage(fmt.Errorf("the folder of lab %q, %q, and that of all labs' images, %q, are in each other: name the lab otherwise, or set XDG_CACHE_HOME",
			lab.Name, s.folder.Path, images))
	}
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

// mode says SIMULATED wherever labctl speaks of a lab that is.
func (a *app) mode() string {
	if a.simulate {
		return " (SIMULATED)"
	}
	return ""
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
