package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/labctl/labctl/internal/yaml"
)

// document is one object of a manifest.
type document struct {
	kind      kind
	namespace string
	name      string
	body      map[string]any
	text      string // as kubectl keeps it in the annotation last-applied-configuration
}

const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// documents reads the manifest that -f names.
func (p *process) documents(r *request) ([]document, string, error) {
	name := r.flags["f"] + r.flags["filename"]
	data, err := p.manifest(name)
	if err != nil {
		return nil, "", fmt.Errorf("error: the path %q does not exist", name)
	}
	source := name
	if name == "-" {
		source = "STDIN"
	}
	var all []document
	for _, text := range strings.Split("\n"+string(data), "\n---") {
		var raw any
		if err := yaml.Unmarshal([]byte(text), &raw); err != nil {
			return nil, source, fmt.Errorf("error: error parsing %s: error converting YAML to JSON: %v", source, err)
		}
		if raw == nil {
			continue
		}
		encoded, err := json.Marshal(raw)
		if err != nil {
			return nil, source, fmt.Errorf("error: error parsing %s: %v", source, err)
		}
		d := document{body: map[string]any{}}
		if err := json.Unmarshal(encoded, &d.body); err != nil {
			return nil, source, fmt.Errorf("error: error parsing %s: %v", source, err)
		}
		kindName, _ := d.body["kind"].(string)
		api, _ := d.body["apiVersion"].(string)
		d.name, _ = dig(d.body, "metadata", "name").(string)
		if kindName == "" {
			return nil, source, fmt.Errorf("error: unable to decode %q: Object 'Kind' is missing", source)
		}
		at := slices.IndexFunc(kinds(), func(k kind) bool { return k.Name == kindName && k.API == api })
		if at < 0 {
			return nil, source, fmt.Errorf("error: resource mapping not found for name: %q namespace: \"\" from %q: no matches for kind %q in version %q\n"+
				"ensure CRDs are installed first", d.name, source, kindName, api)
		}
		if d.name == "" {
			return nil, source, fmt.Errorf("error: error when retrieving current configuration of %q: resource name may not be empty", source)
		}
		d.kind = kinds()[at]
		if d.kind.Namespaced {
			if d.namespace, _ = dig(d.body, "metadata", "namespace").(string); d.namespace == "" {
				d.namespace = r.namespace
			}
			set(d.body, d.namespace, "metadata", "namespace")
		}
		if dig(d.body, "metadata", "annotations") == nil {
			set(d.body, map[string]any{}, "metadata", "annotations")
		}
		compact, err := json.Marshal(d.body)
		if err != nil {
			return nil, source, err
		}
		d.text = string(compact) + "\n"
		set(d.body, d.text, "metadata", "annotations", lastApplied)
		all = append(all, d)
	}
	if len(all) == 0 {
		return nil, source, errors.New("error: no objects passed to apply")
	}
	return all, source, nil
}

// set puts a value into nested maps, making them.
func set(m map[string]any, v any, keys ...string) {
	for _, k := range keys[:len(keys)-1] {
		next, ok := m[k].(map[string]any)
		if !ok {
			next = map[string]any{}
			m[k] = next
		}
		m = next
	}
	m[keys[len(keys)-1]] = v
}

// errDryRun undoes a change that was only to be tried.
var errDryRun = errors.New("dry run")

func (p *process) kubectlApply(c *cluster, r *request) int {
	docs, source, err := p.documents(r)
	if err != nil {
		return p.errorf("%v", err)
	}
	suffix := ""
	switch dry := r.flags["dry-run"]; dry {
	case "", "none":
	case "server":
		suffix = " (server dry run)"
	default:
		return p.errorf("error: the SIMULATED kubectl does not know --dry-run=%s", dry)
	}
	status := 0
	for _, d := range docs {
		what := ""
		err := c.change(func(st *clusterState) error {
			if what, err = c.applyOne(st, d, source); err == nil && suffix != "" {
				return errDryRun
			}
			return err
		})
		if err != nil && err != errDryRun {
			status = p.errorf("%v", err)
			continue
		}
		p.printf("%s %s%s\n", d.kind.qualified(d.name), what, suffix)
	}
	return status
}

