package sim

import (
	"fmt"
	"strings"
	"time"
)

// age is how kubectl writes a duration.
func age(d time.Duration) string {
	s := int(d.Seconds())
	switch {
	case s < 0:
		return "0s"
	case s < 120:
		return fmt.Sprintf("%ds", s)
	case s < 600 && s%60 != 0:
		return fmt.Sprintf("%dm%ds", s/60, s%60)
	case s < 3*3600:
		return fmt.Sprintf("%dm", s/60)
	case s < 8*3600 && s/60%60 != 0:
		return fmt.Sprintf("%dh%dm", s/3600, s/60%60)
	case s < 48*3600:
		return fmt.Sprintf("%dh", s/3600)
	}
	return fmt.Sprintf("%dd", s/86400)
}

func none(s string) string { return cmpString(s, "<none>") }

// headings are a kind's columns; those after the bar are shown with -o wide only.
func headings(kind string) string {
	return map[string]string{
		"Node":          "NAME STATUS ROLES AGE VERSION | INTERNAL-IP EXTERNAL-IP OS-IMAGE KERNEL-VERSION CONTAINER-RUNTIME",
		"Pod":           "NAME READY STATUS RESTARTS AGE | IP NODE NOMINATED_NODE READINESS_GATES",
		"Service":       "NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE | SELECTOR",
		"Deployment":    "NAME READY UP-TO-DATE AVAILABLE AGE | CONTAINERS IMAGES SELECTOR",
		"DaemonSet":     "NAME DESIRED CURRENT READY UP-TO-DATE AVAILABLE NODE_SELECTOR AGE | CONTAINERS IMAGES SELECTOR",
		"Namespace":     "NAME STATUS AGE",
		"EndpointSlice": "NAME ADDRESSTYPE PORTS ENDPOINTS AGE",
		"Endpoints":     "NAME ENDPOINTS AGE",
		"Secret":        "NAME TYPE DATA AGE",
		"ConfigMap":     "NAME DATA AGE",
		"Ingress":       "NAME CLASS HOSTS ADDRESS PORTS AGE",
		"ServiceCIDR":   "NAME CIDRS AGE",
	}[kind]
}

// row is an object's line, in the order of headings with the wide columns.
func (c *cluster) row(i item) []string {
	old := age(c.now.Sub(i.created))
	switch i.kind.Name {
	case "Node":
		n := c.state.node(i.name)
		status, roles, external := "NotReady", "<none>", "<none>"
		if a := n.Settings.ExternalIP; a.IsValid() {
			external = a.String()
		}
		if c.nodeReady(n) {
			status = "Ready"
		}
		if n.Cordoned {
			status += ",SchedulingDisabled"
		}
		if n.ghost() {
			return []string{i.name, status, roles, old, "", "<none>", external, "<unknown>", "<unknown>", "<unknown>"}
		}
		if n.Labels["node-role.kubernetes.io/control-plane"] != "" {
			roles = "control-plane"
		}
		return []string{i.name, status, roles, old, n.Settings.Version, n.InternalIP.String(), external, osImage, kernelVersion, "containerd://2.1.5-k3s1"}
	case "Pod":
		status := dig(i.body, "status")
		ready, total, word := 0, 0, fmt.Sprint(dig(status, "phase"))
		list, _ := dig(status, "containerStatuses").([]any)
		if word == "Succeeded" {
			word = "Completed"
		}
		for _, s := range list {
			total++
			if dig(s, "ready") == true {
				ready++
			}
			if r, ok := dig(s, "state", "waiting", "reason").(string); ok {
				word = r
			}
		}
		ip, _ := dig(status, "podIP").(string)
		node, _ := dig(i.body, "spec", "nodeName").(string)
		return []string{i.name, fmt.Sprintf("%d/%d", ready, max(total, 1)), word, "0", old, none(ip), none(node), "<none>", "<none>"}
	case "Service":
		o := c.state.object("Service", i.namespace, i.name)
		var external, ports []string
		for _, a := range c.ingress(o) {
			external = append(external, a.String())
		}
		where := none(strings.Join(external, ","))
		typ := fmt.Sprint(dig(i.body, "spec", "type"))
		if typ == "LoadBalancer" && external == nil {
			where = "<pending>"
		}
		for _, p := range servicePorts(o) {
			s := fmt.Sprintf("%d/%s", p.Port, p.Protocol)
			if p.NodePort != 0 {
				s = fmt.Sprintf("%d:%s", p.Port, strings.Replace(s, fmt.Sprint(p.Port), fmt.Sprint(p.NodePort), 1))
			}
			ports = append(ports, s)
		}
		ip, selector := fmt.Sprint(dig(i.body, "spec", "clusterIP")), joined(stringMap(dig(o.Body, "spec", "selector")))
		return []string{i.name, typ, ip, where, none(strings.Join(ports, ",")), old, none(selector)}
	case "Deployment":
		number := func(key string) string {
			if v := dig(i.body, "status", key); v != nil {
				return fmt.Sprint(v)
			}
			return "0"
		}
		ready := number("readyReplicas") + "/" + fmt.Sprint(dig(i.body, "spec", "replicas"))
		return append([]string{i.name, ready, number("updatedReplicas"), number("availableReplicas"), old}, i.template()...)
	case "DaemonSet":
		s := func(key string) string { return fmt.Sprint(dig(i.body, "status", key)) }
		return append([]string{i.name, s("desiredNumberScheduled"), s("currentNumberScheduled"), s("numberReady"), s("updatedNumberScheduled"), s("numberAvailable"),
			none(joined(stringMap(dig(i.body, "spec", "template", "spec", "nodeSelector")))), old}, i.template()...)
	case "Namespace":
		return []string{i.name, "Active", old}
	case "Ingress":
		return c.ingressRow(i, old)
	case "ServiceCIDR":
		var all []string
		for _, p := range serviceCIDRs(c.state.object("ServiceCIDR", "", i.name)) {
			all = append(all, p.String())
		}
		return []string{i.name, none(strings.Join(all, ",")), old}
	case "EndpointSlice", "Endpoints":
		return c.endpointRow(i, old)
	case "Secret":
		return []string{i.name, cmpString(fmt.Sprint(i.body["type"]), "Opaque"), "1", old}
	}
	return []string{i.name, fmt.Sprint(len(mapOf(i.body["data"]))), old}
}

