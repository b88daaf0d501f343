package sim

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// kubectlDescribe is kubectl describe svc NAME….
func (p *process) kubectlDescribe(c *cluster, r *request) int {
	groups, _, err := c.selected(r)
	if err != nil {
		return p.errorf("%v", err)
	}
	for n, i := range slices.Concat(groups...) {
		if i.kind.Name != "Service" {
			return p.errorf("error: the SIMULATED kubectl does not describe a %s", i.kind.Name)
		}
		if n > 0 {
			p.printf("\n\n")
		}
		p.describeService(c, i)
	}
	return 0
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