// applyOne creates or changes one object. As kubectl's three-way merge it sets what the manifest says, removes what an earlier
// one said and this one does not, and leaves the rest.
func (c *cluster) applyOne(st *clusterState, d document, source string) (string, error) {
	if d.kind.Namespaced && st.object("Namespace", "", d.namespace) == nil {
		return "", fmt.Errorf("Error from server (NotFound): error when creating %q: namespaces %q not found", source, d.namespace)
	}
	if d.kind.Name == "Node" {
		return c.applyNode(st, d)
	}
	have := st.object(d.kind.Name, d.namespace, d.name)
	if have == nil {
		body, err := c.admit(st, d, nil)
		if err != nil {
			return "", err
		}
		c.put(st, &object{Kind: d.kind.Name, Namespace: d.namespace, Name: d.name, Body: body})
		return "created", nil
	}
	text, _ := dig(have.Body, "metadata", "annotations", lastApplied).(string)
	if text == d.text && covers(have.Body, d.body) {
		return "unchanged", nil
	}
	var before map[string]any
	_ = json.Unmarshal([]byte(text), &before) // it was not applied before: nothing is to be removed
	merge := d
	merge.body = mapOf(strategic(pruned("", have.Body, before, d.body), d.body, ""))
	body, err := c.admit(st, merge, have)
	if err != nil {
		return "", err
	}
	have.Body, have.Version, have.Generation = body, st.next(), have.Generation+1
	return "configured", nil
}

// covers reports whether an object has everything that a manifest says.
func covers(have, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		m, ok := have.(map[string]any)
		for k, v := range want {
			// The API server drops empty maps.
			if empty, is := v.(map[string]any); is && len(empty) == 0 {
				continue
			}
			ok = ok && covers(m[k], v)
		}
		return ok
	case []any:
		list, ok := have.([]any)
		if !ok || len(list) != len(want) {
			return false
		}
		for i := range want {
			if !covers(list[i], want[i]) {
				return false
			}
		}
		return true
	}
	return have == want
}

// admit validates an object and fills in what the API server chooses.
func (c *cluster) admit(st *clusterState, d document, have *object) (map[string]any, error) {
	invalid := func(format string, args ...any) error {
		return fmt.Errorf("The %s %q is invalid: %s", d.kind.Name, d.name, fmt.Sprintf(format, args...))
	}
	body := maps.Clone(d.body)
	switch d.kind.Name {
	case "Deployment", "DaemonSet":
		labels := stringMap(dig(body, "spec", "template", "metadata", "labels"))
		selector := dig(body, "spec", "selector", "matchLabels")
		if len(stringMap(selector)) == 0 {
			return nil, invalid("spec.selector: Required value")
		}
		if !selects(selector, labels) {
			return nil, invalid("spec.template.metadata.labels: Invalid value: `selector` does not match template `labels`")
		}
		list, _ := dig(body, "spec", "template", "spec", "containers").([]any)
		if len(list) == 0 {
			return nil, invalid("spec.template.spec.containers: Required value")
		}
		for n, ctr := range list {
			if image, _ := dig(ctr, "image").(string); image == "" {
				return nil, invalid("spec.template.spec.containers[%d].image: Required value", n)
			}
			if err := probeProblem(mapOf(ctr)); err != nil {
				return nil, invalid("spec.template.spec.containers[%d].readinessProbe: %v", n, err)
			}
			if err := programProblem(mapOf(ctr)); err != nil {
				return nil, invalid("spec.template.spec.containers[%d].args: %v", n, err)
			}
		}
		if have != nil && !maps.Equal(stringMap(selector), stringMap(dig(have.Body, "spec", "selector", "matchLabels"))) {
			return nil, invalid("spec.selector: Invalid value: field is immutable")
		}
		if n := number(dig(body, "spec", "replicas")); n < 0 {
			return nil, invalid("spec.replicas: Invalid value: %d: must be greater than or equal to 0", n)
		}
	case "Ingress":
		if why := ingressProblem(body); why != "" {
			return nil, invalid("%s", why)
		}
		spec := maps.Clone(mapOf(body["spec"]))
		if spec["ingressClassName"] == nil && have == nil {
			spec["ingressClassName"] = ingressClass
		}
		body["spec"] = spec
	case "Service":
		if err := st.admitService(d, body, have); err != nil {
			return nil, invalid("%v", err)
		}
	}
	if err := fieldProblem(d.kind.Name, body); err != nil {
		return nil, err
	}
	return body, nil
}