func (i item) template() []string {
	var names, images []string
	list, _ := dig(i.body, "spec", "template", "spec", "containers").([]any)
	for _, c := range list {
		names, images = append(names, fmt.Sprint(dig(c, "name"))), append(images, fmt.Sprint(dig(c, "image")))
	}
	return []string{strings.Join(names, ","), strings.Join(images, ","), joined(stringMap(dig(i.body, "spec", "selector", "matchLabels")))}
}

func joined(m map[string]string) string {
	var all []string
	for _, k := range sortedKeys(m) {
		all = append(all, k+"="+m[k])
	}
	return strings.Join(all, ",")
}

func (c *cluster) endpointRow(i item, old string) []string {
	service := cmpString(i.labels["kubernetes.io/service-name"], i.name)
	o := c.state.object("Service", i.namespace, service)
	var addresses, full, ports []string
	for _, p := range servicePorts(o) {
		for n, e := range c.endpoints(o, p) {
			if e.Ready {
				full = append(full, fmt.Sprintf("%s:%d", e.Addr, e.Port))
			}
			if n == 0 {
				ports = append(ports, fmt.Sprint(e.Port))
			}
			if len(ports) <= 1 {
				addresses = append(addresses, e.Addr.String())
			}
		}
	}
	if i.kind.Name == "Endpoints" {
		return []string{i.name, shortened(full, " + %d more..."), old}
	}
	return []string{i.name, "IPv4", cmpString(strings.Join(ports, ","), "<unset>"), shortened(addresses, " + %d more..."), old}
}

func shortened(all []string, more string) string {
	if len(all) > 3 {
		return strings.Join(all[:3], ",") + fmt.Sprintf(more, len(all)-3)
	}
	return none(strings.Join(all, ","))
}

// table lays rows out as kubectl does, three spaces between columns. Underscores in headings stand for spaces.
func table(head []string, rows [][]string) string {
	for i, h := range head {
		head[i] = strings.ReplaceAll(h, "_", " ")
	}
	rows = append([][]string{head}, rows...)
	widths := make([]int, len(head))
	for _, r := range rows {
		for i, cell := range r {
			widths[i] = max(widths[i], len(cell))
		}
	}
	var b strings.Builder
	for _, r := range rows {
		for i, cell := range r {
			if i == len(r)-1 {
				b.WriteString(cell)
			} else {
				fmt.Fprintf(&b, "%-*s   ", widths[i], cell)
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}
