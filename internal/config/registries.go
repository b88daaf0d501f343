package config

import (
	"maps"
	"net/url"
	"slices"
)

// Registries is k3s's registries.yaml: where containerd gets the images of a registry from, and how it logs in.
// Source: https://docs.k3s.io/installation/private-registry.
type Registries struct {
	// Mirrors says by registry (docker.io, or "*" for all) which endpoints are asked first.
	Mirrors map[string]Mirror `yaml:"mirrors,omitempty"`
	// Configs says by host (or host:port) of a registry or of an endpoint how to talk to it.
	Configs map[string]RegistryConfig `yaml:"configs,omitempty"`
}

// Mirror is where a registry's images are asked for, in this order, before the registry itself.
type Mirror struct {
	Endpoint []string          `yaml:"endpoint,omitempty"` // http(s) URLs
	Rewrite  map[string]string `yaml:"rewrite,omitempty"`  // of an image's name: a regular expression and what replaces it
}

// RegistryConfig is how to talk to one host.
type RegistryConfig struct {
	Auth RegistryAuth `yaml:"auth,omitempty"`
	TLS  RegistryTLS  `yaml:"tls,omitempty"`
}

// RegistryAuth is a login.
type RegistryAuth struct {
	Username string `yaml:"username,omitempty"`
	Password string `yaml:"password,omitempty"`
}

// HoldsSecret keeps what stands here out of messages.
func (*RegistryAuth) HoldsSecret() {}

// HoldsSecret keeps a login that stands in the wrong place out of messages.
func (*RegistryConfig) HoldsSecret() {}

// RegistryTLS says whether certificates count.
type RegistryTLS struct {
	InsecureSkipVerify bool `yaml:"insecure_skip_verify,omitempty"`
}

// Proxy is the HTTP proxy by which the nodes reach registries.
type Proxy struct {
	HTTP  string `yaml:"http,omitempty"`  // for http URLs
	HTTPS string `yaml:"https,omitempty"` // for https URLs; by default the same
	// NoProxy are more hosts, domains and networks that are reached without it. The lab's own networks always are.
	NoProxy []string `yaml:"noProxy,omitempty"`
}

// SetText is the short form in labctl.yaml.
func (p *Proxy) SetText(url string) { p.HTTP = url }

// Given says whether there is anything to write.
func (r Registries) Given() bool { return len(r.Mirrors)+len(r.Configs) > 0 }

// Given says whether there is a proxy.
func (p Proxy) Given() bool { return p.HTTP != "" || p.HTTPS != "" }

// removed stands where a secret stood.
const removed = "removed"

// Redacted returns the lab without its passwords, for what leaves this machine. It is still a lab that Parse takes.
func (l *Lab) Redacted() *Lab {
	r := *l
	r.Registries.Configs = maps.Clone(l.Registries.Configs)
	for host, c := range r.Registries.Configs {
		if c.Auth.Password != "" {
			c.Auth.Password = removed
		}
		r.Registries.Configs[host] = c
	}
	r.Proxy.HTTP, r.Proxy.HTTPS = withoutPassword(l.Proxy.HTTP), withoutPassword(l.Proxy.HTTPS)
	return &r
}

// Secrets returns the passwords in the lab's configuration.
func (l *Lab) Secrets() []string {
	var all []string
	for _, c := range l.Registries.Configs {
		all = append(all, c.Auth.Password)
	}
	for _, text := range []string{l.Proxy.HTTP, l.Proxy.HTTPS} {
		if u, err := url.Parse(text); err == nil && u.User != nil {
			password, _ := u.User.Password()
			all = append(all, password)
		}
	}
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

func withoutPassword(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.User == nil {
		return text
	}
	if _, has := u.User.Password(); has {
		u.User = url.UserPassword(u.User.Username(), removed)
	}
	return u.String()
}
