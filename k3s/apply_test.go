package k3s

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/internal/config"
	"github.com/labctl/labctl/internal/yaml"
)

func unmarshal(text string, out any) error { return yaml.Unmarshal([]byte(text), out) }

func TestManifests(t *testing.T) {
	var names []string
	for _, m := range Manifests(config.Default()) {
		names = append(names, m.Name)
		golden(t, m.Name+".yaml", string(m.YAML))
	}
	if diff := cmp.Diff([]string{"demo-web", "demo-hello", "probe"}, names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

// TestWebIsTheNotes compares with web.yaml as it stands in the study notes.
func TestWebIsTheNotes(t *testing.T) {
	_, web, ok := strings.Cut(string(Manifests(config.Default())[0].YAML), "\n---\n")
	if !ok {
		t.Fatal("the namespace is missing")
	}
	if diff := cmp.Diff(testdata(t, "web.yaml"), web); diff != "" {
		t.Errorf("web.yaml (-want +got):\n%s", diff)
	}
}

func TestManifestsFollowTheLab(t *testing.T) {
	for _, image := range []string{
		"mirror.local:5000/nginx:1.27", "nginx@sha256:00ff", "nginx", "true", "1:30", "x: y", "a\nb: c", `"`, `\`, "NODE_PORT:x", "", "12:34:56", "a:80",
	} {
		l := config.Default()
		l.Demo.WebImage, l.Demo.HelloImage, l.Demo.NodePort = image, image, 30080
		for _, m := range Manifests(l) {
			for _, document := range strings.Split(string(m.YAML), "\n---\n") {
				var o struct {
					Kind string
					Spec struct {
						Ports []struct {
							NodePort any `yaml:"nodePort"`
						}
						Template struct {
							Spec struct{ Containers []struct{ Image any } }
						}
					}
				}
				if err := unmarshal(document, &o); err != nil {
					t.Fatalf("image %q: %v", image, err)
				}
				for _, c := range o.Spec.Template.Spec.Containers {
					if c.Image != image {
						t.Errorf("image %q is read as %#v", image, c.Image)
					}
				}
				if m.Name == "demo-hello" && o.Kind == "Service" && o.Spec.Ports[0].NodePort != 30080 {
					t.Errorf("NodePort is read as %#v", o.Spec.Ports[0].NodePort)
				}
			}
		}
	}
}

func TestApplyAndDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTestNode(t)
		m := Manifests(config.Default())[1]
		var calls, steps []string
		r.kubectl = func(args []string, stdin string) (string, error) {
			if stdin != string(m.YAML) {
				t.Errorf("attempt %d got other text: %q", len(calls)+1, stdin)
			}
			if calls = append(calls, strings.Join(args, " ")); len(calls) < 3 {
				return "", fmt.Errorf("Error from server: attempt %d", len(calls)) // as kubectl says it
			}
			return "", nil
		}
		step := func(s string) { steps = append(steps, s) }
		if err := errors.Join(Apply(t.Context(), r, m, step), DeleteManifest(t.Context(), r, m, step)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"apply -f -", "apply -f -", "apply -f -", "delete --ignore-not-found -f -"}, calls); diff != "" {
			t.Errorf("calls (-want +got):\n%s", diff)
		}
		want := []string{
			`applying "demo-hello"`, `applying "demo-hello": Error from server: attempt 1`, `applying "demo-hello": Error from server: attempt 2`,
			`deleting "demo-hello"`,
		}
		if diff := cmp.Diff(want, steps); diff != "" {
			t.Errorf("steps (-want +got):\n%s", diff)
		}
	})
}

func TestWorkloads(t *testing.T) {
	for _, test := range []struct {
		name, yaml string
		want       []objectName
	}{
		{"demo-web", demoWeb, []objectName{{"Deployment", "demo", "web"}}},
		{"demo-hello", demoHello, []objectName{
			{"Deployment", "default", "hello"}, {"Deployment", "kube-system", "traefik"}, {"Deployment", "default", "hostnet"},
		}},
		{"probe", probe, []objectName{{"DaemonSet", "labctl", "labctl-probe"}}},
		{"begins with dashes, no namespace", "---\nkind: DaemonSet\nmetadata: {name: x}\n---\n", []objectName{{"DaemonSet", "default", "x"}}},
		{"no pods", "kind: Service\n", nil},
	} {
		got, err := Manifest{Name: test.name, YAML: []byte(test.yaml)}.workloads()
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(objectName{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
	bad := Manifest{Name: "bad", YAML: []byte("kind: x\n---\nkind: [\n")}
	if _, err := bad.workloads(); err == nil || !strings.Contains(err.Error(), `"bad", document 2`) {
		t.Errorf("bad YAML: error %v", err)
	}
}

func TestCurrent(t *testing.T) {
	m := Manifests(config.Default())[1]
	for _, test := range []struct {
		name, out, err string
		want           bool
	}{
		{"as applied", "deployment.apps/hello unchanged (server dry run)\nservice/hello-svc unchanged (server dry run)\n" +
			"ingress.networking.k8s.io/hello unchanged (server dry run)\ndeployment.apps/hostnet unchanged (server dry run)\n", "", true},
		{"of an older labctl", "deployment.apps/hello unchanged (server dry run)\nservice/hello-svc unchanged (server dry run)\n" +
			"ingress.networking.k8s.io/hello created (server dry run)\ndeployment.apps/hostnet created (server dry run)\n", "", false},
		{"one was changed", "deployment.apps/hello configured (server dry run)\nservice/hello-svc unchanged (server dry run)\n", "", false},
		{"one is gone", "deployment.apps/hello unchanged (server dry run)\nservice/hello-svc created (server dry run)\n", "", false},
		{"half an answer", "deployment.apps/hello unchanged (server dry run)\n", "", false},
		{"the API does not answer", "", "connection refused", false},
	} {
		r := newTestNode(t)
		r.kubectl = func(args []string, stdin string) (string, error) {
			if got := strings.Join(args, " "); got != "apply --dry-run=server -f -" || stdin != string(m.YAML) {
				t.Errorf("kubectl %s got %q", got, stdin)
			}
			if test.err != "" {
				return "", errors.New(test.err)
			}
			return test.out, nil
		}
		got, err := Current(t.Context(), r, m)
		if got != test.want || (err == nil) != (test.err == "") || !strings.Contains(text(err), test.err) {
			t.Errorf("%s: got %v, error %v", test.name, got, err)
		}
	}
}

func TestAvailable(t *testing.T) {
	deployment := func(status string) string {
		return `{"kind":"Deployment","metadata":{"name":"web","namespace":"demo","generation":2},"spec":{"replicas":2},"status":{` + status + `}}`
	}
	daemonSet := func(status string) string {
		return `{"kind":"DaemonSet","metadata":{"name":"web","namespace":"demo","generation":2},"status":{` + status + `}}`
	}
	pod := func(name, status string) string {
		return `{"kind":"Pod","metadata":{"name":"` + name + `","namespace":"demo"},"spec":{"nodeName":"w1"},"status":{` + status + `}}`
	}
	waiting := func(reason, message string) string {
		return `"containerStatuses":[{"state":{"waiting":{"reason":"` + reason + `","message":"` + message + `"}}}]`
	}
	const (
		half = `"observedGeneration":2,"replicas":2,"updatedReplicas":2,"availableReplicas":1`
		full = `"observedGeneration":2,"replicas":2,"updatedReplicas":2,"availableReplicas":2`
	)
	for _, test := range []struct{ name, kind, items, want string }{
		{"deployment", "Deployment", deployment(full), ""},
		{"only its namespace counts", "Deployment", strings.Replace(deployment(full), `"demo"`, `"other"`, 1), `Deployment "demo/web" is not there yet`},
		{"only its kind counts", "DaemonSet", deployment(full), `DaemonSet "demo/web" is not there yet`},
		{"not seen", "Deployment", deployment(`"observedGeneration":1,"replicas":2,"updatedReplicas":2,"availableReplicas":2`),
			`Deployment "demo/web": its controller has not seen it yet`},
		{"half", "Deployment", deployment(half), `Deployment "demo/web": 1 of 2 pods are available`},
		{"old template", "Deployment", deployment(`"observedGeneration":2,"replicas":2,"updatedReplicas":1,"availableReplicas":2`),
			`Deployment "demo/web": 1 of 2 pods are available`},
		{"old pods left", "Deployment", deployment(`"observedGeneration":2,"replicas":3,"updatedReplicas":2,"availableReplicas":2`),
			`Deployment "demo/web": 2 of 2 pods are available`},
		{"image", "Deployment", deployment(half) + "," + pod("web-b94-1", waiting("ContainerCreating", "")) + "," +
			pod("web-b94-2", waiting("ImagePullBackOff", `Back-off pulling image \"nginx:0\"`)) + "," +
			pod("webs-b94-3", waiting("CrashLoopBackOff", "of another deployment")),
			`Deployment "demo/web": 1 of 2 pods are available: pod "web-b94-2" on "w1": ImagePullBackOff: Back-off pulling image "nginx:0"`},
		{"creating", "Deployment", deployment(half) + "," + pod("web-b94-1", waiting("ContainerCreating", "")),
			`Deployment "demo/web": 1 of 2 pods are available: pod "web-b94-1" on "w1": ContainerCreating`},
		{"no room", "Deployment", deployment(half) + "," +
			pod("web-b94-1", `"conditions":[{"type":"PodScheduled","status":"False","reason":"Unschedulable","message":"0/3 nodes are available"}]`),
			`Deployment "demo/web": 1 of 2 pods are available: pod "web-b94-1": Unschedulable: 0/3 nodes are available`},
		{"daemon set", "DaemonSet", daemonSet(`"observedGeneration":2,"desiredNumberScheduled":3,"updatedNumberScheduled":3,"numberAvailable":3`), ""},
		{"daemon set, one missing", "DaemonSet", daemonSet(`"observedGeneration":2,"desiredNumberScheduled":3,"updatedNumberScheduled":3,"numberAvailable":2`),
			`DaemonSet "demo/web": 2 of 3 pods are available`},
		{"daemon set that wants none", "DaemonSet", daemonSet(`"observedGeneration":2`), `DaemonSet "demo/web": its controller has not seen it yet`},
		{"nothing", "Deployment", "", `Deployment "demo/web" is not there yet`},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newTestNode(t)
			r.kubectl = func(args []string, _ string) (string, error) {
				if diff := cmp.Diff([]string{"get", "deployments,daemonsets,pods", "-A", "-o", "json"}, args); diff != "" {
					t.Errorf("kubectl's arguments (-want +got):\n%s", diff)
				}
				return `{"items":[` + test.items + `]}`, nil
			}
			var objects objectList
			if err := get(t.Context(), r, "deployments,daemonsets,pods -A", &objects); err != nil {
				t.Fatal(err)
			}
			if got := text(objects.available(objectName{test.kind, "demo", "web"})); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestWaitDemo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTestNode(t)
		asked := 0
		r.kubectl = func([]string, string) (string, error) {
			available, served := min(asked, 6), ""
			if asked == 9 {
				served = `,{"kind":"Deployment","metadata":{"name":"traefik","namespace":"kube-system","generation":1},"spec":{"replicas":1},
				"status":{"observedGeneration":1,"replicas":1,"updatedReplicas":1,"availableReplicas":1}}`
			}
			asked++
			return fmt.Sprintf(`{"items":[{"kind":"Deployment","metadata":{"name":"hello","namespace":"default","generation":1},"spec":{"replicas":6},
				"status":{"observedGeneration":1,"replicas":6,"updatedReplicas":6,"availableReplicas":%d}},
				{"kind":"Deployment","metadata":{"name":"hostnet","namespace":"default","generation":1},"spec":{"replicas":1},
				"status":{"observedGeneration":1,"replicas":1,"updatedReplicas":1,"availableReplicas":1}}%s]}`, available, served), nil
		}
		var steps []string
		note := func(s string) {
			if len(steps) == 0 || steps[len(steps)-1] != s {
				steps = append(steps, s)
			}
		}
		if err := waitDemo(t.Context(), r, Manifests(config.Default())[1], note); err != nil {
			t.Fatal(err)
		}
		want := []string{
			`waiting for the pods of "demo-hello": Deployment "default/hello": 5 of 6 pods are available`,
			`waiting for the pods of "demo-hello": Deployment "kube-system/traefik" is not there yet`,
		}
		if diff := cmp.Diff(want, steps[max(0, len(steps)-2):]); diff != "" || asked != 10 {
			t.Errorf("asked %d times; last steps (-want +got):\n%s", asked, diff)
		}
	})
}
