package sim

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/labctl/labctl/internal/yaml"
)

// k3sProgram is the k3s binary under the name it was called by.
func k3sProgram(name string) program {
	return func(ctx context.Context, p *process) int {
		version, err := p.guest.k3sVersion("/usr/local/bin/k3s")
		if err != nil {
			return p.fail("%v", err)
		}
		if name == "kubectl" {
			return runKubectl(ctx, p)
		}
		switch {
		case len(p.args) == 1 && (p.args[0] == "--version" || p.args[0] == "-v"):
			p.printf("k3s version %s (%s)\ngo version go1.24.11\n", version, hexOf(8, version))
			return 0
		case len(p.args) > 0 && p.args[0] == "kubectl":
			inner := *p
			inner.name, inner.args = "kubectl", p.args[1:]
			return runKubectl(ctx, &inner)
		}
		return p.unknown(strings.Join(p.args, " "))
	}
}

// request is a parsed kubectl command line.
type request struct {
	namespace string
	all       bool // -A
	output    string
	selector  string
	flags     map[string]string
	words     []string
	after     []string // what follows --
}

// kubectlFlags are the flags that each command knows. Of those that only change when or how something is done, and not what, the model
// makes nothing.
func kubectlFlags(verb string) (flags string, known bool) {
	const (
		every  = "n= namespace= kubeconfig= request-timeout= v= "
		choose = "A all-namespaces l= selector= "
	)
	flags, known = map[string]string{
		"version":  "client",
		"get":      choose + "o= output= ignore-not-found= no-headers sort-by= raw=",
		"describe": choose,
		"apply":    "f= filename= dry-run=",
		"create":   "f= filename= rule=",
		"delete":   choose + "f= filename= all ignore-not-found= wait= timeout= now force grace-period=",
		"rollout":  choose + "timeout=",
		"exec":     "i t c= container=",
		"logs":     "c= container= tail=",
		"scale":    choose + "replicas=",
		"patch":    "p= patch= type=",
		"label":    choose + "overwrite",
		"annotate": choose + "overwrite",
		"taint":    "overwrite",
		"cordon":   "",
		"uncordon": "",
	}[verb]
	return every + flags, known
}

// parseKubectl reads a command line. The command is its first word, wherever that stands among the flags.
func parseKubectl(args []string) (verb string, r *request, err error) {
	r = &request{namespace: "default"}
	if i := slices.Index(args, "--"); i >= 0 {
		args, r.after = args[:i], args[i+1:]
	}
	// These are switches that may be given a value by "=".
	for i, a := range args {
		if a == "--ignore-not-found" || a == "--wait" {
			args = slices.Clone(args)
			args[i] = a + "=true"
		}
	}
	if verb, err = kubectlVerb(args); err != nil {
		return "", nil, err
	}
	flags, known := kubectlFlags(verb)
	if !known {
		return "", nil, fmt.Errorf("the SIMULATED kubectl does not know the command %q", verb)
	}
	given, words, err := options(args, flags)
	if err != nil {
		return "", nil, err
	}
	if len(r.after) > 0 && verb != "exec" {
		return "", nil, fmt.Errorf("the SIMULATED kubectl %s knows nothing after --", verb)
	}
	r.flags, r.words = given, words[1:]
	r.output = given["o"] + given["output"]
	r.selector = given["l"] + given["selector"]
	r.all = is(given, "A", "all-namespaces")
	if ns := given["n"] + given["namespace"]; ns != "" {
		r.namespace = ns
	}
	return verb, r, selectorProblem(r.selector)
}

// kubectlVerb is the first word that is neither a flag nor the value of one that may stand before a command.
func kubectlVerb(args []string) (string, error) {
	flags, _ := kubectlFlags("")
	for i := 0; i < len(args); i++ {
		if !strings.HasPrefix(args[i], "-") {
			return args[i], nil
		}
		name := strings.TrimLeft(args[i], "-")
		if slices.Contains(strings.Fields(flags), name+"=") {
			i++
		}
	}
	return "", errors.New("the SIMULATED kubectl needs a command")
}

// selectorProblem refuses what matchesSelector does not know.
func selectorProblem(selector string) error {
	if selector == "" || regexp.MustCompile(`^[\w./-]+((!=|==?)[\w.-]*)?(,[\w./-]+((!=|==?)[\w.-]*)?)*$`).MatchString(selector) {
		return nil
	}
	return fmt.Errorf("the SIMULATED kubectl does not know the selector %q", selector)
}

