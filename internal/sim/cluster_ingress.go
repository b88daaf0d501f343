package sim

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// An Ingress of the model has rules with one path each, whatever is below /: what is asked of Traefik by the rule's host name, or by any
// where it has none, goes to one port of one Service of the Ingress's namespace. Traefik serves the Ingresses of its class, asks the
// Service's endpoints itself, not its ClusterIP, and shows its own Service's addresses as the Ingress's.

const (
	// ingressClass is Traefik's, which k3s makes the default.
	ingressClass = "traefik"
	// entryPointsNote is Traefik's own: the entry points at which it serves an Ingress; without it at all of them.
	entryPointsNote = "traefik.ingress.kubernetes.io/router.entrypoints"
)

// ingressProblem says why an Ingress is not one that the model knows; empty if it is one.
func ingressProblem(body map[string]any) string {
	rules := ingressRules(body)
	if len(rules) == 0 || dig(body, "spec", "tls") != nil || dig(body, "spec", "defaultBackend") != nil {
		return "the SIMULATED Traefik knows an Ingress with rules, without TLS and without a default backend"
	}
	for _, rule := range rules {
		paths, _ := dig(rule, "http", "paths").([]any)
		if len(paths) != 1 || dig(paths[0], "path") != "/" || dig(paths[0], "pathType") != "Prefix" {
			return "the SIMULATED Traefik knows rules with one path, / of the type Prefix"
		}
		if name, port := backend(rule); name == "" || port == 0 {
			return "the backend must name a service and the number of its port"
		}
	}
	return ""
}

func ingressRules(body map[string]any) []any {
	rules, _ := dig(body, "spec", "rules").([]any)
	return rules
}

// backend is the Service, and its port, that a rule leads to.
func backend(rule any) (service string, port int) {
	paths, _ := dig(rule, "http", "paths").([]any)
	if len(paths) == 0 {
		return "", 0
	}
	to := dig(paths[0], "backend", "service")
	service, _ = dig(to, "name").(string)
	return service, number(dig(to, "port", "number"))
}

// kubectlCreateIngress is kubectl create ingress NAME --rule=[HOST]/*=SERVICE:PORT.
func (p *process) kubectlCreateIngress(c *cluster, r *request) int {
	from, to, _ := strings.Cut(r.flags["rule"], "=")
	host, whole := strings.CutSuffix(from, "/*")
	service, number, _ := strings.Cut(to, ":")
	port := 0
	if _, err := fmt.Sscan(number, &port); err != nil || !whole || strings.Contains(host, "/") || service == "" {
		return p.errorf("error: the SIMULATED kubectl does not know the rule %q: use [HOST]/*=SERVICE:PORT", r.flags["rule"])
	}
	k, _ := kindNamed("ingress")
	name := r.words[1]
	rule := map[string]any{"http": map[string]any{"paths": []any{map[string]any{"path": "/", "pathType": "Prefix",
		"backend": map[string]any{"service": map[string]any{"name": service, "port": map[string]any{"number": float64(port)}}}}}}}
	if host != "" {
		rule["host"] = host
	}
	body := map[string]any{"metadata": map[string]any{}, "spec": map[string]any{"rules": []any{rule}}}
	if err := c.change(func(st *clusterState) error {
		if st.object(k.Name, r.namespace, name) != nil {
			return fmt.Errorf("error: failed to create ingress: %s %q already exists", k.plural(), name)
		}
		admitted, err := c.admit(st, document{kind: k, namespace: r.namespace, name: name, body: body}, nil)
		if err != nil {
			return err
		}
		c.put(st, &object{Kind: k.Name, Namespace: r.namespace, Name: name, Body: admitted})
		return nil
	}); err != nil {
		return p.errorf("%v", err)
	}
	p.printf("%s created\n", k.qualified(name))
	return 0
}

// ingressRoute is a rule that Traefik serves, and the endpoint that it has chosen for one call.
type ingressRoute struct {
	host string // empty: any
	to   netip.AddrPort
}

// ingressRoutes are the rules that Traefik serves at an entry point, those of a host name before those of any; chosen is a number that
// varies. A rule whose Service has nobody ready is left out.
func (c *cluster) ingressRoutes(entryPoint string, chosen int) []ingressRoute {
	var routes []ingressRoute
	for _, o := range c.state.Objects {
		if o.Kind != "Ingress" || dig(o.Body, "spec", "ingressClassName") != ingressClass {
			continue
		}
		if only, ok := dig(o.Body, "metadata", "annotations", entryPointsNote).(string); ok && !slices.Contains(strings.Split(only, ","), entryPoint) {
			continue
		}
		for _, rule := range ingressRules(o.Body) {
			name, port := backend(rule)
			service := c.state.object("Service", o.Namespace, name)
			if service == nil {
				continue
			}
			var ready []netip.AddrPort
			for _, p := range servicePorts(service) {
				for _, e := range c.endpoints(service, p) {
					if e.Ready && p.Port == port {
						ready = append(ready, netip.AddrPortFrom(e.Addr, uint16(e.Port)))
					}
				}
			}
			if len(ready) > 0 {
				host, _ := dig(rule, "host").(string)
				routes = append(routes, ingressRoute{host, ready[chosen%len(ready)]})
			}
		}
	}
	slices.SortStableFunc(routes, func(a, b ingressRoute) int { return cmp.Compare(len(b.host), len(a.host)) })
	return routes
}

// traefik is what a pod of Traefik's answers to a packet at one of its entry points.
func (c *cluster) traefik(pod *podRecord, p packet, entryPoint string) http.Handler {
	type backend struct {
		host    string
		handler http.Handler
	}
	var backends []backend
	from := netip.AddrPortFrom(pod.IP, p.from.Port())
	for _, r := range c.ingressRoutes(entryPoint, int(p.from.Port())) {
		a, err := c.up[c.state.node(pod.Node).Disk].connect(packet{proto: p.proto, from: from, to: r.to, in: "cni0"})
		if err != nil || a.handler == nil {
			a.handler = http.HandlerFunc(noBackend)
		}
		backends = append(backends, backend{r.host, a.handler})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host // without a port
		}
		for _, b := range backends {
			if b.host == "" || strings.EqualFold(b.host, host) {
				r.RemoteAddr = from.String()
				b.handler.ServeHTTP(w, r)
				return
			}
		}
		http.NotFound(w, r)
	})
}

// noBackend is what Traefik says when the endpoint does not answer.
func noBackend(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "Bad Gateway", http.StatusBadGateway)
}

func (c *cluster) ingressRow(i item, old string) []string {
	var hosts, addresses []string
	for _, rule := range ingressRules(i.body) {
		host, _ := dig(rule, "host").(string)
		hosts = append(hosts, cmp.Or(host, "*"))
	}
	class, _ := dig(i.body, "spec", "ingressClassName").(string)
	if traefik := c.state.object("Service", "kube-system", "traefik"); traefik != nil && class == ingressClass {
		for _, a := range c.ingress(traefik) {
			addresses = append(addresses, a.String())
		}
	}
	return []string{i.name, none(class), strings.Join(hosts, ","), strings.Join(addresses, ","), "80", old}
}
