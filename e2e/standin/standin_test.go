//go:build linux

package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// standing is a server that answers on loopback.
func standing(t *testing.T) (v *server, address string) {
	t.Helper()
	dir := t.TempDir()
	ca, pair, err := identity(dir, []string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(ca)
	if v, err = newServer("K10"+hex.EncodeToString(sum[:])+"::server:secret", filepath.Join(dir, "nodes.json")); err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- v.accept(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return v, listener.Addr().String()
}

// try makes one request on a connection of its own, which stays open until the test ends or the caller closes it.
func try(t *testing.T, address, token string, r request) (net.Conn, answer, error) {
	t.Helper()
	conn, _, err := dial(t.Context(), address, token, filepath.Join(t.TempDir(), "none"))
	if err != nil {
		return nil, answer{}, err
	}
	t.Cleanup(func() { conn.Close() })
	r.Token = token
	a, err := ask(conn, bufio.NewReader(conn), r)
	return conn, a, err
}

func TestJoin(t *testing.T) {
	v, address := standing(t)
	refused := func(want, token string, r request) {
		t.Helper()
		if _, _, err := try(t, address, token, r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("err = %v, want %q", err, want)
		}
	}
	agent := request{Do: "join", Name: "w1", Address: "192.168.56.11", Password: "p1"}
	refused("not authorized", strings.Replace(v.token, "secret", "guess", 1), agent)
	refused("CA hash does not match", "K10"+strings.Repeat("0", 64)+"::server:secret", agent)

	conn, _, err := try(t, address, v.token, agent)
	if err != nil {
		t.Fatal(err)
	}
	wantReady(t, v, address, true)
	conn.Close()
	wantReady(t, v, address, false)

	other := agent
	other.Password = "p2"
	refused("node password rejected", v.token, other)
	for _, do := range []string{"delete node", "delete password"} {
		if _, _, err := try(t, address, v.token, request{Do: do, Name: "w1"}); err != nil {
			t.Fatal(err)
		}
	}
	again, err := newServer(v.token, v.file)
	if err != nil || again.nodes["w1"] != (node{}) {
		t.Errorf("a server that is started again knows %+v %v", again.nodes, err)
	}
	if _, _, err := try(t, address, v.token, other); err != nil {
		t.Errorf("a forgotten node cannot join: %v", err)
	}
	wantReady(t, v, address, true)
}

// wantReady waits until the list of nodes says so: the server sees a connection's end a moment later.
func wantReady(t *testing.T, v *server, address string, want bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		_, a, err := try(t, address, v.token, request{Do: "get"})
		if err != nil {
			t.Fatal(err)
		}
		if a.Nodes["w1"].Ready == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("w1 is %+v, want ready: %v", a.Nodes["w1"], want)
		}
	}
}

func TestParseSettings(t *testing.T) {
	const server = "token: t\nnode-name: cp1\nnode-ip: 192.168.56.10\nflannel-iface: enp0s8\ntls-san: [192.168.56.10]\n"
	const agent = "server: https://192.168.56.10:6443\ntoken: t\nnode-name: w1\nnode-ip: 192.168.56.11\nflannel-iface: enp0s8\n"
	for _, tt := range []struct {
		name, text string
		agent      bool
		want       string
	}{
		{"server", server, false, ""},
		{"agent", agent, true, ""},
		{"unknown flag", server + "cluster-dnss: 10.43.0.10\n", false, "cluster-dnss"},
		{"server without its own address", strings.Replace(server, "[192.168.56.10]", "[cp1]", 1), false, "tls-san"},
		{"agent without server", strings.Replace(agent, "server: https://192.168.56.10:6443\n", "", 1), true, "server is missing"},
		{"agent with a server's flag", agent + "cluster-cidr: 10.42.0.0/16\n", true, "not defined"},
		{"no address", strings.Replace(agent, "node-ip: 192.168.56.11\n", "", 1), true, "is missing"},
	} {
		err := parseSettings([]byte(tt.text), tt.agent, new(settings))
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: err = %v, want %q", tt.name, err, tt.want)
		}
	}
	if err := (settings{FlannelIface: "lo", NodeIP: "127.0.0.1"}).checkNIC(); err != nil {
		t.Error(err)
	}
	if err := (settings{FlannelIface: "lo", NodeIP: "192.168.56.10"}).checkNIC(); err == nil {
		t.Error("an address of another NIC was taken")
	}
}

func TestKubectl(t *testing.T) {
	for text, want := range map[string]request{
		"get nodes -o json":                     {Do: "get"},
		"delete --ignore-not-found node/w1":     {Do: "delete node", Name: "w1"},
		"get pods -A -o json":                   {},
		"delete --ignore-not-found -n demo x/y": {},
		"delete --ignore-not-found -n kube-system secret/w1.node-password.k3s": {Do: "delete password", Name: "w1"},
	} {
		got, err := parseKubectl(strings.Fields(text))
		if got != want || (err != nil) != (want.Do == "") {
			t.Errorf("kubectl %s: %+v %v, want %+v", text, got, err, want)
		}
	}
	data, err := json.Marshal(nodeList(map[string]node{"w1": {Address: "a"}, "cp1": {Address: "b", Ready: true}, "w2": {Password: "p"}}))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Items []struct {
			Metadata struct{ Name string }
			Status   struct{ Conditions []struct{ Status string } }
		}
	}
	if err := json.Unmarshal(data, &got); err != nil || len(got.Items) != 2 ||
		got.Items[0].Metadata.Name != "cp1" || got.Items[0].Status.Conditions[0].Status != "True" || got.Items[1].Status.Conditions[0].Status != "Unknown" {
		t.Errorf("nodes: %s %v", data, err)
	}
}