func (p *process) kubectlCreate(c *cluster, r *request) int {
	if is(r.flags, "f", "filename") {
		docs, source, err := p.documents(r)
		if err != nil {
			return p.errorf("%v", err)
		}
		status := 0
		for _, d := range docs {
			err := c.change(func(st *clusterState) error {
				if st.object(d.kind.Name, d.namespace, d.name) != nil {
					return fmt.Errorf("Error from server (AlreadyExists): error when creating %q: %s %q already exists", source, d.kind.plural(), d.name)
				}
				_, err := c.applyOne(st, d, source)
				return err
			})
			if err != nil {
				status = p.errorf("%v", err)
				continue
			}
			p.printf("%s created\n", d.kind.qualified(d.name))
		}
		return status
	}
	if len(r.words) == 2 && (r.words[0] == "ingress" || r.words[0] == "ing") {
		return p.kubectlCreateIngress(c, r)
	}
	if len(r.words) != 2 || r.words[0] != "namespace" && r.words[0] != "ns" {
		return p.errorf("error: the SIMULATED kubectl does not know create %s", strings.Join(r.words, " "))
	}
	name := r.words[1]
	if err := c.change(func(st *clusterState) error {
		if st.object("Namespace", "", name) != nil {
			return fmt.Errorf("Error from server (AlreadyExists): namespaces %q already exists", name)
		}
		c.put(st, &object{Kind: "Namespace", Name: name, Body: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{}}})
		return nil
	}); err != nil {
		return p.errorf("%v", err)
	}
	p.printf("namespace/%s created\n", name)
	return 0
}

func (p *process) kubectlDelete(c *cluster, r *request) int {
	ignore := r.flags["ignore-not-found"] == "true"
	type target struct {
		kind            kind
		namespace, name string
	}
	var targets []target
	if is(r.flags, "f", "filename") {
		docs, _, err := p.documents(r)
		if err != nil {
			return p.errorf("%v", err)
		}
		for _, d := range docs {
			targets = append(targets, target{d.kind, d.namespace, d.name})
		}
	} else {
		if len(r.words) == 1 && !strings.Contains(r.words[0], "/") && r.selector == "" && !is(r.flags, "all") {
			return p.errorf("error: resource(s) were provided, but no name was specified")
		}
		groups, _, err := c.selected(r)
		if err != nil {
			return p.errorf("%v", err)
		}
		for _, i := range slices.Concat(groups...) {
			targets = append(targets, target{i.kind, i.namespace, i.name})
		}
	}
	status := 0
	for _, t := range targets {
		found := false
		if err := c.change(func(st *clusterState) error {
			found = c.deleteOne(st, t.kind, t.namespace, t.name)
			return nil
		}); err != nil {
			return p.errorf("error: %v", err)
		}
		switch {
		case found:
			where := ""
			if t.kind.Namespaced {
				where = " from " + t.namespace + " namespace"
			}
			p.printf("%s \"%s\" deleted%s\n", strings.TrimSuffix(t.kind.qualified(""), "/"), t.name, where)
		case !ignore:
			status = p.errorf("Error from server (NotFound): %s %q not found", t.kind.plural(), t.name)
		}
	}
	return status
}

// deleteOne removes an object with all that belongs to it.
func (c *cluster) deleteOne(st *clusterState, k kind, namespace, name string) bool {
	before := len(st.Nodes) + len(st.Pods) + len(st.Objects)
	switch k.Name {
	case "Node":
		if n := st.node(name); n != nil {
			if st.Deleted == nil {
				st.Deleted = map[string]serviceAt{}
			}
			st.Deleted[name] = n.serviceAt
			st.Nodes = slices.DeleteFunc(st.Nodes, func(o *nodeRecord) bool { return o == n })
		}
	case "Pod":
		st.Pods = slices.DeleteFunc(st.Pods, func(p *podRecord) bool { return p.Namespace == namespace && p.Name == name })
	case "Namespace":
		st.Objects = slices.DeleteFunc(st.Objects, func(o *object) bool { return o.Namespace == name || o.Kind == "Namespace" && o.Name == name })
	default:
		st.Objects = slices.DeleteFunc(st.Objects, func(o *object) bool { return o.Kind == k.Name && o.Namespace == namespace && o.Name == name })
	}
	st.next()
	return len(st.Nodes)+len(st.Pods)+len(st.Objects) < before
}

