//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// version is no release of k3s's.
const version = "v1.0.0+k3s0"

// Where k3s keeps what labctl looks at. Tests put another folder before them.
const (
	settingsPath   = "/etc/rancher/k3s/config.yaml"
	kubeconfigPath = "/etc/rancher/k3s/k3s.yaml"
	passwordPath   = "/etc/rancher/node/password"
	serverFolder   = "/var/lib/rancher/k3s/server"
	agentCAPath    = "/var/lib/rancher/k3s/agent/server-ca.crt"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	args := os.Args[1:]
	if filepath.Base(os.Args[0]) == "kubectl" {
		args = append([]string{"kubectl"}, args...)
	}
	err := run(ctx, args)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "time=now level=fatal msg=%q\n", "stand-in for k3s: "+err.Error())
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch strings.Join(args, " ") {
	case "--version":
		fmt.Printf("k3s version %s (standin)\n", version)
		return nil
	case "server":
		return serve(ctx)
	case "agent":
		return join(ctx)
	}
	if len(args) > 0 && args[0] == "kubectl" {
		return kubectl(ctx, args[1:])
	}
	return fmt.Errorf("%q is not provided", args)
}

// ready tells systemd that the service has started.
func ready() error {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return errors.New("NOTIFY_SOCKET is not set: the unit is not of type notify")
	}
	conn, err := net.Dial("unixgram", socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write([]byte("READY=1"))
	return err
}

// write makes a file and the folders to it.
func write(path string, data []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, data, mode)
}
