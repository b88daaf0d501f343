package config

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// archives judges k3s.images.
func (v *validator) archives() {
	first := map[string]path{}
	for i, a := range v.lab.K3s.Images {
		p := at("k3s", "images", i)
		if a.URL == "" {
			v.add(p, "names no file: write a path, or url and sha256")
			continue
		}
		v.source(p, a.URL)
		switch {
		case a.SHA256 != "" && !checksum.MatchString(a.SHA256):
			v.add(at("k3s", "images", i, "sha256"), "is no SHA-256 checksum: give the 64 digits (0-9, a-f) that sha256sum prints")
		case a.SHA256 == "" && strings.Contains(a.URL, "://"):
			v.add(p, "is downloaded without a checksum: write {url: …, sha256: …} with what sha256sum prints of that file")
		}
		name := a.FileName()
		if !archiveName.MatchString(name) {
			v.add(p, "%q is no archive of images that k3s reads: its name must end in .tar, .tar.gz, .tgz, .tar.bz2, .tar.lz4 or .tar.zst", name)
		}
		if other, taken := first[name]; taken {
			v.add(p, "has the file name %q, as the one on line %d: on the nodes both would be one file; rename one", name, v.pos.Line(other...))
		}
		if strings.HasPrefix(name, "k3s-airgap-images-") {
			v.add(p, "has the name of the release's own archive: write airgap: true instead, or rename it")
		}
		first[name] = p
	}
}

// What k3s imports. Source: https://github.com/k3s-io/k3s/blob/master/pkg/util/file.go and https://docs.k3s.io/installation/airgap.
var archiveName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]*\.(tar|tar\.gz|tgz|tar\.bz2|tbz|tar\.lz4|tar\.zst|tzst)$`)

// FileName is what the archive is called on the nodes.
func (a ImageArchive) FileName() string {
	if u, err := url.Parse(a.URL); err == nil && strings.Contains(a.URL, "://") {
		return filepath.Base(u.Path)
	}
	return filepath.Base(a.URL)
}

func (v *validator) registries() {
	r := v.lab.Registries
	for _, name := range slices.Sorted(maps.Keys(r.Mirrors)) {
		p := at("registries", "mirrors", name)
		if name != "*" && !isHost(name) {
			v.key(p, "registries.mirrors: %q is no registry: write its host, such as docker.io or registry.example:5000, or \"*\" for all", shown(name))
			continue
		}
		m := r.Mirrors[name]
		if len(m.Endpoint) == 0 && len(m.Rewrite) == 0 {
			v.add(p, "has no endpoint: give a list of URLs, such as endpoint: [\"http://%s:5000\"]", v.lab.Network.Host)
		}
		for i, e := range m.Endpoint {
			v.serverURL(at("registries", "mirrors", name, "endpoint", i), e)
			if u, err := url.Parse(e); err == nil && u.User != nil {
				v.add(at("registries", "mirrors", name, "endpoint", i), "holds a login: give it in registries.configs under %q", u.Host)
			}
		}
		for _, pattern := range slices.Sorted(maps.Keys(m.Rewrite)) {
			if _, err := regexp.Compile(pattern); err != nil {
				v.add(at("registries", "mirrors", name, "rewrite", pattern), "is no regular expression: %v", err)
			}
		}
	}
	for _, host := range slices.Sorted(maps.Keys(r.Configs)) {
		p := at("registries", "configs", host)
		if host != "*" && !isHost(host) {
			v.key(p, "registries.configs: %q is no host: write one such as registry.example:5000, without http://", shown(host))
			continue
		}
		auth := r.Configs[host].Auth
		if (auth.Username == "") != (auth.Password == "") {
			v.add(at("registries", "configs", host, "auth"), "needs username and password, both or none")
		}
	}
}

// key reports a problem with the last step of p, which may hold a login: the path is not shown.
func (v *validator) key(p path, format string, args ...any) {
	v.problems = append(v.problems, v.pos.Problem(fmt.Sprintf(format, args...), p...))
}

func (v *validator) proxy() {
	p := v.lab.Proxy
	if v.pos.Has("proxy") && !p.Given() {
		v.add(at("proxy"), "names no proxy: give http, https or both, or leave it out")
	}
	if p.HTTP != "" {
		v.serverURL(at("proxy", "http"), p.HTTP)
	}
	if p.HTTPS != "" && v.pos.Has("proxy", "https") {
		v.serverURL(at("proxy", "https"), p.HTTPS)
	}
	for i, host := range p.NoProxy {
		_, err := netip.ParsePrefix(host)
		if err != nil && host != "*" && !isHost(strings.TrimPrefix(host, ".")) {
			v.add(at("proxy", "noProxy", i), "%q is none of these: a host, a domain such as .example, an address, a network such as 10.0.0.0/8", host)
		}
	}
}

// serverURL judges the URL of a server that the nodes talk to. It never shows a password.
func (v *validator) serverURL(p path, text string) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.ContainsFunc(text, notPrintable):
		v.add(p, "%q is no http or https URL: write one such as http://%s:3128", shown(text), v.lab.Network.Host)
	case u.Hostname() == "localhost" || isLoopback(u.Hostname()):
		v.add(p, "%q means each node itself: this computer is %s to them (network.host)", shown(text), v.lab.Network.Host)
	}
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// notPrintable finds what would end a line or a quotation in the files of a node.
func notPrintable(r rune) bool {
	return unicode.IsControl(r) || unicode.IsSpace(r) || strings.ContainsRune("\"'\\`", r)
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`)

// isHost says whether s is a host name or address, with or without a port.
func isHost(s string) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		host, port = s, "1"
	}
	n, err := strconv.Atoi(port)
	return hostName.MatchString(host) && err == nil && n > 0 && n < 65536
}

var login = regexp.MustCompile(`(^|//)[^/@]*@`)

// shown is a URL without what stands before its host, which may be a password; also of a text that is no URL.
func shown(s string) string { return login.ReplaceAllString(s, fmt.Sprintf("${1}%s@", "…")) }