// edit changes the object that the words name.
func (p *process) edit(c *cluster, r *request, done string, change func(st *clusterState, o *object) error) int {
	groups, _, err := c.selected(r)
	if err != nil {
		return p.errorf("%v", err)
	}
	for _, i := range slices.Concat(groups...) {
		if err := c.change(func(st *clusterState) error {
			o := st.object(i.kind.Name, i.namespace, i.name)
			if o == nil {
				return fmt.Errorf("error: the SIMULATED kubectl does not change a %s", i.kind.Name)
			}
			o.Version, o.Generation = st.next(), o.Generation+1
			return change(st, o)
		}); err != nil {
			return p.errorf("%v", err)
		}
		p.printf("%s %s\n", i.kind.qualified(i.name), done)
	}
	return 0
}

func (p *process) kubectlScale(c *cluster, r *request) int {
	n := -1
	if _, err := fmt.Sscan(r.flags["replicas"], &n); err != nil || n < 0 {
		return p.errorf("error: The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0")
	}
	return p.edit(c, r, "scaled", func(_ *clusterState, o *object) error {
		if o.Kind != "Deployment" {
			return fmt.Errorf("Error from server (NotFound): the server could not find the requested resource")
		}
		set(o.Body, float64(n), "spec", "replicas")
		return nil
	})
}

func (p *process) kubectlLabel(c *cluster, r *request, verb string) int {
	var changes []string
	r.words = slices.DeleteFunc(r.words, func(w string) bool {
		change := strings.Contains(w, "=") || strings.HasSuffix(w, "-")
		if change {
			changes = append(changes, w)
		}
		return change
	})
	groups, _, err := c.selected(r)
	if err != nil {
		return p.errorf("%v", err)
	}
	field := map[string]string{"label": "labels", "annotate": "annotations"}[verb]
	for _, i := range slices.Concat(groups...) {
		if err := overwritten(i, field, changes); err != nil && !is(r.flags, "overwrite") {
			return p.errorf("%v", err)
		}
		if err := c.change(func(st *clusterState) error {
			apply := func(put func(k, v string), remove func(k string)) {
				for _, ch := range changes {
					if k, v, ok := strings.Cut(ch, "="); ok {
						put(k, v)
					} else {
						remove(strings.TrimSuffix(ch, "-"))
					}
				}
			}
			if i.kind.Name == "Node" {
				if err := nodeLabelProblem(verb, changes); err != nil {
					return err
				}
				n := st.node(i.name)
				m := n.Labels
				if verb == "annotate" {
					m = n.Annotations
				}
				apply(func(k, v string) { m[k] = v }, func(k string) { delete(m, k) })
				n.Version = st.next()
				return nil
			}
			if i.kind.Name == "Pod" && verb == "label" {
				for _, q := range st.Pods {
					if q.Namespace == i.namespace && q.Name == i.name {
						apply(func(k, v string) { q.Labels[k] = v }, func(k string) { delete(q.Labels, k) })
					}
				}
				return nil
			}
			o := st.object(i.kind.Name, i.namespace, i.name)
			if o == nil {
				return fmt.Errorf("error: the SIMULATED kubectl does not %s a %s", verb, i.kind.Name)
			}
			apply(func(k, v string) { set(o.Body, v, "metadata", field, k) }, func(k string) { delete(mapOf(dig(o.Body, "metadata", field)), k) })
			o.Version = st.next()
			return fieldProblem(o.Kind, o.Body)
		}); err != nil {
			return p.errorf("%v", err)
		}
		p.printf("%s %s\n", i.kind.qualified(i.name), map[string]string{"label": "labeled", "annotate": "annotated"}[verb])
	}
	return 0
}

