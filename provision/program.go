package provision

import (
	"fmt"
	"maps"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/labctl/labctl/internal/config"
)

// The types of a lab's resources. Package provision/provider makes them.
const (
	Package       = "labctl"
	typeImage     = "labctl:index:Image"
	typeNetwork   = "labctl:index:HostOnlyNetwork"
	typeMachine   = "labctl:index:Machine"
	typeBinary    = "labctl:index:NodeBinary"
	typeImages    = "labctl:index:NodeImages"
	typeServer    = "labctl:index:Server"
	typeAgent     = "labctl:index:Agent"
	typeManifest  = "labctl:index:Manifest"
	nameImage     = "image"
	nameNetwork   = "network"
	clusterSuffix = "-k3s"
	binarySuffix  = "-binary"
	imagesSuffix  = "-images"
)

// Parts is what a lab consists of beside what its configuration says.
type Parts struct {
	Manifests []Manifest
	// ImageSHA256 is the disk image's checksum, whichever way labctl.yaml gives it.
	ImageSHA256 string
	// Archives names the archives of images that every node gets, each with its checksum; none if nodes pull all their images.
	Archives []string
	// AtStart says that k3s takes notice of an archive only when it starts: where one comes, it is restarted, a node at a time.
	AtStart bool
	// Registries and Proxy stand for the settings of these names, which may hold secrets: they change with them and tell nothing.
	Registries, Proxy string
}

// Program is the whole lab. The order of things follows from who uses whose outputs: the image and the network first, the
// machines, their k3s binaries and archives of images side by side, then the k3s server, then the agents, then what runs in the cluster.
func Program(l *config.Lab, parts Parts) pulumi.RunFunc {
	return func(ctx *pulumi.Context) error {
		r := registry{ctx: ctx}

		image := r.add(typeImage, nameImage, pulumi.Map{
			"url":     pulumi.String(l.Image.URL),
			"sha256":  pulumi.String(parts.ImageSHA256),
			"diskGiB": pulumi.Int(l.Image.DiskGiB),
		})
		network := r.add(typeNetwork, nameNetwork, pulumi.Map{
			"cidr": pulumi.String(l.Network.CIDR.String()),
			"host": pulumi.String(l.Network.Host.String()),
		})

		machines := map[string]*made{}
		for _, n := range l.Nodes {
			machines[n.Name] = r.add(typeMachine, n.Name, pulumi.Map{
				"name":      pulumi.String(n.Name),
				"image":     image.Value, // the base VDI's path
				"network":   network.Value,
				"address":   pulumi.String(n.Address.String()),
				"user":      pulumi.String(l.Image.User),
				"cpus":      pulumi.Int(n.CPUs),
				"memoryMiB": pulumi.Int(n.MemoryMiB),
				"running":   pulumi.Bool(true),
			})
		}

		files := map[string][]pulumi.Resource{} // of each node: what must be there before k3s is
		for _, n := range l.Nodes {
			files[n.Name] = append(files[n.Name], r.add(typeBinary, binaryName(n.Name), pulumi.Map{
				"name":    pulumi.String(n.Name),
				"machine": machines[n.Name].ID(),
				"version": pulumi.String(l.K3s.Version),
				"source":  pulumi.String(l.K3s.Source),
			}))
			if len(parts.Archives) > 0 {
				files[n.Name] = append(files[n.Name], r.add(typeImages, imagesName(n.Name), pulumi.Map{
					"name":     pulumi.String(n.Name),
					"machine":  machines[n.Name].ID(),
					"archives": pulumi.ToStringArray(parts.Archives),
				}))
			}
		}

		k3s := pulumi.Map{
			"version":     pulumi.String(l.K3s.Version),
			"source":      pulumi.String(l.K3s.Source),
			"podCIDR":     pulumi.String(l.K3s.PodCIDR.String()),
			"serviceCIDR": pulumi.String(l.K3s.ServiceCIDR.String()),
			"proxyMode":   pulumi.String(string(l.K3s.KubeProxyMode)),
		}
		if !l.K3s.IPVSScheduler.IsZero() {
			k3s["ipvsScheduler"] = pulumi.String(string(l.K3s.IPVSScheduler))
		}
		if parts.Registries != "" {
			k3s["registries"] = pulumi.String(parts.Registries)
		}
		if parts.Proxy != "" {
			k3s["proxy"] = pulumi.String(parts.Proxy)
		}
		if parts.AtStart && len(parts.Archives) > 0 {
			k3s["archives"] = pulumi.ToStringArray(parts.Archives)
		}
		server := r.add(typeServer, clusterName(l.Server().Name), with(k3s, pulumi.Map{
			"name":    pulumi.String(l.Server().Name),
			"machine": machines[l.Server().Name].ID(),
		}), pulumi.DependsOn(files[l.Server().Name]))
		var agents pulumi.StringArray
		for _, n := range l.Agents() {
			agent := r.add(typeAgent, clusterName(n.Name), with(k3s, pulumi.Map{
				"name":    pulumi.String(n.Name),
				"machine": machines[n.Name].ID(),
				"cluster": server.Value, // changes with the cluster's identity: agents follow a recreated server
			}), pulumi.DependsOn(files[n.Name]))
			agents = append(agents, agent.Value) // changes with the machine
		}

		for _, m := range parts.Manifests {
			r.add(typeManifest, m.Name, pulumi.Map{
				"name":    pulumi.String(m.Name),
				"yaml":    pulumi.String(m.YAML),
				"cluster": server.Value,
				"agents":  agents,
			})
		}
		return r.err
	}
}

// Manifest is something that runs in the cluster: a name and the YAML that is applied.
type Manifest struct{ Name, YAML string }

// clusterName is the name of the resource that is k3s on the node of that name.
func clusterName(node string) string { return node + clusterSuffix }

// binaryName is the name of the resource that is the binary of k3s on the node of that name.
func binaryName(node string) string { return node + binarySuffix }

// imagesName is the name of the resource that is the archives of images on the node of that name.
func imagesName(node string) string { return node + imagesSuffix }

// NodeOf is the node that a resource is on, by the last part of its type and its name; of those that are on none, the name.
func NodeOf(kind, name string) string {
	switch Package + ":index:" + kind {
	case typeServer, typeAgent:
		return strings.TrimSuffix(name, clusterSuffix)
	case typeBinary:
		return strings.TrimSuffix(name, binarySuffix)
	case typeImages:
		return strings.TrimSuffix(name, imagesSuffix)
	}
	return name
}

// made is a resource of the lab. Value is the one output that others use: a path, an adapter's name, a cluster's identity.
type made struct {
	pulumi.CustomResourceState
	Value pulumi.StringOutput `pulumi:"value"`
}

// registry adds resources until the first one fails.
type registry struct {
	ctx *pulumi.Context
	err error
}

func (r *registry) add(kind, name string, in pulumi.Map, opts ...pulumi.ResourceOption) *made {
	m := &made{}
	if r.err != nil {
		return m
	}
	if err := r.ctx.RegisterResource(kind, name, in, m, opts...); err != nil {
		r.err = fmt.Errorf("%s %q: %w", kind, name, err)
	}
	return m
}

// with returns a new map that holds both.
func with(a, b pulumi.Map) pulumi.Map {
	m := maps.Clone(a)
	maps.Copy(m, b)
	return m
}
