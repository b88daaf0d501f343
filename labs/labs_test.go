package labs

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/checks"
	"github.com/labctl/labctl/internal/config"
)

func catalogueIDs() []string {
	var ids []string
	for _, c := range checks.Catalogue() {
		ids = append(ids, c.ID)
	}
	return ids
}

func all(t *testing.T) []Exercise {
	t.Helper()
	exercises, err := List(catalogueIDs())
	if err != nil {
		t.Fatal(err)
	}
	return exercises
}

func TestEveryFileLoads(t *testing.T) {
	var got []string
	for _, e := range all(t) {
		got = append(got, e.Number+" "+e.Title)
	}
	want := []string{"01 Node addresses", "02 INTERNAL-IP", "03 Routes", "04 Pod network", "05 Overlay", "06 ClusterIP", "07 NodePort and the web demo"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A check that no exercise teaches would never be met by a learner.
func TestEveryCheckHasAnExercise(t *testing.T) {
	byCheck := ByCheck(all(t))
	for _, id := range catalogueIDs() {
		if len(byCheck[id]) == 0 {
			t.Errorf("check %q is in no exercise", id)
		}
	}
}

// The text says `verify`: it must be of this exercise, or name another one that has the check.
func TestTextsNameKnownChecks(t *testing.T) {
	exercises := all(t)
	byCheck := ByCheck(exercises)
	for _, e := range exercises {
		named := 0
		for i, code := range strings.Split(e.Body, "`") {
			prefix, _, dotted := strings.Cut(code, ".")
			if i%2 == 0 || !dotted || strings.ContainsAny(code, " /{\n") || !isArea(prefix) {
				continue
			}
			named++
			if len(byCheck[code]) == 0 {
				t.Errorf("exercise %s names %q, which is no check of any exercise", e.Number, code)
			}
		}
		if named == 0 {
			t.Errorf("exercise %s says of no check when it fails", e.Number)
		}
	}
}

func isArea(prefix string) bool {
	for _, id := range catalogueIDs() {
		if strings.HasPrefix(id, prefix+".") {
			return true
		}
	}
	return false
}

// The default lab is that of the study notes: its outputs stand in the texts as they were seen.
func TestDefaultLabsOutputs(t *testing.T) {
	tests := map[string][]string{
		"01": {
			"enp0s3           UP             10.0.2.15/24 metric 100 ",
			"enp0s8           UP             192.168.56.10/24 ",
		},
		"02": {
			"NAME   STATUS   ROLES           AGE   VERSION        INTERNAL-IP     EXTERNAL-IP\n" +
				"cp1    Ready    control-plane   21d   v1.34.3+k3s1   192.168.56.10   <none>\n" +
				"w1     Ready    <none>          21d   v1.34.3+k3s1   192.168.56.11   <none>\n" +
				"w2     Ready    <none>          21d   v1.34.3+k3s1   192.168.56.12   <none>\n```",
			"w1     Ready    <none>          21d   v1.34.3+k3s1   10.0.2.15       <none>\n```",
			"systemctl restart k3s-agent",
		},
		"03": {
			"default via 10.0.2.2 dev enp0s3 proto dhcp src 10.0.2.15 metric 100\n" +
				"10.0.2.0/24 dev enp0s3 proto kernel scope link src 10.0.2.15 metric 100\n" +
				"10.0.2.2 dev enp0s3 proto dhcp scope link src 10.0.2.15 metric 100\n" +
				"10.42.0.0/24 dev cni0 proto kernel scope link src 10.42.0.1\n" +
				"10.42.1.0/24 via 10.42.1.0 dev flannel.1 onlink\n" +
				"10.42.2.0/24 via 10.42.2.0 dev flannel.1 onlink\n" +
				"192.168.56.0/24 dev enp0s8 proto kernel scope link src 192.168.56.10\n```",
		},
		"04": {
			"flannel.1        UNKNOWN        10.42.0.0/32 ",
			"cni0             UP             10.42.0.1/24 ",
			"pod/web-79ffc79c64-wgc5c   1/1     Running   0          26h   10.42.1.8    w1\n" +
				"pod/web-79ffc79c64-7lczb   1/1     Running   0          70s   10.42.2.14   w2\n```",
			"ip addr del 10.42.1.1/24 dev cni0",
		},
		"05": {`"local":"192.168.56.10","link":"enp0s8"`, `"flannel.alpha.coreos.com/public-ip": "192.168.56.10"`},
		"06": {
			"demo          web-svc      ClusterIP   10.43.31.179     80/TCP\n",
			"kube-system   kube-dns     ClusterIP   10.43.0.10       53/UDP",
			"ip a | grep 10.43.31.179                # nothing\n",
			"sudo ip route add 10.43.0.0/16 via 192.168.56.10\n",
		},
		"07": {
			"hello-svc   NodePort   10.43.45.254     <none>        80:31885/TCP",
			"Endpoints:                10.42.1.10:8080,10.42.0.24:8080,10.42.2.12:8080 + 3 more...",
			"    curl -sS http://192.168.56.10:31885/\n    curl -sS http://192.168.56.11:31885/\n    curl -sS http://192.168.56.12:31885/\n",
		},
	}
	for _, e := range all(t) {
		rendered, err := Render(e, config.Default())
		if err != nil {
			t.Fatal(err)
		}
		if len(tests[e.Number]) == 0 {
			t.Errorf("exercise %s: no output is expected in it", e.Number)
		}
		for _, want := range tests[e.Number] {
			if !strings.Contains(rendered.Body, want) {
				t.Errorf("exercise %s lacks\n%s\nin\n%s", e.Number, want, rendered.Body)
			}
		}
	}
}

// Nothing of the default lab is left in the text for another one.
func TestTextsFollowTheLab(t *testing.T) {
	addr, prefix := netip.MustParseAddr, netip.MustParsePrefix
	small := config.Default()
	small.Network = config.Network{CIDR: prefix("172.20.0.0/20"), Host: addr("172.20.0.1")}
	small.K3s.Version, small.K3s.KubeProxyMode = "v1.35.0+k3s1", config.ProxyIPVS
	small.K3s.PodCIDR, small.K3s.ServiceCIDR = prefix("172.30.0.0/22"), prefix("172.31.8.0/24")
	small.Demo.NodePort, small.Demo.WebImage = 30001, "registry.example/web:1"
	small.Nodes = []config.Node{{Name: "solo", Role: config.RoleServer, Address: addr("172.20.1.7"), CPUs: 2, MemoryMiB: 2048}}
	for _, e := range all(t) {
		rendered, err := Render(e, small)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Join(append([]string{rendered.Goal, rendered.Body}, rendered.Hints...), "\n")
		for _, old := range []string{"192.168.", "10.42.", "10.43.", "31885", "v1.34.3", "nginx:1.27", "cp1", "w1", "w2", "k3s-agent", "{{", "<no value>", "%!", "invalid"} {
			if strings.Contains(text, old) {
				t.Errorf("exercise %s still says %q", e.Number, old)
			}
		}
		if !strings.Contains(text, "solo") {
			t.Errorf("exercise %s does not name the node", e.Number)
		}
	}
}

func TestGet(t *testing.T) {
	exercises := all(t)
	for _, number := range []string{"2", "02"} {
		if e, err := Get(exercises, number); err != nil || e.Title != "INTERNAL-IP" {
			t.Errorf("%q: %q, %v", number, e.Title, err)
		}
	}
	for _, number := range []string{"", "99", "002", "INTERNAL-IP"} {
		if e, err := Get(exercises[:2], number); err == nil || err.Error() != `there is no exercise "`+number+`": there are 01, 02` {
			t.Errorf("%q: %q, %v", number, e.Title, err)
		}
	}
}

const good = "---\nnumber: 02\ntitle: T\ngoal: G\nneeds: cluster\nchecks: [net.a, net.b]\nhints: [h]\n---\nBody {{.Name}}\n"

func TestLoad(t *testing.T) {
	got, err := load(fstest.MapFS{
		"02-x.md":   {Data: []byte(good)},
		"08-y-z.md": {Data: []byte(strings.ReplaceAll(strings.ReplaceAll(good, "02", "08"), "\n", "\r\n"))},
	}, []string{"net.a", "net.b"})
	if err != nil {
		t.Fatal(err)
	}
	want := Exercise{Number: "02", Title: "T", Goal: "G", Needs: Cluster, Checks: []string{"net.a", "net.b"}, Hints: []string{"h"}, Body: "Body {{.Name}}\n"}
	eight := want
	eight.Number = "08"
	if diff := cmp.Diff([]Exercise{want, eight}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string][]string{"net.a": {"02", "08"}, "net.b": {"02", "08"}}, ByCheck(got)); diff != "" {
		t.Error(diff)
	}
}

func TestLoadRefuses(t *testing.T) {
	replace := func(old, new string) fstest.MapFS {
		if !strings.Contains(good, old) {
			t.Fatalf("nothing to replace: %q", old)
		}
		return fstest.MapFS{"02-x.md": {Data: []byte(strings.Replace(good, old, new, 1))}}
	}
	tests := map[string]struct {
		files fstest.MapFS
		want  string
	}{
		"no files":          {fstest.MapFS{}, "there are no exercises"},
		"file name":         {fstest.MapFS{"2-X.md": {Data: []byte(good)}}, "2-X.md: an exercise's file is called NN-name.md, such as 02-internal-ip.md"},
		"no front matter":   {fstest.MapFS{"02-x.md": {Data: []byte("# T\n")}}, "02-x.md: no front matter: the file must begin with YAML between two lines of three dashes"},
		"open front matter": {fstest.MapFS{"02-x.md": {Data: []byte("---\nnumber: 02\n")}}, "02-x.md: no front matter: the file must begin with YAML between two lines of three dashes"},
		"two of a number": {fstest.MapFS{"02-x.md": {Data: []byte(good)}, "02-y.md": {Data: []byte(good)}},
			"02-y.md: number 02 is already 02-x.md's"},
		"number":            {replace("number: 02", "number: 03"), `02-x.md:2: number "03" does not fit the file's name, which says 02`},
		"no number":         {replace("number: 02\n", ""), `02-x.md: number "" does not fit the file's name, which says 02`},
		"unknown field":     {replace("hints:", "hint:"), "02-x.md:7: unknown field \"hint\": did you mean \"hints\"?"},
		"title":             {replace("title: T\n", ""), "02-x.md: title must be one line of text"},
		"goal":              {replace("goal: G", "goal: ' '"), "02-x.md:4: goal must be one line of text"},
		"needs":             {replace("needs: cluster", "needs: pods"), `02-x.md:5: needs "pods" is unknown: write machines, cluster or demo`},
		"no checks":         {replace("checks: [net.a, net.b]", "checks: []"), "02-x.md:6: the exercise names no checks: nothing would prove it"},
		"unknown check":     {replace("net.b", "net.c"), `02-x.md:6: check "net.c" is unknown: there are net.a, net.b`},
		"check twice":       {replace("net.b", "net.a"), `02-x.md:6: check "net.a" is listed twice`},
		"no hints":          {replace("hints: [h]\n", ""), "02-x.md: the exercise needs hints, from gentle to explicit, none of them empty"},
		"empty hint":        {replace("[h]", "[h, '']"), "02-x.md:7: the exercise needs hints, from gentle to explicit, none of them empty"},
		"no text":           {replace("Body {{.Name}}", ""), "02-x.md: there is no text below the front matter"},
		"wrong type, once":  {replace("[net.a, net.b]", "net.a"), `02-x.md:6: checks must be a list (- value), not the text "net.a"`},
		"not YAML":          {replace("title: T", "title: ["), "02-x.md:3: not YAML here or just above: did not find expected ',' or ']'"},
		"several, by files": {fstest.MapFS{"x.md": {Data: []byte(good)}, "03-y.md": {Data: []byte(good)}}, "03-y.md:2: number \"02\" does not fit the file's name, which says 03\nx.md: an exercise's file is called NN-name.md, such as 02-internal-ip.md"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := load(test.files, []string{"net.a", "net.b"})
			if err == nil {
				t.Fatal("accepted")
			}
			want := test.want
			if name == "unknown field" { // the field that was meant is missing, too
				want = "02-x.md: the exercise needs hints, from gentle to explicit, none of them empty\n" + want
			}
			if diff := cmp.Diff(want, err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRenderRefuses(t *testing.T) {
	for _, text := range []string{"{{.Nobody}}", "{{", "{{index .Agents 9}}"} {
		for name, e := range map[string]Exercise{"goal": {Number: "02", Goal: text}, "body": {Number: "02", Body: text}, "hint": {Number: "02", Hints: []string{text}}} {
			if _, err := Render(e, config.Default()); err == nil || !strings.HasPrefix(err.Error(), `exercise "02": template: `+name) {
				t.Errorf("%s %q: error %v", name, text, err)
			}
		}
	}
}

// docs/concepts.md has a row for each check of each exercise, and no other rows.
func TestConceptsAreTruthful(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "docs", "concepts.md"))
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, e := range all(t) {
		for _, id := range e.Checks {
			want = append(want, id+" "+e.Number)
		}
	}
	for line := range strings.Lines(string(data)) {
		if cells := strings.Split(line, " | "); len(cells) == 4 && strings.HasPrefix(cells[2], "`") {
			got = append(got, strings.Trim(cells[2], "`")+" "+strings.TrimRight(cells[3], " |\n"))
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-exercises +docs/concepts.md\n%s", diff)
	}
}
