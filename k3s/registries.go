package k3s

import (
	"fmt"
	"slices"
	"strings"

	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/internal/yaml"
)

// mine is the first line of the files that are labctl's. A registries.yaml without it is somebody else's: it is never removed.
const mine = "# Written by labctl, and again whenever it differs."

// registriesOf renders /etc/rancher/k3s/registries.yaml. Source: https://docs.k3s.io/installation/private-registry.
func registriesOf(r config.Registries) ([]byte, error) {
	data, err := yaml.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("settings of the registries: %w", err)
	}
	return append([]byte(mine+"\n"), data...), nil
}

// environmentOf renders the environment of the k3s service, which containerd shares. Whatever is asked for, the nodes reach each
// other, pods and services without the proxy: it knows none of them. Source: https://docs.k3s.io/advanced (HTTP proxy).
func environmentOf(s Settings) []byte {
	direct := []string{"localhost", "127.0.0.0/8"}
	for _, p := range []interface {
		IsValid() bool
		String() string
	}{s.Network, s.PodCIDR, s.ServiceCIDR} {
		if p.IsValid() {
			direct = append(direct, p.String())
		}
	}
	direct = append(direct, ".svc", ".cluster.local")
	for _, host := range s.Proxy.NoProxy {
		if !slices.Contains(direct, host) {
			direct = append(direct, host)
		}
	}
	var b strings.Builder
	fmt.Fprintln(&b, mine)
	for _, v := range []struct{ name, value string }{
		{"HTTP_PROXY", s.Proxy.HTTP}, {"HTTPS_PROXY", s.Proxy.HTTPS}, {"NO_PROXY", strings.Join(direct, ",")},
	} {
		if v.value != "" {
			fmt.Fprintf(&b, "%s=\"%s\"\n", v.name, v.value) // no value holds a quotation mark: config refuses them
		}
	}
	return []byte(b.String())
}