// overwritten is why labels or annotations that an object has already may not be set to something else.
func overwritten(i item, field string, changes []string) error {
	have := stringMap(dig(i.body, "metadata", field))
	if all, ok := dig(i.body, "metadata", field).(map[string]string); ok {
		have = all
	}
	for _, ch := range changes {
		k, v, ok := strings.Cut(ch, "=")
		if was, there := have[k]; ok && there && was != v {
			return fmt.Errorf("error: '%s' already has a value (%s), and --overwrite is false", k, was)
		}
	}
	return nil
}

func (p *process) kubectlCordon(c *cluster, r *request, on bool) int {
	word := map[bool]string{true: "cordoned", false: "uncordoned"}[on]
	for _, name := range r.words {
		name = strings.TrimPrefix(name, "node/")
		if err := c.change(func(st *clusterState) error {
			n := st.node(name)
			if n == nil {
				return fmt.Errorf("Error from server (NotFound): nodes %q not found", name)
			}
			n.Cordoned, n.Version = on, st.next()
			return nil
		}); err != nil {
			return p.errorf("%v", err)
		}
		p.printf("node/%s %s\n", name, word)
	}
	return 0
}

// taint is what keeps pods from a node that do not tolerate it.
type taint struct {
	Key    string `json:"key"`
	Value  string `json:"value,omitempty"`
	Effect string `json:"effect"`
}

// kubectlTaint is kubectl taint node NAME KEY[=VALUE]:EFFECT… or KEY[:EFFECT]-.
func (p *process) kubectlTaint(c *cluster, r *request) int {
	if k, ok := kindNamed(append(r.words, "")[0]); !ok || k.Name != "Node" || len(r.words) < 3 {
		return p.errorf("error: the SIMULATED kubectl does not know taint %s", strings.Join(r.words, " "))
	}
	name, done := r.words[1], "tainted"
	if err := c.change(func(st *clusterState) error {
		n := st.node(name)
		if n == nil {
			return fmt.Errorf("Error from server (NotFound): nodes %q not found", name)
		}
		n.Version = st.next()
		for _, word := range r.words[2:] {
			text, remove := strings.CutSuffix(word, "-")
			pair, effect, _ := strings.Cut(text, ":")
			key, value, _ := strings.Cut(pair, "=")
			same := func(t taint) bool { return t.Key == key && (t.Effect == effect || remove && effect == "") }
			had := slices.ContainsFunc(n.Taints, same)
			switch {
			case remove && !had:
				return fmt.Errorf("error: taint %q not found", text)
			case !remove && had && !is(r.flags, "overwrite"):
				return fmt.Errorf("error: node %s already has %s taint(s) with same effect(s) and --overwrite is false", name, key)
			case !remove && !slices.Contains([]string{"NoSchedule", "PreferNoSchedule", "NoExecute"}, effect):
				return fmt.Errorf("error: invalid taint effect: %s, unsupported taint effect", effect)
			}
			n.Taints = slices.DeleteFunc(n.Taints, same)
			if done = "untainted"; !remove {
				n.Taints, done = append(n.Taints, taint{key, value, effect}), "tainted"
			}
		}
		return nil
	}); err != nil {
		return p.errorf("%v", err)
	}
	p.printf("node/%s %s\n", name, done)
	return 0
}

// repels reports whether the node has a taint of one of these effects that a pod does not tolerate.
func (n *nodeRecord) repels(p *podRecord, effects ...string) bool {
	tolerations, _ := p.Spec["tolerations"].([]any)
	return slices.ContainsFunc(n.Taints, func(t taint) bool {
		return slices.Contains(effects, t.Effect) && !slices.ContainsFunc(tolerations, func(v any) bool {
			m := stringMap(v)
			return (m["key"] == t.Key || m["key"] == "" && m["operator"] == "Exists") && (m["operator"] == "Exists" || m["value"] == t.Value) &&
				(m["effect"] == "" || m["effect"] == t.Effect)
		})
	})
}

// manifest reads a manifest from standard input or a file.
func (p *process) manifest(name string) ([]byte, error) {
	data, err := p.input(name)
	if err == nil && len(data) > 8<<20 {
		err = io.ErrShortBuffer
	}
	return data, err
}
