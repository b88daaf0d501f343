package k3s

import (
	"context"
	"fmt"
)

// Disable takes k3s out of a node's boot. Reboot the node, then Wipe it: while containers run, their file systems and network
// devices can't be removed. Where there is no k3s, nothing happens.
func Disable(ctx context.Context, r Runner) error {
	if _, err := r.Run(ctx, asRoot(disable), nil); err != nil {
		return fmt.Errorf("disabling k3s: %w", err)
	}
	return nil
}

// Wipe removes what k3s left on a node that was rebooted after Disable, so that the node can join another cluster: an
// agent that keeps the old cluster's certificates is refused by the new one.
func Wipe(ctx context.Context, r Runner) error {
	if _, err := r.Run(ctx, asRoot(wipe), nil); err != nil {
		return fmt.Errorf("wiping k3s: %w", err)
	}
	return nil
}
