//go:build linux

package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// join is `k3s agent`: it ends when the server does, and systemd starts it again.
func join(ctx context.Context) error {
	s, err := readSettings(true)
	if err != nil {
		return err
	}
	u, err := url.Parse(s.Server)
	if err != nil || u.Scheme != "https" {
		return fmt.Errorf("server %q is no https URL", s.Server)
	}
	password, err := nodePassword(passwordPath)
	if err != nil {
		return err
	}
	conn, ca, err := dial(ctx, u.Host, s.Token, agentCAPath)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { conn.Close() })
	in := bufio.NewReader(conn)
	if _, err := ask(conn, in, request{Token: s.Token, Do: "join", Name: s.NodeName, Address: s.NodeIP, Password: password}); err != nil {
		return err
	}
	if err := write(agentCAPath, ca, 0o600); err != nil {
		return err
	}
	if err := ready(); err != nil {
		return err
	}
	_, err = in.ReadByte()
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("the server is gone: %w", err)
}

// dial connects to a server whose certificate is the CA that the token vouches for and, for an agent that has one, the CA that it
// knows: k3s's agents never let go of theirs.
func dial(ctx context.Context, address, token, knownCA string) (conn net.Conn, ca []byte, err error) {
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}} // the token tells the hash
	if conn, err = d.DialContext(ctx, "tcp", address); err != nil {
		return nil, nil, err
	}
	certificates := conn.(*tls.Conn).ConnectionState().PeerCertificates
	ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificates[0].Raw})
	sum := sha256.Sum256(ca)
	hash, _, _ := strings.Cut(strings.TrimPrefix(token, "K10"), "::")
	host, _, _ := net.SplitHostPort(address)
	known, kerr := os.ReadFile(knownCA)
	switch {
	case hash != hex.EncodeToString(sum[:]):
		err = errors.New("token CA hash does not match the Cluster CA certificate hash")
	case kerr == nil && string(known) != string(ca):
		err = errors.New("tls: bad certificate: this node belongs to another cluster")
	default:
		err = certificates[0].VerifyHostname(host)
	}
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return conn, ca, nil
}

func ask(conn net.Conn, in *bufio.Reader, r request) (answer, error) {
	var a answer
	if err := json.NewEncoder(conn).Encode(r); err != nil {
		return a, err
	}
	line, err := in.ReadBytes('\n')
	if err != nil {
		return a, fmt.Errorf("the server's answer: %w", err)
	}
	if err := json.Unmarshal(line, &a); err != nil {
		return a, err
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

// nodePassword is made once per disk.
func nodePassword(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err == nil {
		return string(data), nil
	}
	password := rand.Text()
	return password, write(path, []byte(password), 0o600)
}

// kubectl knows what labctl asks about nodes.
func kubectl(ctx context.Context, args []string) error {
	if len(args) > 1 && args[0] == "--kubeconfig" && args[1] == kubeconfigPath { // which is root's by itself
		args = args[2:]
	}
	r, err := parseKubectl(args)
	if err != nil {
		return err
	}
	token, err := os.ReadFile(filepath.Join(serverFolder, "node-token"))
	if err != nil {
		return err
	}
	r.Token = strings.TrimSpace(string(token))
	conn, _, err := dial(ctx, "127.0.0.1:6443", r.Token, "")
	if err != nil {
		return err
	}
	defer conn.Close()
	a, err := ask(conn, bufio.NewReader(conn), r)
	if err != nil || r.Do != "get" {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(nodeList(a.Nodes))
}

func parseKubectl(args []string) (request, error) {
	text := strings.Join(args, " ")
	if text == "get nodes -o json" {
		return request{Do: "get"}, nil
	}
	const remove = "delete --ignore-not-found "
	if object, ok := strings.CutPrefix(text, remove); ok {
		if name, ok := strings.CutPrefix(object, "node/"); ok {
			return request{Do: "delete node", Name: name}, nil
		}
		if secret, ok := strings.CutPrefix(object, "-n kube-system secret/"); ok {
			if name, ok := strings.CutSuffix(secret, ".node-password.k3s"); ok {
				return request{Do: "delete password", Name: name}, nil
			}
		}
	}
	return request{}, fmt.Errorf("kubectl %s is not provided: no cluster runs here", text)
}

// nodeList is the JSON that labctl reads, and no more.
func nodeList(nodes map[string]node) map[string]any {
	items := []any{}
	var names []string
	for name, n := range nodes {
		if n.Address != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		condition := map[string]string{"type": "Ready", "status": "True", "reason": "StandIn", "message": "no kubelet runs"}
		if !nodes[name].Ready {
			condition["status"] = "Unknown"
		}
		items = append(items, map[string]any{
			"metadata": map[string]string{"name": name},
			"status": map[string]any{
				"addresses":  []any{map[string]string{"type": "InternalIP", "address": nodes[name].Address}},
				"conditions": []any{condition},
				"nodeInfo":   map[string]string{"kubeletVersion": version},
			},
		})
	}
	return map[string]any{"apiVersion": "v1", "kind": "List", "items": items}
}