func (p *process) errorf(format string, args ...any) int {
	fmt.Fprintf(p.stderr, format+"\n", args...)
	return 1
}

// runKubectl talks to the API server that the kubeconfig names.
func runKubectl(ctx context.Context, p *process) int {
	verb, r, err := parseKubectl(p.args)
	if err != nil {
		return p.errorf("error: %v\nSee 'kubectl --help' for usage.", err)
	}
	version, err := p.guest.k3sVersion("/usr/local/bin/k3s")
	if err != nil {
		return p.errorf("error: %v", err)
	}
	if verb == "version" && is(r.flags, "client") {
		p.printf("Client Version: %s\nKustomize Version: v5.7.1\n", version)
		return 0
	}
	c, status := p.api(r)
	if c == nil {
		return status
	}
	switch verb {
	case "version":
		p.printf("Client Version: %s\nKustomize Version: v5.7.1\nServer Version: %s\n", version, c.state.Settings.Version)
		return 0
	case "get":
		return p.kubectlGet(c, r)
	case "apply":
		return p.kubectlApply(c, r)
	case "create":
		return p.kubectlCreate(c, r)
	case "delete":
		return p.kubectlDelete(c, r)
	case "rollout":
		return p.kubectlRollout(ctx, c, r)
	case "exec":
		return p.kubectlExec(ctx, c, r)
	case "logs":
		return p.kubectlLogs(c, r)
	case "scale":
		return p.kubectlScale(c, r)
	case "patch":
		return p.kubectlPatch(c, r)
	case "label", "annotate":
		return p.kubectlLabel(c, r, verb)
	case "describe":
		return p.kubectlDescribe(c, r)
	case "taint":
		return p.kubectlTaint(c, r)
	case "cordon", "uncordon":
		return p.kubectlCordon(c, r, verb == "cordon")
	}
	return p.errorf("error: the SIMULATED kubectl does not know the command %q", verb) // it is in kubectlFlags
}

// api finds the cluster by the kubeconfig, as k3s's kubectl does: --kubeconfig, KUBECONFIG, k3s's own, ~/.kube/config.
func (p *process) api(r *request) (*cluster, int) {
	const own = "/etc/rancher/k3s/k3s.yaml"
	name := r.flags["kubeconfig"]
	if name == "" {
		name = p.env.Get("KUBECONFIG").String()
	}
	if name == "" {
		name = own
		if _, err := p.guest.files.stat(own, true); err != nil {
			name = path.Join(p.env.Get("HOME").String(), ".kube/config")
		}
	}
	data, err := p.session.read(p.guest, p.path(name))
	if errors.Is(err, os.ErrNotExist) {
		return nil, p.errorf("The connection to the server localhost:8080 was refused - did you specify the right host or port?")
	}
	if err != nil {
		if name == own {
			fmt.Fprintf(p.stderr, "WARN[0000] Unable to read %s, please start server with --write-kubeconfig-mode or --write-kubeconfig-group to modify kube config permissions\n", own)
		}
		return nil, p.errorf("error: error loading config file \"%s\": open %s: %s", name, name, strings.ToLower(reason(err)))
	}
	var config struct {
		Clusters []struct {
			Cluster struct {
				CA     string `yaml:"certificate-authority-data"`
				Server string `yaml:"server"`
			} `yaml:"cluster"`
		} `yaml:"clusters"`
	}
	if err := yaml.Unmarshal(data, &config); err != nil || len(config.Clusters) == 0 {
		return nil, p.errorf("error: error loading config file \"%s\": no cluster", name)
	}
	u, err := url.Parse(config.Clusters[0].Cluster.Server)
	if err != nil {
		return nil, p.errorf("error: %v", err)
	}
	to, err := p.target(u)
	if err != nil {
		return nil, p.errorf("Unable to connect to the server: dial tcp: lookup %s: no such host", u.Hostname())
	}
	a, err := p.guest.connect(p.guest.open("tcp", p.session.pod, to))
	switch {
	case errors.Is(err, errLost):
		return nil, p.errorf("Unable to connect to the server: dial tcp %s: i/o timeout", to)
	case err != nil || a.api == nil:
		return nil, p.errorf("The connection to the server %s was refused - did you specify the right host or port?", u.Host)
	}
	ca, err := a.api.files.read("root", tlsFolder+"server-ca.crt")
	if err != nil || base64.StdEncoding.EncodeToString(ca) != config.Clusters[0].Cluster.CA {
		return nil, p.errorf("Unable to connect to the server: tls: failed to verify certificate: x509: certificate signed by unknown authority")
	}
	c := a.api.cluster()
	if c == nil {
		return nil, p.errorf("The connection to the server %s was refused - did you specify the right host or port?", u.Host)
	}
	changeable := *c
	return &changeable, 0
}

