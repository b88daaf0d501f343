package k3s

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/labctl/labctl/internal/ssh"
)

// kubectl asks the API as the cluster's administrator, whatever the login user's own kubeconfig says.
const kubectl = "sudo kubectl --kubeconfig " + kubeconfigPath + " "

// JoinToken returns the secret with which agents join, from the server's disk. It holds the hash of the cluster's CA, so that
// an agent knows whom it joins: it changes when the server is made anew.
func JoinToken(ctx context.Context, r Runner) (string, error) {
	out, err := r.Run(ctx, "sudo cat "+tokenPath, nil)
	if err != nil {
		return "", fmt.Errorf("reading the join token: %w", err)
	}
	token := strings.TrimSpace(string(out))
	if tokenText.FindString(token) != token || token == "" {
		return "", fmt.Errorf("reading the join token: %s holds none of the form K10HASH::USER:SECRET", tokenPath)
	}
	return token, nil
}

// WaitReady waits until the node of that name is Ready and its kubelet of that version, or of any if version is empty: what
// a node said of itself before k3s was replaced there counts for a while. Until then the cause is the node's own.
func WaitReady(ctx context.Context, server Runner, name, version string, step func(string)) error {
	return until(ctx, step, fmt.Sprintf("waiting for node %q to be Ready", name), func(ctx context.Context) error {
		var nodes nodeList
		if err := get(ctx, server, "nodes", &nodes); err != nil {
			return err
		}
		if err := nodes.ready(name); err != nil {
			return err
		}
		return nodes.runs(name, version)
	})
}

// WaitAllReady is WaitReady for several nodes with one question for all of them.
func WaitAllReady(ctx context.Context, server Runner, names []string, step func(string)) error {
	return until(ctx, step, fmt.Sprintf("waiting for %d nodes to be Ready", len(names)), func(ctx context.Context) error {
		var nodes nodeList
		if err := get(ctx, server, "nodes", &nodes); err != nil {
			return err
		}
		for _, name := range names {
			if err := nodes.ready(name); err != nil {
				return notYet(fmt.Sprintf("node %q: %v", name, err))
			}
		}
		return nil
	})
}

// ReadyNodes tells of each node that the cluster knows why it is not Ready; nil if it is.
func ReadyNodes(ctx context.Context, server Runner) (map[string]error, error) {
	var nodes nodeList
	if err := get(ctx, server, "nodes", &nodes); err != nil {
		return nil, err
	}
	all := map[string]error{}
	for _, n := range nodes.Items {
		all[n.Metadata.Name] = nodes.ready(n.Metadata.Name)
	}
	return all, nil
}

// ForgetNode removes what the cluster remembers of a node: its object, and the secret with the password that a node of that
// name must show. Neither being there is no error. A node that comes back with an empty disk is rejected otherwise.
// Source: https://docs.k3s.io/cli/agent (node password) and https://github.com/k3s-io/k3s/issues/802.
func ForgetNode(ctx context.Context, server Runner, name string) error {
	for _, object := range [][]string{
		{"node/" + name},
		{"-n", "kube-system", "secret/" + name + ".node-password.k3s"},
	} {
		err := until(ctx, func(string) {}, fmt.Sprintf("forgetting node %q", name), func(ctx context.Context) error {
			_, err := server.Run(ctx, kubectl+"delete --ignore-not-found "+ssh.Quote(object...), nil)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// get asks for objects of some kinds in all namespaces, and decodes the list.
func get(ctx context.Context, server Runner, kinds string, list any) error {
	out, err := server.Run(ctx, kubectl+"get "+kinds+" -o json", nil)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(out, list); err != nil {
		return notYet("kubectl get " + kinds + ": not JSON: " + err.Error())
	}
	return nil
}

type nodeList struct {
	Items []struct {
		Metadata metadata `json:"metadata"`
		Status   struct {
			Conditions []condition `json:"conditions"`
			NodeInfo   struct {
				KubeletVersion string `json:"kubeletVersion"`
			} `json:"nodeInfo"`
		} `json:"status"`
	} `json:"items"`
}

type metadata struct {
	Name       string `json:"name"`
	Namespace  string `json:"namespace"`
	Generation int64  `json:"generation"`
}

type condition struct{ Type, Status, Reason, Message string }

// ready returns nil if the node of that name is Ready, else why it is not.
func (l nodeList) ready(name string) error {
	for _, n := range l.Items {
		if n.Metadata.Name != name {
			continue
		}
		for _, c := range n.Status.Conditions {
			if c.Type == "Ready" && c.Status == "True" {
				return nil
			}
			if c.Type == "Ready" {
				return notYet(fmt.Sprintf("it is not Ready (%s): %s", c.Reason, clip(c.Message)))
			}
		}
		return notYet("it has not reported its state yet")
	}
	return notYet("it has not registered yet")
}

// runs returns nil if the node of that name reports that version of k3s.
func (l nodeList) runs(name, version string) error {
	for _, n := range l.Items {
		if have := n.Status.NodeInfo.KubeletVersion; n.Metadata.Name == name && version != "" && have != version {
			return notYet(fmt.Sprintf("it still reports %s, not %s", have, version))
		}
	}
	return nil
}
