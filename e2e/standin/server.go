//go:build linux

package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log"
	"maps"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// request is what an agent or kubectl sends, one line of JSON; the answer is another.
type request struct {
	Token string `json:"token"`
	// Do is join, get or delete. After join the connection stays: its end is the node's.
	Do       string `json:"do"`
	Name     string `json:"name,omitempty"`
	Address  string `json:"address,omitempty"`
	Password string `json:"password,omitempty"`
}

type answer struct {
	Error string          `json:"error,omitempty"`
	Nodes map[string]node `json:"nodes,omitempty"`
}

// node is what the server knows of one. Password stays when the node is deleted, as in k3s.
type node struct {
	Address    string `json:"address,omitempty"` // empty: deleted
	Password   string `json:"password,omitempty"`
	Ready      bool   `json:"ready"`
	connection net.Conn
}

// server keeps its nodes in a file, so that they outlive a restart.
type server struct {
	token string
	file  string
	mu    sync.Mutex
	nodes map[string]node
}

func serve(ctx context.Context) error {
	s, err := readSettings(false)
	if err != nil {
		return err
	}
	ca, pair, err := identity(serverFolder, s.TLSSAN)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(ca)
	token := "K10" + hex.EncodeToString(sum[:]) + "::server:" + s.Token
	if err := write(filepath.Join(serverFolder, "node-token"), []byte(token+"\n"), 0o600); err != nil {
		return err
	}
	mode, err := strconv.ParseUint(s.WriteKubeconfigMode, 8, 32)
	if err != nil {
		return fmt.Errorf("write-kubeconfig-mode %q: %w", s.WriteKubeconfigMode, err)
	}
	if err := write(kubeconfigPath, kubeconfig(ca), os.FileMode(mode)); err != nil {
		return err
	}
	v, err := newServer(token, filepath.Join(serverFolder, "nodes.json"))
	if err != nil {
		return err
	}
	v.nodes[s.NodeName] = node{Address: s.NodeIP, Ready: true}
	listener, err := tls.Listen("tcp", ":6443", &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13})
	if err != nil {
		return err
	}
	if err := ready(); err != nil {
		return err
	}
	return v.accept(ctx, listener)
}

// accept answers connections until ctx ends.
func (v *server) accept(ctx context.Context, listener net.Listener) error {
	context.AfterFunc(ctx, func() { listener.Close() })
	for {
		conn, err := listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		go v.talk(conn)
	}
}

func newServer(token, file string) (*server, error) {
	v := &server{token: token, file: file, nodes: map[string]node{}}
	data, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return v, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &v.nodes)
	}
	for name, n := range v.nodes {
		n.Ready = false // until its agent is back
		v.nodes[name] = n
	}
	return v, err
}

// talk answers one connection.
func (v *server) talk(conn net.Conn) {
	defer conn.Close()
	var r request
	line, err := bufio.NewReader(conn).ReadBytes('\n')
	if err != nil || json.Unmarshal(line, &r) != nil {
		return // no client of ours
	}
	a := v.do(r, conn)
	if err := json.NewEncoder(conn).Encode(a); err != nil || a.Error != "" || r.Do != "join" {
		return
	}
	log.Printf("node %s joined from %s", r.Name, conn.RemoteAddr())
	_, _ = conn.Read(make([]byte, 1)) // returns when the agent is gone
	v.mu.Lock()
	defer v.mu.Unlock()
	if n := v.nodes[r.Name]; n.connection == conn {
		n.Ready, n.connection = false, nil
		v.nodes[r.Name] = n
	}
}

func (v *server) do(r request, conn net.Conn) answer {
	v.mu.Lock()
	defer v.mu.Unlock()
	if r.Token != v.token {
		return answer{Error: "not authorized: the token is wrong"}
	}
	n := v.nodes[r.Name]
	switch r.Do {
	case "get":
		return answer{Nodes: maps.Clone(v.nodes)}
	case "join":
		if n.Password != "" && n.Password != r.Password {
			return answer{Error: "node password rejected, duplicate hostname or contents of '" + passwordPath + "' may not match server node-passwd entry"}
		}
		n = node{Address: r.Address, Password: r.Password, Ready: true, connection: conn}
	case "delete node":
		n.Address, n.Ready = "", false
	case "delete password":
		n.Password = ""
	default:
		return answer{Error: fmt.Sprintf("%q is not provided", r.Do)}
	}
	v.nodes[r.Name] = n
	data, err := json.Marshal(v.nodes)
	if err == nil {
		err = write(v.file, data, 0o600)
	}
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{}
}

// identity returns the CA, which is also the server's certificate, and makes it once.
func identity(folder string, names []string) (ca []byte, pair tls.Certificate, err error) {
	certFile, keyFile := filepath.Join(folder, "ca.crt"), filepath.Join(folder, "ca.key")
	if _, err := os.Stat(keyFile); errors.Is(err, os.ErrNotExist) {
		if err := makeIdentity(certFile, keyFile, names); err != nil {
			return nil, pair, err
		}
	}
	if ca, err = os.ReadFile(certFile); err != nil {
		return nil, pair, err
	}
	pair, err = tls.LoadX509KeyPair(certFile, keyFile)
	return ca, pair, err
}

func makeIdentity(certFile, keyFile string, names []string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "stand-in"},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(24 * 365 * time.Hour), // guests' clocks differ
		IsCA: true, BasicConstraintsValid: true,
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := write(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		return err
	}
	return write(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600)
}

// kubeconfig is of the form of k3s's own. Its key opens nothing.
func kubeconfig(ca []byte) []byte {
	text := base64.StdEncoding.EncodeToString
	return []byte(`apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: ` + text(ca) + `
    server: https://127.0.0.1:6443
  name: default
contexts:
- context:
    cluster: default
    user: default
  name: default
current-context: default
kind: Config
users:
- name: default
  user:
    client-certificate-data: ` + text([]byte("stand-in")) + `
    client-key-data: ` + text([]byte("stand-in")) + `
`)
}
