package sim

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// kubectlDescribe is kubectl describe svc|deploy NAME….
func (p *process) kubectlDescribe(c *cluster, r *request) int {
	groups, _, err := c.selected(r)
	if err != nil {
		return p.errorf("%v", err)
	}
	for n, i := range slices.Concat(groups...) {
		if n > 0 {
			p.printf("\n\n")
		}
		switch i.kind.Name {
		case "Service":
			p.describeService(c, i)
		case "Deployment":
			p.describeDeployment(c, i)
		default:
			return p.errorf("error: the SIMULATED kubectl does not describe a %s", i.kind.Name)
		}
	}
	return 0
}

// describeDeployment leaves out what the model does not have: revisions, ReplicaSets and events.
func (p *process) describeDeployment(c *cluster, i item) {
	line := func(name string, value any) { p.printf("%-23s %v\n", name+":", value) }
	count := func(key string) int {
		n, _ := dig(i.body, "status", key).(int) // what is zero is left out
		return n
	}
	line("Name", i.name)
	line("Namespace", i.namespace)
	line("CreationTimestamp", i.created.UTC().Format(time.RFC1123Z))
	line("Labels", none(joined(i.labels)))
	line("Selector", none(joined(stringMap(dig(i.body, "spec", "selector", "matchLabels")))))
	line("Replicas", fmt.Sprintf("%d desired | %d updated | %d total | %d available | %d unavailable",
		replicas(c.state.object("Deployment", i.namespace, i.name)), count("updatedReplicas"), count("replicas"), count("availableReplicas"), count("unavailableReplicas")))
	strategy, _ := dig(i.body, "spec", "strategy", "type").(string)
	strategy = cmpString(strategy, "RollingUpdate")
	line("StrategyType", strategy)
	line("MinReadySeconds", 0)
	share := func(key string) string {
		if v := dig(i.body, "spec", "strategy", "rollingUpdate", key); v != nil {
			return fmt.Sprint(v)
		}
		return "25%" // the API server's default
	}
	if strategy == "RollingUpdate" {
		line("RollingUpdateStrategy", share("maxUnavailable")+" max unavailable, "+share("maxSurge")+" max surge")
	}
	p.printf("Pod Template:\n  Labels:  %s\n  Containers:\n", joined(stringMap(dig(i.body, "spec", "template", "metadata", "labels"))))
	containers, _ := dig(i.body, "spec", "template", "spec", "containers").([]any)
	for _, container := range containers {
		port := "<none>"
		if ports, _ := dig(container, "ports").([]any); len(ports) > 0 {
			port = fmt.Sprintf("%d/TCP", number(dig(ports[0], "containerPort")))
		}
		p.printf("   %v:\n    Image:         %v\n    Port:          %s\n", dig(container, "name"), dig(container, "image"), port)
	}
	p.printf("Conditions:\n  Type           Status  Reason\n  ----           ------  ------\n")
	conditions, _ := dig(i.body, "status", "conditions").([]any)
	for _, o := range conditions {
		p.printf("  %-14v %-7v %v\n", dig(o, "type"), dig(o, "status"), dig(o, "reason"))
	}
}

func (p *process) describeService(c *cluster, i item) {
	o := c.state.object("Service", i.namespace, i.name)
	spec := mapOf(i.body["spec"])
	line := func(name string, value any) { p.printf("%-25s %v\n", name+":", value) }
	several := func(name string, all map[string]string, sep string) {
		values := []string{"<none>"}
		if len(all) > 0 {
			values = nil
		}
		for _, k := range sortedKeys(all) {
			values = append(values, k+sep+all[k])
		}
		p.printf("%-25s %s\n", name+":", strings.Join(values, "\n"+strings.Repeat(" ", 26)))
	}
	annotations := stringMap(dig(i.body, "metadata", "annotations"))
	delete(annotations, lastApplied)
	line("Name", i.name)
	line("Namespace", i.namespace)
	several("Labels", i.labels, "=")
	several("Annotations", annotations, ": ")
	line("Selector", none(joined(stringMap(spec["selector"]))))
	line("Type", spec["type"])
	line("IP Family Policy", spec["ipFamilyPolicy"])
	line("IP Families", "IPv4")
	line("IP", spec["clusterIP"])
	line("IPs", spec["clusterIP"])
	if all := c.ingress(o); len(all) > 0 {
		var words []string
		for _, a := range all {
			words = append(words, a.String()+" (VIP)")
		}
		line("LoadBalancer Ingress", strings.Join(words, ", "))
	}
	for _, port := range servicePorts(o) {
		name := cmpString(port.Name, "<unset>")
		line("Port", fmt.Sprintf("%s  %d/%s", name, port.Port, port.Protocol))
		line("TargetPort", fmt.Sprintf("%v/%s", port.Target, port.Protocol))
		if port.NodePort != 0 {
			line("NodePort", fmt.Sprintf("%s  %d/%s", name, port.NodePort, port.Protocol))
		}
		var endpoints []string
		for _, e := range c.endpoints(o, port) {
			if e.Ready {
				endpoints = append(endpoints, fmt.Sprintf("%s:%d", e.Addr, e.Port))
			}
		}
		line("Endpoints", strings.TrimSuffix(shortened(endpoints, " + %d more..."), "<none>"))
	}
	line("Session Affinity", spec["sessionAffinity"])
	if policy := spec["externalTrafficPolicy"]; policy != nil {
		line("External Traffic Policy", policy)
	}
	line("Internal Traffic Policy", spec["internalTrafficPolicy"])
	line("Events", "<none>")
}

// field is what a path such as .spec.nodeName or {.spec.ports[0].nodePort} leads to in an object, as text.
func field(body map[string]any, path string) (string, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return "", err
	}
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		return "", err
	}
	path = strings.TrimPrefix(strings.TrimSuffix(strings.TrimPrefix(path, "{"), "}"), ".")
	v, err = follow(v, path)
	switch v := v.(type) {
	case nil:
		return "<none>", err
	case string:
		return v, err
	default:
		text, err := json.Marshal(v)
		return string(text), err
	}
}

// follow walks along fields and indices: spec.ports[0].nodePort. A dot in a name is escaped.
func follow(v any, path string) (any, error) {
	for _, name := range strings.Split(strings.ReplaceAll(path, `\.`, "\x00"), ".") {
		name, index, indexed := strings.Cut(strings.TrimSuffix(strings.ReplaceAll(name, "\x00", "."), "]"), "[")
		v = dig(v, name)
		if !indexed {
			continue
		}
		list, _ := v.([]any)
		n := 0
		if _, err := fmt.Sscan(index, &n); err != nil || n < 0 || n >= len(list) {
			return nil, fmt.Errorf("array index out of bounds: index %s, length %d", index, len(list))
		}
		v = list[n]
	}
	return v, nil
}

// customColumns is -o custom-columns=HEADING:PATH,….
func (p *process) customColumns(spec string, all []item) int {
	var head []string
	rows := make([][]string, len(all))
	for _, column := range strings.Split(spec, ",") {
		name, path, ok := strings.Cut(column, ":")
		if !ok {
			return p.errorf("error: unexpected custom-columns spec: %s, expected <header>:<json-path-expr>", column)
		}
		head = append(head, name)
		for n, i := range all {
			value, err := field(i.body, path)
			if err != nil {
				return p.errorf("error: %v", err)
			}
			rows[n] = append(rows[n], value)
		}
	}
	p.printf("%s", table(head, rows))
	return 0
}