// selected are the objects that KIND[,KIND…] [NAME…] or KIND/NAME… with the flags stand for.
func (c *cluster) selected(r *request) (groups [][]item, named bool, err error) {
	type want struct {
		kind  kind
		names []string
	}
	var wants []want
	if len(r.words) == 0 {
		return nil, false, errors.New("error: You must specify the type of resource to get. Use \"kubectl api-resources\" for a complete list of supported resources.")
	}
	find := func(name string) (kind, error) {
		k, ok := kindNamed(name)
		if !ok {
			return k, fmt.Errorf("error: the server doesn't have a resource type %q", name)
		}
		return k, nil
	}
	if strings.Contains(r.words[0], "/") {
		for _, w := range r.words {
			kindName, name, _ := strings.Cut(w, "/")
			k, err := find(kindName)
			if err != nil {
				return nil, false, err
			}
			wants = append(wants, want{k, []string{name}})
		}
	} else {
		for _, name := range strings.Split(r.words[0], ",") {
			k, err := find(name)
			if err != nil {
				return nil, false, err
			}
			wants = append(wants, want{k, r.words[1:]})
		}
	}
	ignore := r.flags["ignore-not-found"] == "true"
	for _, w := range wants {
		var group []item
		all := c.items(w.kind)
		matches := func(i item) bool { return !w.kind.Namespaced || r.all || i.namespace == r.namespace }
		for _, i := range all {
			if len(w.names) == 0 && matches(i) && matchesSelector(r.selector, i.labels) {
				group = append(group, i)
			}
		}
		for _, name := range w.names {
			named = true
			at := slices.IndexFunc(all, func(i item) bool { return i.name == name && matches(i) })
			if at >= 0 {
				group = append(group, all[at])
			} else if !ignore {
				return nil, false, fmt.Errorf("Error from server (NotFound): %s %q not found", w.kind.plural(), name)
			}
		}
		if len(w.names) == 0 {
			slices.SortStableFunc(group, func(a, b item) int {
				if c := strings.Compare(a.namespace, b.namespace); c != 0 {
					return c
				}
				return strings.Compare(a.name, b.name)
			})
		}
		groups = append(groups, group)
	}
	return groups, named && len(wants) == 1 && len(wants[0].names) == 1, nil
}

// matchesSelector knows key=value, key!=value and key, joined by commas.
func matchesSelector(selector string, labels map[string]string) bool {
	for _, term := range strings.Split(selector, ",") {
		if term == "" {
			continue
		}
		if k, v, ok := strings.Cut(term, "!="); ok {
			if labels[k] == v {
				return false
			}
			continue
		}
		k, v, ok := strings.Cut(strings.ReplaceAll(term, "==", "="), "=")
		have, there := labels[k]
		if !there || ok && have != v {
			return false
		}
	}
	return true
}

func (p *process) kubectlGet(c *cluster, r *request) int {
	if raw, ok := r.flags["raw"]; ok {
		switch name, query, _ := strings.Cut(raw, "?"); {
		case (name == "/readyz" || name == "/healthz" || name == "/livez") && strings.HasPrefix(query, "verbose"):
			p.printf("[+]ping ok\n[+]log ok\n[+]etcd ok\n[+]informer-sync ok\n%s check passed\n", name[1:])
		case name == "/readyz" || name == "/healthz" || name == "/livez":
			p.printf("ok")
		default:
			return p.errorf("Error from server (NotFound): the server could not find the requested resource")
		}
		return 0
	}
	groups, single, err := c.selected(r)
	if err != nil {
		return p.errorf("%v", err)
	}
	for _, g := range groups {
		if len(g) > 0 && g[0].kind.Name == "Endpoints" {
			fmt.Fprintln(p.stderr, "Warning: v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice")
		}
	}
	if by := r.flags["sort-by"]; by != "" {
		for _, g := range groups {
			slices.SortStableFunc(g, func(a, b item) int {
				x, _ := field(a.body, by) // without the field it comes first
				y, _ := field(b.body, by)
				return strings.Compare(x, y)
			})
		}
	}
	all := slices.Concat(groups...)
	switch output := r.output; {
	case output == "json" || output == "yaml":
		var v any
		switch {
		case single && len(all) == 0:
			return 0
		case single:
			v = all[0].body
		default:
			bodies := []any{}
			for _, i := range all {
				bodies = append(bodies, i.body)
			}
			v = map[string]any{"apiVersion": "v1", "kind": "List", "items": bodies, "metadata": map[string]any{"resourceVersion": ""}}
		}
		data, err := indented(v)
		if err == nil && output == "yaml" {
			var plain any
			if err = json.Unmarshal(data, &plain); err == nil {
				data, err = yaml.Marshal(plain)
			}
		}
		if err != nil {
			return p.errorf("error: %v", err)
		}
		if _, err := p.stdout.Write(data); err != nil {
			return 1
		}
	case output == "name":
		for _, i := range all {
			p.printf("%s\n", i.kind.qualified(i.name))
		}
	case strings.HasPrefix(output, "jsonpath="):
		return p.jsonpath(strings.Trim(strings.TrimPrefix(output, "jsonpath="), "'"), all, single)
	case strings.HasPrefix(output, "custom-columns="):
		return p.customColumns(strings.TrimPrefix(output, "custom-columns="), all)
	case output == "" || output == "wide":
		p.tables(c, r, groups)
	default:
		return p.errorf("error: unable to match a printer suitable for the output format %q", output)
	}
	return 0
}

