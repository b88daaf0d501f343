package labs

import (
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/checks"
	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/internal/fault"
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
	known := Known{Checks: catalogueIDs()}
	for _, f := range fault.Catalogue() {
		known.Faults = append(known.Faults, f.ID)
	}
	exercises, err := List(known)
	if err != nil {
		t.Fatal(err)
	}
	return exercises
}

func TestEveryFileLoads(t *testing.T) {
	var got []string
	for _, e := range all(t) {
		got = append(got, e.Number+" "+e.Title.EN+" / "+e.Title.KO)
	}
	want := []string{
		"01 Node addresses / 노드 주소", "02 INTERNAL-IP / INTERNAL-IP", "03 Routes / 라우팅", "04 Pod network / Pod 네트워크", "05 Overlay / 오버레이",
		"06 ClusterIP / ClusterIP", "07 kube-proxy with iptables / kube-proxy와 iptables", "08 kube-proxy with IPVS / kube-proxy와 IPVS",
		"09 Balancing and conntrack / 분산과 conntrack", "10 NodePort and the web demo / NodePort와 web 데모", "11 LoadBalancer / LoadBalancer",
		"12 DNS / DNS", "13 The way of a packet / 패킷이 지나는 길",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// exampleLabs are the lab of the study notes, and others that share as little as possible with it.
func exampleLabs() map[string]*config.Lab {
	addr, prefix := netip.MustParseAddr, netip.MustParsePrefix
	small := config.Default()
	small.Network = config.Network{CIDR: prefix("172.20.0.0/20"), Host: addr("172.20.0.1")}
	small.K3s.Version, small.K3s.KubeProxyMode = "v1.35.0+k3s1", config.ProxyIPVS
	small.K3s.PodCIDR, small.K3s.ServiceCIDR = prefix("172.30.0.0/22"), prefix("172.31.8.0/24")
	small.Demo.NodePort, small.Demo.WebImage = 30001, "registry.example/web:1"
	small.Nodes = []config.Node{{Name: "solo", Role: config.RoleServer, Address: addr("172.20.1.7"), CPUs: 2, MemoryMiB: 2048}}
	two := config.Default()
	two.Nodes = two.Nodes[:2]
	return map[string]*config.Lab{"default": config.Default(), "small": small, "two": two}
}

// What is typed and printed is the same in both languages, whatever the lab; and every block of the kind console begins with a command.
func TestLanguagesHaveTheSameCommands(t *testing.T) {
	for name, lab := range exampleLabs() {
		for _, e := range all(t) {
			var steps [][]Step
			for _, l := range Languages() {
				page, err := Render(e, l, lab)
				if err != nil {
					t.Fatal(err)
				}
				if len(page.Hints) < 3 {
					t.Errorf("exercise %s: %d hints in %q", e.Number, len(page.Hints), l)
				}
				steps = append(steps, Steps(page.Body))
				kind := ""
				for line := range strings.Lines(page.Body) {
					line = strings.TrimSuffix(line, "\n")
					if kind == console && !prompt.MatchString(line) {
						t.Errorf("lab %q, exercise %s: a block begins with %q, which is no command", name, e.Number, line)
					}
					kind, _ = strings.CutPrefix(line, fence)
					if kind == line {
						kind = ""
					}
				}
			}
			if diff := cmp.Diff(steps[0], steps[1]); diff != "" {
				t.Errorf("lab %q, exercise %s: -en +ko\n%s", name, e.Number, diff)
			}
			if len(steps[0]) < 4 {
				t.Errorf("lab %q, exercise %s has %d commands only", name, e.Number, len(steps[0]))
			}
		}
	}
}

// Each text is in its own language: a translation that was forgotten would be in the other one.
func TestLanguagesAreThemselves(t *testing.T) {
	hangul := regexp.MustCompile(`\p{Hangul}`)
	for _, e := range all(t) {
		for i, text := range append([]Text{e.Goal}, e.Hints...) {
			if hangul.MatchString(text.EN) || !hangul.MatchString(text.KO) {
				t.Errorf("exercise %s: text %d: %+v", e.Number, i, text)
			}
		}
		if hangul.MatchString(e.Body.EN) {
			t.Errorf("exercise %s: Korean in the English text", e.Number)
		}
		inBlock := false
		for _, paragraph := range strings.Split(e.Body.KO, "\n\n") {
			fences := strings.Count("\n"+paragraph, "\n"+fence)
			if !inBlock && fences == 0 && !hangul.MatchString(paragraph) {
				t.Errorf("exercise %s: no Korean in %q", e.Number, paragraph)
			}
			inBlock = inBlock != (fences%2 == 1)
		}
	}
}

// What one reads has a heading for every part, in both languages.
func TestEveryTextHasItsParts(t *testing.T) {
	parts := map[Language][]string{
		English: {"## In plain words", "## Look", "## Questions", "## Break it", "## Mend it"},
		Korean:  {"## 쉽게 말하면", "## 살펴보기", "## 질문", "## 고장 내기", "## 고치기"},
	}
	for _, e := range all(t) {
		for l, want := range parts {
			var got []string
			for line := range strings.Lines(e.Body.In(l)) {
				if strings.HasPrefix(line, "## ") {
					got = append(got, strings.TrimSpace(line))
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("exercise %s, %s:\n%s", e.Number, l, diff)
			}
		}
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

// The faults say which exercise they belong to, and the exercise lists them.
func TestFaultsBelongToTheirExercise(t *testing.T) {
	var want, got []string
	for _, f := range fault.Catalogue() {
		want = append(want, f.Exercise+" "+f.ID)
	}
	for _, e := range all(t) {
		for _, name := range e.Faults {
			got = append(got, e.Number+" "+name)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-internal/fault +exercises\n%s", diff)
	}
}

// The text says `verify`: it must be of this exercise, or name another one that has the check.
func TestTextsNameKnownChecks(t *testing.T) {
	exercises := all(t)
	byCheck := ByCheck(exercises)
	titles := map[string]string{}
	for _, c := range checks.Catalogue() {
		titles[c.ID] = c.Title
	}
	for _, e := range exercises {
		named := 0
		for _, code := range codes(e.Body.EN + e.Body.KO) {
			prefix, _, dotted := strings.Cut(code, ".")
			if !dotted || strings.ContainsAny(code, " /{\n") || !isArea(prefix) {
				continue
			}
			named++
			if len(byCheck[code]) == 0 {
				t.Errorf("exercise %s names %q, which is no check of any exercise", e.Number, code)
			}
		}
		failing := regexp.MustCompile(`✗ fail +([a-z0-9.-]+) +(.*)`).FindAllStringSubmatch(e.Body.EN, -1)
		for _, m := range failing {
			if len(byCheck[m[1]]) == 0 || titles[m[1]] != m[2] {
				t.Errorf("exercise %s: check %q is not called %q, or of no exercise", e.Number, m[1], m[2])
			}
		}
		if named+len(failing) == 0 {
			t.Errorf("exercise %s says of no check when it fails", e.Number)
		}
	}
}

// codes are the spans of code in a text's paragraphs.
func codes(text string) []string {
	var found []string
	for _, m := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	return found
}

func isArea(prefix string) bool {
	for _, id := range catalogueIDs() {
		if strings.HasPrefix(id, prefix+".") {
			return true
		}
	}
	return false
}

// The default lab is that of the study notes: its outputs stand in the texts as they were seen there.
func TestDefaultLabsOutputs(t *testing.T) {
	tests := map[string][]string{
		"01": {
			"enp0s3           UP             10.0.2.15/24 metric 100 ",
			"enp0s8           UP             192.168.56.10/24 ",
		},
		"02": {
			"NAME   STATUS   ROLES           AGE   VERSION        INTERNAL-IP     EXTERNAL-IP   OS-IMAGE             KERNEL-VERSION       CONTAINER-RUNTIME\n" +
				"cp1    Ready    control-plane   21d   v1.34.3+k3s1   192.168.56.10   <none>        Ubuntu 22.04.5 LTS   5.15.0-164-generic   containerd://2.1.5-k3s1\n" +
				"w1     Ready    <none>          21d   v1.34.3+k3s1   192.168.56.11   <none>        Ubuntu 22.04.5 LTS   5.15.0-164-generic   containerd://2.1.5-k3s1\n" +
				"w2     Ready    <none>          21d   v1.34.3+k3s1   192.168.56.12   <none>        Ubuntu 22.04.5 LTS   5.15.0-164-generic   containerd://2.1.5-k3s1\n",
			"w1     Ready    <none>          21d   v1.34.3+k3s1   10.0.2.15       <none>",
			"systemctl restart k3s-agent",
		},
		"03": {
			"default via 10.0.2.2 dev enp0s3 proto dhcp src 10.0.2.15 metric 100\n" +
				"10.0.2.0/24 dev enp0s3 proto kernel scope link src 10.0.2.15 metric 100\n" +
				"10.0.2.2 dev enp0s3 proto dhcp scope link src 10.0.2.15 metric 100\n",
			"10.42.0.0/24 dev cni0 proto kernel scope link src 10.42.0.1\n" +
				"10.42.1.0/24 via 10.42.1.0 dev flannel.1 onlink\n" +
				"10.42.2.0/24 via 10.42.2.0 dev flannel.1 onlink\n",
			"192.168.56.0/24 dev enp0s8 proto kernel scope link src 192.168.56.10\n",
		},
		"04": {
			"NAME                  READY   UP-TO-DATE   AVAILABLE   AGE   CONTAINERS   IMAGES              SELECTOR\n" +
				"deployment.apps/web   2/2     2            2           26h   nginx        nginx:1.27-alpine   app=web\n\n" +
				"NAME                       READY   STATUS    RESTARTS   AGE   IP           NODE   NOMINATED NODE   READINESS GATES\n",
			"pod/web-79ffc79c64-7lczb   1/1     Running   0          26h   10.42.1.14   w1     <none>           <none>\n",
			"service/web-svc   ClusterIP   10.43.31.179   <none>        80/TCP    26h   app=web\n",
			"ip addr del 10.42.1.1/24 dev cni0",
		},
		"05": {"vxlan id 1 local 192.168.56.10 dev enp0s8", `"flannel.alpha.coreos.com/public-ip": "192.168.56.10"`},
		"06": {
			"default       kubernetes       ClusterIP      10.43.0.1       <none>",
			"demo          web-svc          ClusterIP      10.43.31.179    <none>",
			"traefik          LoadBalancer   10.43.121.230   192.168.56.10,192.168.56.11,192.168.56.12   80:31300/TCP,443:31309/TCP   21d\n",
			"sudo ip route add 10.43.0.0/16 via 192.168.56.10\n",
		},
		"07": {"-d 10.43.31.179/32 -p tcp", "--to-destination 10.42.2.8:80"},
		"08": {"TCP  10.43.31.179:80 rr\n  -> 10.42.1.14:80                Masq    1      0          0\n"},
		"09": {"src=192.168.56.1 dst=192.168.56.10 sport=50512 dport=31885 src=10.42."},
		"10": {
			"hello-svc   NodePort   10.43.45.254   <none>        80:31885/TCP",
			":8080 + 3 more...\nSession Affinity:         None\nExternal Traffic Policy:  Cluster\n",
			"$ curl -sS http://192.168.56.10:31885/\n", "$ curl -sS http://192.168.56.11:31885/\n", "$ curl -sS http://192.168.56.12:31885/\n",
			`Error from server (AlreadyExists): namespaces "demo" already exists`,
		},
		"11": {"traefik   LoadBalancer   10.43.121.230   192.168.56.10,192.168.56.11,192.168.56.12   80:31300/TCP,443:31309/TCP   21d\n"},
		"12": {"kube-dns   ClusterIP   10.43.0.10   <none>        53/UDP,53/TCP,9153/TCP   21d\n"},
		"13": {"10.42.0.23 via 10.42.0.0 dev flannel.1 src 10.42.1.0 uid 1000\n"},
	}
	for _, e := range all(t) {
		page, err := Render(e, Korean, config.Default())
		if err != nil {
			t.Fatal(err)
		}
		if len(tests[e.Number]) == 0 {
			t.Errorf("exercise %s: no output is expected in it", e.Number)
		}
		for _, want := range tests[e.Number] {
			if !strings.Contains(page.Body, want) {
				t.Errorf("exercise %s lacks\n%s\nin\n%s", e.Number, want, page.Body)
			}
		}
	}
}

// Nothing of the default lab is left in the text for another one.
func TestTextsFollowTheLab(t *testing.T) {
	for _, e := range all(t) {
		for _, l := range Languages() {
			page, err := Render(e, l, exampleLabs()["small"])
			if err != nil {
				t.Fatal(err)
			}
			text := strings.Join(append([]string{page.Goal, page.Body}, page.Hints...), "\n")
			for _, old := range []string{"192.168.", "10.42.", "10.43.", "31885", "v1.34.3", "nginx:1.27", "cp1", "w1", "w2", "k3s-agent", "{{", "<no value>", "%!", "invalid"} {
				if i := strings.Index(text, old); i >= 0 {
					t.Errorf("exercise %s in %q still says %q: %.80q", e.Number, l, old, text[i:])
				}
			}
			if !strings.Contains(text, "solo") {
				t.Errorf("exercise %s in %q does not name the node", e.Number, l)
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
			for _, number := range strings.Split(strings.TrimRight(cells[3], " |\n"), ", ") {
				got = append(got, strings.Trim(cells[2], "`")+" "+number)
			}
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-exercises +docs/concepts.md\n%s", diff)
	}
}

// Whoever has a simulated lab must know which commands of this computer reach nothing.
func TestSimulatedNote(t *testing.T) {
	var noted []string
	for _, e := range all(t) {
		page, err := Render(e, Korean, config.Default())
		if err != nil {
			t.Fatal(err)
		}
		if page.Simulated != "" {
			noted = append(noted, e.Number)
		}
	}
	if diff := cmp.Diff([]string{"06", "09", "10", "11", "13"}, noted); diff != "" {
		t.Error(diff)
	}
}

// Prose must fit a usual terminal window; tables and what programs print are as wide as they are.
func TestProseIsNotTooWide(t *testing.T) {
	const widest = 140 // columns; a Hangul syllable takes two
	for _, e := range all(t) {
		for _, l := range Languages() {
			page, err := Render(e, l, config.Default())
			if err != nil {
				t.Fatal(err)
			}
			inside := false
			for line := range strings.Lines(page.Body) {
				if strings.HasPrefix(line, fence) {
					inside = !inside
				}
				width := 0
				for _, r := range strings.TrimSpace(line) {
					width++
					if r >= '가' && r <= '힣' {
						width++
					}
				}
				if !inside && width > widest && !strings.HasPrefix(line, "|") {
					t.Errorf("%s %s, %d columns: %s", e.Number, l, width, line)
				}
			}
		}
	}
}
