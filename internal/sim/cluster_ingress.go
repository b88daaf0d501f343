package sim

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

// An Ingress of the model has one rule: whatever is asked of Traefik goes to one port of one Service of its namespace. Traefik asks the
// Service's endpoints itself, not its ClusterIP, and shows its own Service's addresses as the Ingress's.

// ingressProblem says why an Ingress is not one that the model knows; empty if it is one.
func ingressProblem(body map[string]any) string {
	rules, _ := dig(body, "spec", "rules").([]any)
	if len(rules) != 1 || dig(rules[0], "host") != nil || dig(body, "spec", "tls") != nil {
		return "the SIMULATED Traefik knows an Ingress with one rule, without a host and without TLS"
	}
	paths, _ := dig(rules[0], "http", "paths").([]any)
	if len(paths) != 1 || dig(paths[0], "path") != "/" || dig(paths[0], "pathType") != "Prefix" {
		return "the SIMULATED Traefik knows an Ingress with one path, / of the type Prefix"
	}
	if name, port := backend(body); name == "" || port == 0 {
		return "the backend must name a service and the number of its port"
	}
	return ""
}

// backend is the Service, and its port, that an Ingress leads to.
func backend(body map[string]any) (service string, port int) {
	rules, _ := dig(body, "spec", "rules").([]any)
	if len(rules) == 0 {
		return "", 0
	}
	paths, _ := dig(rules[0], "http", "paths").([]any)
	if len(paths) == 0 {
		return "", 0
	}
	to := dig(paths[0], "backend", "service")
	service, _ = dig(to, "name").(string)
	return service, number(dig(to, "port", "number"))
}

// kubectlCreateIngress is kubectl create ingress NAME --rule=/*=SERVICE:PORT.
func (p *process) kubectlCreateIngress(c *cluster, r *request) int {
	path, to, _ := strings.Cut(r.flags["rule"], "=")
	service, number, _ := strings.Cut(to, ":")
	port := 0
	if _, err := fmt.Sscan(number, &port); err != nil || path != "/*" || service == "" {
		return p.errorf("error: the SIMULATED kubectl does not know the rule %q: use /*=SERVICE:PORT", r.flags["rule"])
	}
	k, _ := kindNamed("ingress")
	name := r.words[1]
	body := map[string]any{"metadata": map[string]any{}, "spec": map[string]any{"rules": []any{map[string]any{"http": map[string]any{"paths": []any{
		map[string]any{"path": "/", "pathType": "Prefix", "backend": map[string]any{"service": map[string]any{"name": service, "port": map[string]any{"number": float64(port)}}}}}}}}}}
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

// routed is where Traefik sends what one of its pods is asked; chosen is a number that varies.
func (c *cluster) routed(chosen int) (to netip.AddrPort, ok bool) {
	for _, o := range c.state.Objects {
		if o.Kind != "Ingress" {
			continue
		}
		name, port := backend(o.Body)
		service := c.state.object("Service", o.Namespace, name)
		if service == nil {
			continue
		}
		for _, p := range servicePorts(service) {
			var ready []netip.AddrPort
			for _, e := range c.endpoints(service, p) {
				if e.Ready && p.Port == port {
					ready = append(ready, netip.AddrPortFrom(e.Addr, uint16(e.Port)))
				}
			}
			if len(ready) > 0 {
				return ready[chosen%len(ready)], true
			}
		}
	}
	return netip.AddrPort{}, false
}

// noBackend is what Traefik says when the endpoint does not answer.
func noBackend(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "Bad Gateway", http.StatusBadGateway)
}

func (c *cluster) ingressRow(i item, old string) []string {
	var addresses []string
	if traefik := c.state.object("Service", "kube-system", "traefik"); traefik != nil {
		for _, a := range c.ingress(traefik) {
			addresses = append(addresses, a.String())
		}
	}
	return []string{i.name, fmt.Sprint(dig(i.body, "spec", "ingressClassName")), "*", strings.Join(addresses, ","), "80", old}
}