func (p *process) tables(c *cluster, r *request, groups [][]item) {
	many := len(groups) > 1
	shown := 0
	for _, group := range groups {
		if len(group) == 0 {
			continue
		}
		if shown++; shown > 1 {
			p.printf("\n")
		}
		short, wide, _ := strings.Cut(headings(group[0].kind.Name), " | ")
		head := strings.Fields(short)
		columns := len(head)
		if r.output == "wide" {
			head = append(head, strings.Fields(wide)...)
			columns = len(head)
		}
		if r.all && group[0].kind.Namespaced {
			head = append([]string{"NAMESPACE"}, head...)
		}
		var rows [][]string
		for _, i := range group {
			row := c.row(i)[:columns]
			if many {
				row[0] = i.kind.qualified(row[0])
			}
			if r.all && i.kind.Namespaced {
				row = append([]string{i.namespace}, row...)
			}
			rows = append(rows, row)
		}
		text := table(head, rows)
		if is(r.flags, "no-headers") {
			_, text, _ = strings.Cut(text, "\n")
		}
		p.printf("%s", text)
	}
	if shown == 0 && r.flags["ignore-not-found"] != "true" {
		where := fmt.Sprintf("No resources found in %s namespace.", r.namespace)
		if r.all {
			where = "No resources found"
		}
		fmt.Fprintln(p.stderr, where)
	}
}

// jsonpath knows a single path of fields and indices: {.items[0].metadata.name}.
func (p *process) jsonpath(expression string, all []item, single bool) int {
	inner, ok := strings.CutPrefix(expression, "{.")
	inner, closed := strings.CutSuffix(inner, "}")
	if !ok || !closed || strings.ContainsAny(inner, "{}*?@ ") {
		return p.errorf("error: the SIMULATED kubectl does not know the jsonpath %q", expression)
	}
	var bodies []any
	for _, i := range all {
		bodies = append(bodies, i.body)
	}
	var v any = map[string]any{"items": bodies}
	if single && len(bodies) == 1 {
		v = bodies[0]
	}
	data, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(data, &v)
	}
	if err != nil {
		return p.errorf("error: %v", err)
	}
	if v, err = follow(v, inner); err != nil {
		return p.errorf("error: error executing jsonpath %q: %v", expression, err)
	}
	switch v := v.(type) {
	case nil:
	case string:
		p.printf("%s", v)
	default:
		data, err := json.Marshal(v)
		if err != nil {
			return p.errorf("error: %v", err)
		}
		p.printf("%s", data)
	}
	return 0
}

