package k3s

import (
	"context"
	"fmt"

	"github.com/labctl/labctl/internal/ssh"
)

// ReleaseNodeAddresses takes the nodes' addresses out of the status of LoadBalancer services, if kube-proxy is in IPVS mode: it
// would bind them on every node. ServiceLB published them before it was turned off, and leaves them there:
// https://github.com/k3s-io/k3s/blob/master/pkg/cloudprovider/cloudprovider.go (Initialize). No agent may be in IPVS mode before.
func ReleaseNodeAddresses(ctx context.Context, server Runner, s Settings, step func(string)) error {
	if !s.ipvs() {
		return nil
	}
	return until(ctx, step, "looking for node addresses of LoadBalancer services", func(ctx context.Context) error {
		var list struct {
			Items []struct {
				Metadata metadata `json:"metadata"`
				Spec     struct {
					Type string `json:"type"`
				} `json:"spec"`
				Status struct {
					LoadBalancer struct {
						Ingress []struct {
							IP string `json:"ip"`
						} `json:"ingress"`
					} `json:"loadBalancer"`
				} `json:"status"`
			} `json:"items"`
		}
		if err := get(ctx, server, "services -A", &list); err != nil {
			return err
		}
		for _, o := range list.Items {
			if o.Spec.Type != "LoadBalancer" || len(o.Status.LoadBalancer.Ingress) == 0 {
				continue
			}
			step(fmt.Sprintf("taking the nodes' addresses from service %q", o.Metadata.Namespace+"/"+o.Metadata.Name))
			_, err := server.Run(ctx, kubectl+ssh.Quote("patch", "service", o.Metadata.Name, "-n", o.Metadata.Namespace,
				"--subresource=status", "--type=merge", "-p", `{"status":{"loadBalancer":{"ingress":null}}}`), nil)
			if err != nil {
				return err
			}
		}
		return nil
	})
}
