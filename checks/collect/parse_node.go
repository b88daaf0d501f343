package collect

import (
	"fmt"
	"strings"

	"github.com/labctl/labctl/checks"
)

// parseWord reads an output that is one word.
func parseWord(out []byte) (string, error) {
	words := strings.Fields(string(out[:min(len(out), 4096)]))
	if len(words) != 1 {
		return "", fmt.Errorf("%q is not one word", firstLine(out))
	}
	return words[0], nil
}

// parseMachineID reads /etc/machine-id: 32 hexadecimal digits. Before the first boot the file says "uninitialized".
func parseMachineID(out []byte) (string, error) {
	id, err := parseWord(out)
	if err != nil {
		return "", err
	}
	if len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" {
		return "", fmt.Errorf("%q is no machine-id", firstLine(out))
	}
	return id, nil
}

// parseSubnet reads flannel's subnet.env.
func parseSubnet(out []byte) (checks.Subnet, error) {
	values := map[string]string{}
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		values[key] = value
	}
	network, err := parsePrefix(values["FLANNEL_NETWORK"])
	if err != nil {
		return checks.Subnet{}, fmt.Errorf("FLANNEL_NETWORK: %w", err)
	}
	gateway, err := parsePrefix(values["FLANNEL_SUBNET"])
	if err != nil {
		return checks.Subnet{}, fmt.Errorf("FLANNEL_SUBNET: %w", err)
	}
	return checks.Subnet{Network: network.Masked(), Gateway: gateway}, nil
}
