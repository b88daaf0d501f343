package sim

import (
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
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"

	"github.com/labctl/labctl/internal/yaml"
)

// authority is a cluster's certificate authority with the administrator's certificate, as PEM.
type authority struct {
	certificate, key           []byte
	adminCertificate, adminKey []byte
}

const tlsFolder = "/var/lib/rancher/k3s/server/tls/"

// authority reads the authority on the guest's disk, and makes it if there is none.
func (g *guest) authority(at time.Time) (authority, error) {
	var a authority
	parts := []struct {
		name string
		data *[]byte
	}{{"server-ca.crt", &a.certificate}, {"server-ca.key", &a.key}, {"client-admin.crt", &a.adminCertificate}, {"client-admin.key", &a.adminKey}}
	var err error
	for _, p := range parts {
		var e error
		*p.data, e = g.files.read("root", tlsFolder+p.name)
		err = errors.Join(err, e)
	}
	if err == nil {
		return a, nil
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(at.UnixNano()), Subject: pkix.Name{CommonName: fmt.Sprintf("k3s-server-ca@%d", at.Unix())},
		NotBefore: at.Add(-time.Hour), NotAfter: at.AddDate(10, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	if a.certificate, a.key, err = issue(template, nil, nil); err != nil {
		return a, err
	}
	ca, key, err := a.signer()
	if err != nil {
		return a, err
	}
	admin := &x509.Certificate{
		SerialNumber: big.NewInt(at.UnixNano() + 1), Subject: pkix.Name{CommonName: "system:admin", Organization: []string{"system:masters"}},
		NotBefore: at.Add(-time.Hour), NotAfter: at.AddDate(1, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if a.adminCertificate, a.adminKey, err = issue(admin, ca, key); err != nil {
		return a, err
	}
	for _, p := range parts {
		if err := g.makeDir("/var/lib/rancher/k3s/server/tls"); err != nil {
			return a, err
		}
		if err := g.files.write(tlsFolder+p.name, "root", 0o600, *p.data); err != nil {
			return a, err
		}
	}
	return a, nil
}

// issue makes a certificate with a key of its own; without an issuer it signs itself.
func issue(template, issuer *x509.Certificate, issuerKey *ecdsa.PrivateKey) (certificate, key []byte, err error) {
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if issuer == nil {
		issuer, issuerKey = template, own
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, &own.PublicKey, issuerKey)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalECPrivateKey(own)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}), nil
}

func (a authority) signer() (*x509.Certificate, *ecdsa.PrivateKey, error) {
	pair, err := tls.X509KeyPair(a.certificate, a.key)
	if err != nil {
		return nil, nil, err
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, nil, errors.New("the SIMULATED authority's key is not of its own making")
	}
	return pair.Leaf, key, nil
}

// hash is what a join token knows the authority by.
func (a authority) hash() string {
	sum := sha256.Sum256(a.certificate)
	return hex.EncodeToString(sum[:])
}

// kubeconfig is what k3s writes for the administrator.
func (a authority) kubeconfig(server string) ([]byte, error) {
	encode := base64.StdEncoding.EncodeToString
	return yaml.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "default", "preferences": map[string]any{},
		"clusters": []any{map[string]any{"name": "default", "cluster": map[string]any{"certificate-authority-data": encode(a.certificate), "server": server}}},
		"contexts": []any{map[string]any{"name": "default", "context": map[string]any{"cluster": "default", "user": "default"}}},
		"users": []any{map[string]any{"name": "default", "user": map[string]any{
			"client-certificate-data": encode(a.adminCertificate), "client-key-data": encode(a.adminKey)}}},
	})
}

// apiCertificate is the API server's on a guest, for the names in its tls-san.
func (g *guest) apiCertificate() (tls.Certificate, error) {
	_, u, _ := g.k3sUnit()
	a, err := g.authority(u.Since)
	if err != nil {
		return tls.Certificate{}, err
	}
	ca, key, err := a.signer()
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(u.Since.UnixNano() + 2), Subject: pkix.Name{CommonName: "k3s"}, NotBefore: u.Since.Add(-time.Hour), NotAfter: u.Since.AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, DNSNames: []string{"kubernetes", "localhost", u.K3s.NodeName},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	if u.K3s.NodeIP.IsValid() {
		leaf.IPAddresses = append(leaf.IPAddresses, u.K3s.NodeIP.AsSlice())
	}
	for _, san := range u.K3s.TLSSAN {
		if ip := net.ParseIP(san); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else {
			leaf.DNSNames = append(leaf.DNSNames, san)
		}
	}
	certificate, leafKey, err := issue(leaf, ca, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(certificate, leafKey)
}

// traefikCertificate is what Traefik shows for a name that it has no certificate of.
func traefikCertificate() (tls.Certificate, error) {
	now := time.Now()
	certificate, key, err := issue(&x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "TRAEFIK DEFAULT CERT"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, nil, nil)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(certificate, key)
}

// serveTLS speaks TLS before a handler does.
func serveTLS(certificate func() (tls.Certificate, error), serve server) (server, error) {
	pair, err := certificate()
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, c net.Conn) {
		serve(ctx, tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair}}))
	}, nil
}