func (p *process) kubectlRollout(ctx context.Context, c *cluster, r *request) int {
	if len(r.words) < 2 || r.words[0] != "status" && r.words[0] != "restart" {
		return p.errorf("error: the SIMULATED kubectl does not know rollout %s", strings.Join(r.words, " "))
	}
	verb := r.words[0]
	r.words = r.words[1:]
	groups, _, err := c.selected(r)
	if err != nil {
		return p.errorf("%v", err)
	}
	for _, i := range slices.Concat(groups...) {
		if i.kind.Name != "Deployment" && i.kind.Name != "DaemonSet" {
			return p.errorf("error: no rollouter has been implemented for %q", i.kind.Name)
		}
	}
	limit := notifyLimit
	if v, ok := r.flags["timeout"]; ok {
		if limit, err = duration(v); err != nil {
			return p.errorf("error: %v", err)
		}
	}
	deadline := time.Now().Add(limit)
	for _, i := range slices.Concat(groups...) {
		if verb == "restart" {
			if err := c.change(func(st *clusterState) error {
				o := st.object(i.kind.Name, i.namespace, i.name)
				if o == nil {
					return nil
				}
				set(o.Body, stamped(time.Now()), "spec", "template", "metadata", "annotations", "kubectl.kubernetes.io/restartedAt")
				o.Generation, o.Version = o.Generation+1, st.next()
				return nil
			}); err != nil {
				return p.errorf("error: %v", err)
			}
			p.printf("%s restarted\n", i.kind.qualified(i.name))
			continue
		}
		for {
			g, err := p.session.guest()
			if err != nil {
				return p.errorf("error: %v", err)
			}
			now := *p
			now.guest = g
			c, status := now.api(r)
			if c == nil {
				return status
			}
			o := c.state.object(i.kind.Name, i.namespace, i.name)
			if o == nil {
				return p.errorf("Error from server (NotFound): %s %q not found", i.kind.plural(), i.name)
			}
			s := c.workloadStatus(o)
			want, have := replicas(o), 0
			if o.Kind == "DaemonSet" {
				want, _ = s["desiredNumberScheduled"].(int)
				have, _ = s["numberAvailable"].(int)
			} else {
				all, _ := s["replicas"].(int)
				updated, _ := s["updatedReplicas"].(int)
				if have, _ = s["availableReplicas"].(int); updated < want || all > updated {
					have = -1 // old ones are still there
				}
			}
			if have >= want {
				p.printf("%s %q successfully rolled out\n", strings.ToLower(strings.ReplaceAll(o.Kind, "DaemonSet", "daemon set")), o.Name)
				break
			}
			if time.Now().After(deadline) {
				return p.errorf("error: timed out waiting for the condition")
			}
			if wait(ctx, 20*time.Millisecond) != nil {
				return 1
			}
		}
	}
	return 0
}

func (c *cluster) podStarted(p *podRecord) bool {
	at, ok := c.podStart(p)
	return ok && !c.now.Before(at)
}

func (p *process) kubectlExec(ctx context.Context, c *cluster, r *request) int {
	command := r.after
	if len(command) == 0 {
		return p.errorf("error: you must specify at least one command for the container")
	}
	pod, host, status := p.kubelet(c, r)
	if pod == nil {
		return status
	}
	s := &session{world: p.session.world, disk: host.disk, user: "root", pod: pod, posix: true,
		env: map[string]string{"PATH": securePath, "HOME": "/root", "HOSTNAME": pod.Name, "KUBERNETES_SERVICE_HOST": c.state.Settings.serviceIP(1)}}
	if podProgram(pod, path.Base(command[0])) == nil {
		return p.errorf("error: Internal error occurred: error executing command in container: failed to exec in container: failed to start exec \"%s\": OCI runtime exec failed: "+
			"exec failed: unable to start container process: exec: %q: executable file not found in $PATH", hexOf(64, pod.UID), command[0])
	}
	var stdin = p.stdin
	if !is(r.flags, "i") {
		stdin = nil
	}
	if status = s.runArgs(ctx, command, "/", stdin, p.stdout, p.stderr); status != 0 {
		fmt.Fprintf(p.stderr, "command terminated with exit code %d\n", status)
	}
	return status
}

func (p *process) kubectlLogs(c *cluster, r *request) int {
	pod, _, status := p.kubelet(c, r)
	if pod == nil {
		return status
	}
	start, _ := c.podStart(pod)
	var lines []string
	for _, ctr := range pod.containers() {
		switch repository, _ := imageOf(ctr); repository {
		case "nginx":
			lines = append(lines, "/docker-entrypoint.sh: Configuration complete; ready for start up",
				start.UTC().Format("2006/01/02 15:04:05")+" [notice] 1#1: start worker processes")
		case "traefik/whoami":
			lines = append(lines, start.UTC().Format("2006/01/02 15:04:05")+" Starting up on port 8080")
		default:
			lines = append(lines, "SIMULATED "+repository)
		}
	}
	if v, ok := r.flags["tail"]; ok {
		n := 0
		if _, err := fmt.Sscan(v, &n); err != nil {
			return p.errorf("error: invalid argument %q for \"--tail\" flag", v)
		}
		lines = lines[max(0, len(lines)-n):]
	}
	for _, l := range lines {
		p.printf("%s\n", l)
	}
	return 0
}
