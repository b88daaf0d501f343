//go:build linux

// Command standin takes the place of the k3s binary in the end-to-end test where there is no k3s. It is no Kubernetes: nothing
// runs on it. It does what shows whether labctl installs k3s rightly on a real guest, and refuses all else:
//
//   - k3s --version
//   - k3s server and k3s agent read config.yaml, refuse keys that k3s doesn't know and a node-ip that is not flannel-iface's, and
//     tell systemd when they are ready. The server makes a CA, the node token K10<hash of the CA>::server:<secret>, and the kubeconfig.
//     Agents join over TLS at the server's address, with the token, the CA that the token vouches for, and a node password.
//   - k3s kubectl get nodes -o json, and delete of a node and of its password.
//
// A node is Ready while its agent is connected.
package main
