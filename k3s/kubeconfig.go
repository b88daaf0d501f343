package k3s

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/labctl/labctl/internal/yaml"
)

// errContextTaken says that a kubeconfig has an entry of the lab's name that is about another cluster.
var errContextTaken = errors.New("the name is taken by another cluster")

// kubeconfig is as much of the format as k3s writes.
// Source: https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/.
type kubeconfig struct {
	APIVersion     string         `yaml:"apiVersion"`
	Kind           string         `yaml:"kind"`
	Clusters       []namedCluster `yaml:"clusters"`
	Contexts       []namedContext `yaml:"contexts"`
	Users          []namedUser    `yaml:"users"`
	CurrentContext string         `yaml:"current-context"`
}

type namedCluster struct {
	Name    string `yaml:"name"`
	Cluster struct {
		CA     string `yaml:"certificate-authority-data"`
		Server string `yaml:"server"`
	} `yaml:"cluster"`
}

type namedContext struct {
	Name    string `yaml:"name"`
	Context struct {
		Cluster string `yaml:"cluster"`
		User    string `yaml:"user"`
	} `yaml:"context"`
}

type namedUser struct {
	Name string `yaml:"name"`
	User struct {
		Certificate string `yaml:"client-certificate-data"`
		Key         string `yaml:"client-key-data"`
	} `yaml:"user"`
}

// Kubeconfig returns the administrator's kubeconfig for use on the host: the server at addr, and cluster, user and context named
// after the lab. It holds a private key. Its errors don't.
func Kubeconfig(ctx context.Context, server Runner, addr netip.Addr, lab string) ([]byte, error) {
	out, err := server.Run(ctx, "sudo cat "+kubeconfigPath, nil)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	var have kubeconfig
	if err := yaml.Unmarshal(out, &have); err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %s is not YAML of the known form", kubeconfigPath)
	}
	if len(have.Clusters) != 1 || len(have.Users) != 1 || have.Clusters[0].Cluster.CA == "" || have.Users[0].User.Key == "" {
		return nil, fmt.Errorf("reading the kubeconfig: %s does not hold one cluster with a CA and one user with a key", kubeconfigPath)
	}
	want := kubeconfig{
		APIVersion: "v1", Kind: "Config", CurrentContext: lab,
		Clusters: have.Clusters, Users: have.Users, Contexts: make([]namedContext, 1),
	}
	want.Clusters[0].Name, want.Clusters[0].Cluster.Server = lab, apiURL(addr)
	want.Users[0].Name = lab
	want.Contexts[0].Name, want.Contexts[0].Context.Cluster, want.Contexts[0].Context.User = lab, lab, lab
	return yaml.Marshal(want)
}

// MergeKubeconfig adds the cluster, user and context of ours (as Kubeconfig returns it) to an existing kubeconfig, or renews
// those of the same name and server. Everything else stays, known or not; the current context stays if there is one. An entry
// of that name that belongs to another cluster is errContextTaken. Comments and the order of keys are not kept.
func MergeKubeconfig(existing, ours []byte) ([]byte, error) {
	var merged, add map[string]any
	var us kubeconfig
	if err := yaml.Unmarshal(existing, &merged); err != nil {
		return nil, fmt.Errorf("merging kubeconfigs: the existing one is not a kubeconfig")
	}
	if err := yaml.OneDocument(existing); err != nil {
		return nil, errors.New("merging kubeconfigs: the existing one has several documents, and those after the first would be lost: " +
			"make it one, without a line of three dashes")
	}
	if err := errors.Join(yaml.Unmarshal(ours, &add), yaml.Unmarshal(ours, &us)); err != nil || len(us.Clusters) != 1 {
		return nil, fmt.Errorf("merging kubeconfigs: the lab's is not one of Kubeconfig's")
	}
	if len(merged) == 0 {
		return ours, nil
	}
	if err := taken(existing, us.CurrentContext, us.Clusters[0].Cluster.Server); err != nil {
		return nil, fmt.Errorf("merging kubeconfigs: %w", err)
	}
	for _, key := range []string{"clusters", "contexts", "users"} {
		have, ok := merged[key].([]any)
		if !ok && merged[key] != nil {
			return nil, fmt.Errorf("merging kubeconfigs: %q of the existing one is not a list", key)
		}
		merged[key] = addNamed(have, add[key].([]any))
	}
	if current, _ := merged["current-context"].(string); current == "" {
		merged["current-context"] = us.CurrentContext
	}
	for _, key := range []string{"apiVersion", "kind"} {
		if merged[key] == nil {
			merged[key] = add[key]
		}
	}
	return yaml.Marshal(merged)
}

// taken tells whether an entry called name belongs to a cluster at another server than ours.
func taken(existing []byte, name, server string) error {
	var have kubeconfig
	if err := yaml.Unmarshal(existing, &have); err != nil {
		return fmt.Errorf("the existing one is not a kubeconfig")
	}
	for _, c := range have.Clusters {
		if c.Name == name && c.Cluster.Server != server {
			return fmt.Errorf("cluster %q is %s, not %s: %w", name, c.Cluster.Server, server, errContextTaken)
		}
	}
	for _, c := range have.Contexts {
		if c.Name == name && c.Context.Cluster != name {
			return fmt.Errorf("context %q is of cluster %q: %w", name, c.Context.Cluster, errContextTaken)
		}
		if c.Name != name && c.Context.User == name && c.Context.Cluster != name {
			return fmt.Errorf("user %q is used by context %q: %w", name, c.Name, errContextTaken)
		}
	}
	return nil
}

// addNamed returns have with the entries of add, each laid over the one of its name, or at the end.
func addNamed(have, add []any) []any {
	name := func(entry any) any {
		m, _ := entry.(map[string]any)
		return m["name"]
	}
next:
	for _, a := range add {
		for i := range have {
			if name(have[i]) == name(a) {
				have[i] = overlay(have[i], a)
				continue next
			}
		}
		have = append(have, a)
	}
	return have
}

// overlay returns below with what above holds. What above has no field for stays, such as the namespace that
// `kubectl config set-context --current --namespace` keeps in a context.
func overlay(below, above any) any {
	b, ok := below.(map[string]any)
	a, both := above.(map[string]any)
	if !ok || !both {
		return above
	}
	for key, value := range a {
		b[key] = overlay(b[key], value)
	}
	return b
}
